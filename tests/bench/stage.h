/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes on a stage.
 *
 *   conductor (the parent)                     a stage: one system in one shape
 *   ---------------------                      ---------------------------------------------
 *   forks all stages of a set, waits           pinned processes open their ends, meet, and
 *   until all are open; then                   sleep in a futex until it is their turn
 *     probe - [ A B C ... ] x rounds - probe   run a round of `count` messages, tell, sleep again
 *
 * So while one system is measured all others sleep, and each has processes of its own: a library's
 * threads disturb nobody but itself. The conductor sleeps while a round runs, and ends all of them
 * when the time is up or one of them fails. (stage.c is what happens in the processes, conduct.c
 * the conductor.)
 */
#pragma once

#include <stdatomic.h>

#include "tests/bench/bench.h"
#include "tests/bench/histogram.h"
#include "tests/bench/message.h"

#define STAGE_MAX_WORKERS 64
#define STAGE_MAX_ENDS    48
#define STAGE_APART       128 /* bytes: adjacent lines are fetched in twos */

enum shape_kind {
	/* Worker 0 asks, worker 1 answers with as much; one way is half of it. */
	SHAPE_PING_PONG,
	/* Every message arrives. The figure is what the receiver gets in a second. */
	SHAPE_STREAM,
	/* Senders ask, SHAPE_CALLS_WINDOW at a time, and the receiver answers each. The figure
	 * is answers in a second. */
	SHAPE_CALLS,
	SHAPE_FLOOD, /* senders never wait; some messages get lost */
	/* A send while nobody takes: bursts of SHAPE_BURST_SIZE, taken afterwards. */
	SHAPE_BURST,
	/* A send while all receivers sleep in the system's receive call. */
	SHAPE_WAKE,
	SHAPE_PACED, /* a send each SHAPE_PACE_NS while all receivers poll */
	SHAPE_COPY,  /* not messages: memcpy in one process */
};

#define SHAPE_BURST_SIZE   32
#define SHAPE_CALLS_WINDOW 32
#define SHAPE_PACE_NS      3000

struct shape {
	enum shape_kind kind;
	size_t size;
	unsigned senders; /* processes; a ping-pong has one and one */
	unsigned receivers;
	unsigned ends; /* of each receiver process */
	/* kickmsg's max_subscribers. 0: 16, or more if there are more ends. */
	unsigned places;
	/* kickmsg: cells of a ring, and messages of a stream on their way; 0: the defaults */
	unsigned capacity;
	/* Receivers sleep where nothing is there; else they poll. */
	bool block;
	/* In a flood sender N may have receiver N alone, through channel N. */
	bool apart;
	bool sparse; /* receivers look at two lines of each message */
};

/* The work of one process in a round. Times are ticks. */
struct tally {
	_Alignas(STAGE_APART) uint64_t start;
	uint64_t end;
	uint64_t messages; /* that it sent, or received through all its ends */
	uint64_t lost;     /* messages of a flood that its ends missed */
};

struct stage {
	_Atomic uint32_t turn; /* futex: the conductor moves it */
	_Atomic uint32_t finished;
	_Atomic uint32_t over;
	_Atomic uint32_t helper; /* worker 0 has started a peer's daemon */
	uint32_t count;          /* messages of this turn */
	uint32_t workers;
	size_t arena_size;
	char reason[128]; /* why this system can't do the load */
	_Alignas(STAGE_APART) _Atomic uint32_t arrived;
	_Alignas(STAGE_APART) _Atomic uint32_t generation;
	/* Messages that the receiver of a stream has. */
	_Alignas(STAGE_APART) _Atomic uint64_t credit;
	_Alignas(STAGE_APART) _Atomic uint32_t senders_done;
	_Atomic uint32_t receivers_done; /* ends that got a message in settling */
	_Atomic uint32_t taken;          /* times that all ends took a message */
	_Alignas(STAGE_APART) _Atomic uint32_t pids[STAGE_MAX_WORKERS];
	struct tally tallies[STAGE_MAX_WORKERS];
	uint64_t verified[STAGE_MAX_WORKERS];
	struct histogram times;               /* times of this round */
	_Alignas(4096) unsigned char arena[]; /* the floors' own memory */
};

struct adapter;

/* A process of a stage. */
struct worker {
	const struct adapter *adapter;
	struct stage *stage;
	struct shape shape;
	const char *socket_path; /* of kickmsgd */
	const char *dir;         /* for sockets of peers */
	char name[48];           /* name of the channel, unique in this run */
	unsigned index;          /* senders come first */
	unsigned patience;       /* times that it spins before it lets others run */
	void *sender;
	void *receivers[STAGE_MAX_ENDS];
	uint64_t sent;
	uint64_t expected[STAGE_MAX_ENDS];
	uint64_t verified;
	uint64_t credit_seen;
	uint64_t lost;
	struct histogram times;
};

/*
 * A system, behind these calls. They never return failure: stage_refuse() or bench_die() end the
 * process. A channel goes one way; a ping-pong has channel 0 from worker 0 and channel 1 back. All
 * workers open their senders, meet, open their receivers, meet, then senders settle and all meet.
 */
struct adapter {
	const char *name;    /* the row's system */
	const char *setting; /* shown beside the row */
	unsigned shapes;     /* bits of enum shape_kind */
	size_t max_size;
	/* Send waits for room. Where it doesn't, a stream waits for the receiver's credit. */
	bool lossless;
	/* Once a receiver finds nothing after the senders' end, it has had all. */
	bool exact;
	/* The first messages may get lost, so senders send until some arrive. */
	bool needs_settling;
	/* The receive call works best where it sleeps: the system isn't polled, nor pinned. */
	bool sleeps;
	/* Another system, no floor: its failure is noted in its row. */
	bool peer;
	unsigned variant;
	size_t (*arena_size)(const struct shape *shape);
	void *(*open_sender)(struct worker *worker, unsigned channel);
	void *(*open_receiver)(struct worker *worker, unsigned channel, unsigned end);
	/* Writes the message with this key and sends it. */
	void (*send)(void *sender, size_t size, uint64_t key);
	/* Sends the messages that `send` has kept back. May be null. */
	void (*flush)(void *sender);
	/* Takes the oldest message, which is valid until release. Null: there is none, or if
	 * `block` there is none for now. */
	const void *(*take)(void *receiver, size_t size, bool block);
	void (*release)(void *receiver);
	uint64_t (*lost)(void *receiver); /* may be null */
	void (*close)(struct worker *worker);
	/* Runs a round. LOOPS() in loops.h makes it. */
	void (*round)(struct worker *worker, unsigned count);
};

/* All processes of the stage come here before any of them goes on. */
void stage_meet(struct worker *worker);

/* Ends the process in order if the conductor has given the stage up. */
void stage_look_for_end(struct worker *worker);

/* Ends the process: this system can't do this load here. The text says why. */
__attribute__((format(printf, 2, 3), noreturn)) void stage_refuse(
	struct worker *worker, const char *format, ...);

/* Ends the process and the run: a message differs from what was sent. */
__attribute__((noreturn)) void stage_wrong(struct worker *worker, const void *data, uint64_t key);

/* Gives the answering side of a ping-pong that blocks the time to fall asleep. Without it both
 * sides may meet each other awake for ever, and no sleep is measured. Returns the time when it
 * is over, in ticks. */
uint64_t stage_let_sleep(void);

/* Waits until all receivers sleep, as the kernel says. */
void stage_wait_asleep(struct worker *worker);

/* Runs the whole life of one process. */
__attribute__((noreturn)) void stage_worker(struct worker *worker);

void stage_futex_wake(_Atomic uint32_t *word);
/* Waits until the word isn't `value` any more, for at most timeout_ms; -1: for ever. */
void stage_futex_wait(_Atomic uint32_t *word, uint32_t value, int timeout_ms);

/* Measures the ping-pong of a line alone, for loads that aren't sets. Returns ns, one way. */
double stage_probe(const struct bench *bench);
bool stage_probes_differ(double a, double b);
