/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo: the main job on real input, with a count of every message.
 *
 *   telemetry publisher --.                          .--> fast      polls without a break
 *   extra publisher      --+--> "host/telemetry" ---+---> slow      naps after each look
 *     (killed, replaced)                             `--> sleeping  sleeps in the kernel when idle
 *   file publisher       -----> "file/frames"    ---- the same three, and an extra subscriber that
 * is killed and replaced
 *
 * All are processes of their own; the broker is a private one. The processes count into one page
 * that the parent shares with its children (struct demo_shared, not a kickmsg segment).
 *
 * The demo knows what was sent: each source counts its messages before (begun) and after (done)
 * each publish. The first subscribers join before any message. The replacement must not get
 * messages that were done before it joined, and must get those that begin afterwards. For messages
 * in between either is right. A killed source has at most one message that is begun and not done,
 * for which either is right too.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "message.h"
#include <kickmsg.h>

#define DEMO_TELEMETRY_TOPIC "host/telemetry"
#define DEMO_FILE_TOPIC      "file/frames"
#define DEMO_FRAME_SIZE      (1u << 20)
#define DEMO_TELEMETRY_SIZE  (64u << 10)
#define DEMO_BUCKETS         1024

enum demo_topic { DEMO_TELEMETRY, DEMO_FILE };

enum demo_source_id {
	DEMO_SOURCE_TELEMETRY,
	DEMO_SOURCE_FILE,
	DEMO_SOURCE_VICTIM,      /* killed */
	DEMO_SOURCE_REPLACEMENT, /* in its place */
	DEMO_SOURCES,
};

enum demo_row_id {
	DEMO_ROW_FAST, /* two rows each: telemetry, file */
	DEMO_ROW_SLOW = 2,
	DEMO_ROW_SLEEPING = 4,
	DEMO_ROW_VICTIM = 6, /* file alone; killed */
	DEMO_ROW_REPLACEMENT,
	DEMO_ROWS,
};

enum demo_state { DEMO_ABSENT, DEMO_READY, DEMO_FINISHED, DEMO_FAILED };

struct demo_source {
	_Atomic uint32_t state;
	_Atomic uint64_t begun; /* messages; seq_cst, see join() in subscribe.c */
	_Atomic uint64_t done;
	_Atomic uint64_t no_slot; /* times that the pool was empty */
	char error[160];
};

/* A subscriber's counts after some message, all of one moment. */
struct demo_tally {
	uint64_t received;
	uint64_t bytes;
	uint64_t gaps; /* positions skipped between its messages */
	/* Sequence of the first and the last message that it got. */
	uint64_t first[DEMO_SOURCES];
	uint64_t last[DEMO_SOURCES];
	int64_t first_ns;
	int64_t last_ns;
};

struct demo_row {
	_Atomic uint32_t state;
	_Atomic uint32_t current; /* which tally is whole, also after a SIGKILL */
	struct demo_tally tally[2];
	_Atomic uint64_t lost;         /* what the library says */
	uint64_t before[DEMO_SOURCES]; /* messages done when it began to join ... */
	uint64_t after[DEMO_SOURCES];  /* ... and begun when it had joined */
	uint64_t latency[DEMO_BUCKETS];
	char error[160];
};

struct demo_shared {
	_Atomic uint32_t go;       /* publishers may begin */
	_Atomic uint32_t stop;     /* publishers shall end */
	_Atomic uint32_t finished; /* nothing more will be sent: drain and end */
	_Atomic uint32_t leave;    /* publishers may detach, with which the topics end */
	struct demo_source source[DEMO_SOURCES];
	struct demo_row row[DEMO_ROWS];
};

/* Where things are; the same in all processes. */
struct demo {
	struct demo_shared *shared;
	const char *file;
	const char *kickmsgd;
	const char *kickmsgctl;
	int seconds;
	char directory[64];
	char socket[PATH_MAX];
	char log[PATH_MAX];
	pid_t broker;
	char broker_end[96]; /* how it ended, if it wasn't as it should */
	long log_shown;      /* bytes of the broker's log that were printed */
};

/* publish.c: the body of a publishing process; returns its exit status. */
int demo_publish(struct demo *demo, enum demo_source_id id);

/* subscribe.c: the body of a subscribing process: `first` and, for the first three kinds, the row
 * after it. */
int demo_subscribe(struct demo *demo, enum demo_row_id first);

/* process.c: processes, with a bound on every wait. Negative errno on failure. */
int demo_broker_start(struct demo *demo);
int demo_broker_stop(struct demo *demo);
pid_t demo_spawn(struct demo *demo, int (*body)(struct demo *demo, int argument), int argument);
int demo_wait_exit(pid_t pid, int seconds, int *ret_status);
/* "ended by signal 9 (Killed)". Returns ret. */
const char *demo_end_text(int status, char *ret, size_t size);
/* The broker has ended meanwhile, which it must not: broker_end says how. */
bool demo_broker_is_gone(struct demo *demo);
int demo_ctl(const struct demo *demo, const char *verb, bool show);
void demo_show_log(struct demo *demo, bool all);
void demo_nap_ns(int64_t ns);

/* report.c */
const char *demo_row_name(enum demo_row_id id);
const char *demo_source_name(enum demo_source_id id);
enum demo_topic demo_row_topic(enum demo_row_id id);
const struct demo_tally *demo_row_tally(const struct demo_row *row);
uint32_t demo_bucket(int64_t ns);
void demo_progress(const struct demo *demo, double seconds);
/* Prints the table; returns the number of things that aren't as they must be. */
int demo_report(const struct demo *demo);
