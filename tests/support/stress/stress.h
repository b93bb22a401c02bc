/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the stress programs: cases as data, and workers as processes or as threads. Each worker
 * writes on one board in shared memory what it did, and an observer counts the pool.
 *
 *   parent: observer advertises the topic - starts workers - all attached - START -
 *           publishers send - done - subscribers drain - drained - pool counted, all idle -
 *           LEAVE - workers free and end - pool counted again - the sums are compared
 *
 * Each message says who sent it and its number, is filled from these two, and carries a checksum.
 * Nothing is decided by time; the deadline only turns a hang into a failure.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libclient/kickmsg.h"
#include "tests/support/stress/stress_message.h"

#define STRESS_MAX_WORKERS  64
#define STRESS_LOCKSTEP_MAX 8
#define STRESS_HOLD_MAX     8

struct stress_run;

struct stress_case {
	const char *name;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t pool;
	uint32_t ring;
	uint32_t messages;    /* bytes; 0 means 512 */
	uint32_t max_payload; /* bytes; 0: 512 */
	/* A subscriber holds one sample of so many for a while; 0: none. */
	uint32_t slow_every;
	uint32_t slow_us; /* how long it holds the sample */
	/* A publisher pauses after one message in so many; 0: never. */
	uint32_t pause_every;
	uint32_t churners; /* subscribers that come and go */
	uint32_t comers;   /* publishers that come and go */
	uint32_t spare;    /* subscribers' places that no worker takes */
	bool threads;      /* workers are threads, with one client each */
	/* Workers are threads on one piece of memory, without a broker: TSan sees these alone. */
	bool bare;
	bool copying; /* by send and receive_copy; not loan and borrow */
	/* A publisher that finds no room waits in its call. If false, it tries again. */
	bool waits;
	bool blocking;    /* subscribers sleep when there is nothing */
	bool shared;      /* one ring for all */
	uint32_t history; /* of the topic, in messages */
	/* The topic's. If not 0, private rings are longer than max_publishers. */
	uint32_t max_reliable;
	uint64_t stall_ns; /* of the topic */
	bool lockstep;     /* a publisher waits until everybody has its message */
	/* A publisher waits after each ring full until half of the subscribers have all of it,
	 * by turns: so each subscriber, a slow one too, gets every second ring full. */
	bool paced;
	/* runs in the parent while messages flow; negative: it failed */
	int (*meanwhile)(struct stress_run *run);
};

struct stress_publisher_line {
	_Alignas(64) _Atomic uint64_t sent; /* messages of all its lives */
	_Atomic uint64_t empty;             /* sends that met an empty pool */
};

struct stress_subscriber_line {
	_Alignas(64) _Atomic uint64_t received;
	_Atomic uint64_t lost;
	_Atomic uint32_t leave_early; /* the parent's request; it isn't in the sums then */
	_Atomic uint32_t left;
	_Atomic uint64_t seen[STRESS_LOCKSTEP_MAX]; /* by publisher, in lockstep or paced */
};

struct stress_board {
	_Atomic uint32_t attached;
	_Atomic uint32_t start;
	_Atomic uint32_t publishers_done;
	_Atomic uint32_t drained;
	_Atomic uint32_t leave;
	_Atomic uint32_t meanwhile_over; /* publishers go on until then */
	_Atomic uint32_t failed;
	_Atomic uint64_t churned; /* endpoints that churners and comers had */
	char failure[400];        /* what the first worker that failed said */
	struct stress_publisher_line publishers[STRESS_MAX_WORKERS];
	struct stress_subscriber_line subscribers[STRESS_MAX_WORKERS];
};

struct stress_region;

struct stress_run {
	const struct stress_case *what;
	const char *socket_path;
	char topic[64];
	uint64_t seed;
	uint64_t messages; /* of each publisher */
	int64_t deadline_ns;
	struct stress_board *board;
	struct stress_region *region; /* the parent's view */
};

/* One worker's view. */
struct stress_worker {
	struct stress_run *run;
	/* The worker's index among its kind; comers' follow the publishers'. */
	uint32_t index;
	int (*main)(struct stress_worker *worker);
	struct stress_rng rng;
	struct kickmsg_client *client; /* null in a bare run */
	/* a subscriber's; null: the defaults */
	const struct kickmsg_subscribe_options *options;
};

/* Defined in stress_case.c: runs one case, prints its line. Returns 0, or -1 after a message on
 * stderr. */
int stress_case_run(const struct stress_case *what, const char *socket_path, uint64_t seed);

/* The factor $KM_STRESS_SCALE, 1.0 by default. */
double stress_scale(void);

/* The workers (stress_publisher.c, stress_subscriber.c, stress_churn.c). Each returns 0, or -1
 * after stress_fail(). */
int stress_publisher_main(struct stress_worker *worker);
int stress_subscriber_main(struct stress_worker *worker);
int stress_churner_main(struct stress_worker *worker);
int stress_comer_main(struct stress_worker *worker);

/* Sends one message in the case's manner, again and again until a slot is free. */
int stress_publish(struct stress_worker *worker, struct kickmsg_publisher *publisher, uint32_t life,
	uint64_t sequence);

/* A subscriber that checks what it gets and holds some of it. */
struct stress_reader {
	struct stress_worker *worker;
	struct kickmsg_subscriber *subscriber;
	struct stress_tracker tracker;
	struct kickmsg_sample held[STRESS_HOLD_MAX];
	uint32_t held_count;
	/* The samples that it holds before it gives the oldest back. */
	uint32_t hold_target;
	void *buf; /* of a reader that copies */
	/* The subscriber was a reliable one, and was told that it is none any more. */
	bool demoted;
};

/* Takes one message; waits for one when `timeout_ns` isn't 0. Returns 1: it took one, 0: there
 * was none, or -1. */
int stress_reader_step(struct stress_reader *reader, int64_t timeout_ns);
/* Checks all samples that it still has once more and gives them back. */
int stress_reader_release_all(struct stress_reader *reader);

/* stress_count.c: the parent's own look at the region. */
int stress_region_open(struct stress_run *run, struct stress_region **ret);
void stress_region_close(struct stress_region *region);
/* Checks that all slots are free and all rings empty. If `wait`, the broker has a bounded time
 * for what it still has to do. Returns -1 after stress_fail(). */
int stress_region_count(struct stress_run *run, bool wait, const char *when);
/* Checks that the broker's own count agrees, and that the broker knows `publishers` and
 * `subscribers` participants. */
int stress_region_diagnose(
	struct stress_run *run, uint32_t publishers, uint32_t subscribers, const char *when);

/* stress_board.c */

/* Makes a board in memory that forked workers share. Null: there is no memory. */
struct stress_board *stress_board_new(void);
void stress_board_free(struct stress_board *board);

/* Records the first failure for all workers. Always returns -1. */
int stress_fail(struct stress_board *board, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Has a worker failed, or is the deadline over? Then records this, with what was being done. */
bool stress_over(struct stress_run *run, const char *doing);

/* Waits until *count is at least `enough`. -1: the run has failed. */
int stress_await(
	struct stress_run *run, _Atomic uint32_t *count, uint32_t enough, const char *doing);

void stress_pause_us(uint32_t us);

/*
 * Lets others run because there is nothing to do, for the `times`th time in a row: sleeps, at first
 * for as little as it can. Not sched_yield(): Linux 6.18 takes a slice of time from the caller at
 * each call. A process that yields in a loop doesn't run again for a minute (not even to die) while
 * others are busy.
 */
void stress_idle(uint32_t times);

/* Connections of workers (stress_attach.c). Each call returns 0, or -1 after stress_fail(). */
int stress_connect(struct stress_worker *worker);
void stress_disconnect(struct stress_worker *worker);
int stress_advertise(struct stress_worker *worker, struct kickmsg_publisher **ret);
void stress_unadvertise(struct stress_worker *worker, struct kickmsg_publisher *publisher);
int stress_subscribe(struct stress_worker *worker, struct kickmsg_subscriber **ret);
void stress_unsubscribe(struct stress_worker *worker, struct kickmsg_subscriber *subscriber);
