/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions that must hold after a victim was killed, and while and after it stood still.
 * Every function returns false after it has said what is wrong.
 */
#pragma once

#include "tests/support/crash/crash_world.h"

enum crash_transports {
	CRASH_NONE,
	CRASH_BOTH,
	CRASH_RINGS_ONLY,
	CRASH_SHARED_ONLY,
};

/* Runs the victim's operation. */
struct crash_op {
	const char *name;
	enum km_role role;            /* the victim's role */
	void (*run)(void *world);     /* marked CRASH_OP */
	void (*prepare)(void *world); /* runs in the walker before; may be null */
	uint32_t sends;               /* messages that it publishes */
	uint32_t takes;               /* messages that it receives, if there are so many */
	bool detaches;                /* the victim's handle is gone afterwards */
	/* Called after the spared victim has gone on to the end: is what it got right? */
	bool (*check)(struct crash_world *world);
	/* Not CRASH_NONE: the operation is about many messages, and runs in states that are for
	 * these. */
	enum crash_transports many;
	bool waits; /* needs an empty ring at its end */
};

/* All living participants but the victim empty their rings and give back samples and loans. */
bool crash_settle(struct crash_world *world, enum km_role victim);

/* Checks received + lost == positions, for every survivor. `victims` messages of the victim may
 * be among the positions. */
bool crash_balance(
	struct crash_world *world, enum km_role victim, uint32_t victims_min, uint32_t victims_max);

/* `count` messages from the surviving publishers to the surviving subscribers, in bursts of 1 to
 * twice a ring, each received at once: nothing may be lost but what a burst pushes out of its own
 * ring. */
bool crash_flow(struct crash_world *world, enum km_role victim, uint32_t count);

/* Takes all slots that can be had and gives them back. Fails if they are fewer than `expected`. */
bool crash_count_pool(struct crash_world *world, uint32_t expected);

/* Judges a world whose victim is dead. */
bool crash_judge_killed(struct crash_world *world, const struct crash_op *op);

/* Judges a world whose victim stands still, while `messages` flow. */
bool crash_judge_frozen(struct crash_world *world, const struct crash_op *op, uint32_t messages);

/* Judges a world whose victim went on and finished. */
bool crash_judge_finished(struct crash_world *world, const struct crash_op *op);
