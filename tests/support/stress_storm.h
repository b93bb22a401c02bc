/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storm: publishers and subscribers that are killed at random and replaced. What each did stands on a
 * board in shared memory, so that the sums can be made without him.
 *
 * How "received + lost = sent" is exact although people die in the middle
 * - `attempted` is stored before a message is published, `sent` after. Of a killed publisher at most one message
 *   is in doubt: attempted == sent + 1. A subscriber that received it knows that it counts; one that lost
 *   nothing and did not receive it knows that it doesn't. What remains is a bound: with d messages in doubt,
 *   low <= received + lost <= low + d, and equality where d is 0.
 * - A subscriber's count begins when it attaches. Half of them close the gate first: publishers stand
 *   still between two messages, so that the beginning is exact. The others take sums before and
 *   after, which are the bounds of where they began.
 * - Now and then the parent closes the gate, all drain, and the sums are compared and the pool is counted.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "stress.h"

#define STORM_PUBLISHERS  8
#define STORM_SUBSCRIBERS 8
#define STORM_ENDED       4096 /* lives of one publisher that are remembered */
#define STORM_PARENT_GATE (UINT64_C(1) << 63)

enum storm_state { STORM_GONE = 0, STORM_STARTING = 1, STORM_RUNNING = 2, STORM_PARKED = 3 };

struct storm_publisher {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t life;
	_Atomic uint64_t attempted; /* in all lives; the parent corrects it after a death */
	_Atomic uint64_t sent;
	_Atomic uint64_t doubtful; /* lives whose last message is in doubt */
	_Atomic uint64_t ended
		[STORM_ENDED]; /* [life % STORM_ENDED]: messages surely sent << 1 | one in doubt */
};

struct storm_subscriber {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t life;
	_Atomic uint64_t began_low, began_high; /* sum of `sent` when it attached, between these */
	_Atomic uint64_t began_doubtful;
	_Atomic uint64_t received, lost;
	_Atomic uint64_t
		known; /* messages in doubt that it received, when it heard of the next life */
	_Atomic uint64_t known_at_rest; /* all that it received */
	_Atomic uint64_t settled;       /* round */
	_Atomic uint64_t total;         /* received in all lives */
};

struct storm_board {
	_Atomic uint64_t gate;   /* a bit for each that keeps it closed */
	_Atomic uint64_t settle; /* round that is asked for */
	_Atomic uint32_t stop_publishers, stop_subscribers;
	struct storm_publisher publishers[STORM_PUBLISHERS];
	struct storm_subscriber subscribers[STORM_SUBSCRIBERS];
};

struct storm {
	struct stress_run run; /* its board has the failure */
	struct stress_case what;
	struct storm_board *board;
	struct storm_subscriber *self; /* in a subscriber's process */
};

/* stress_storm_worker.c: what one process does, from connecting to its end. 0 or -1. */
int storm_publisher_main(struct storm *storm, uint32_t slot, uint32_t life);
int storm_subscriber_main(struct storm *storm, uint32_t slot, uint32_t life);

struct storm_sums {
	uint64_t sent, attempted, doubtful;
};

void storm_sum(struct storm *storm, struct storm_sums *ret);
