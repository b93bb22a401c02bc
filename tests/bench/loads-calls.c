/* SPDX-License-Identifier: Apache-2.0 */
/* The sets of calls: beside messages of the same size, or beside the wake-ups that they consist of. */
#include "tests/bench/floor.h"
#include "tests/bench/kick.h"
#include "tests/bench/loads.h"
#include "tests/bench/peers/peers.h"

/* The goal of a call there and back, relative to two messages of the faster transport. */
#define POLLED_GOAL   1.15
#define BLOCKING_GOAL 1.1 /* relative to two raw futex wake-ups */
/* A flood of four publishers has the goal 0.7. A call is two messages, so it has half of that. */
#define RATE_GOAL 0.35

static const struct adapter *const calls[] = { &kick_call, &kick_call_rings, &kick_call_timed };

static void add_calls(
	struct set *set, const char *load, const struct shape *shape, int floor, double goal)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct entry *entry = set_add(set, load, NULL, calls[i], shape, floor);

		/* a deadline needs two looks at the clock, which the goal doesn't count */
		entry->goal = calls[i] == &kick_call_timed ? 0 : goal;
	}
	for (size_t i = 0; call_peers[i]; i++)
		set_add(set, load, NULL, call_peers[i], shape, floor);
}

void loads_polled_calls(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1 };

	set_add(set, load, "floor", &kick_shared, &shape, 0);
	set_add(set, load, NULL, &kick_rings, &shape, 0);
	add_calls(set, load, &shape, 0, POLLED_GOAL);
}

void loads_blocking_calls(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1, .block = true };

	set_add(set, load, "floor", &floor_futex, &shape, 0);
	set_add(set, load, NULL, &kick_shared, &shape, 0);
	set_add(set, load, NULL, &kick_rings, &shape, 0);
	add_calls(set, load, &shape, 0, BLOCKING_GOAL);
}

void loads_many_calls(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape flood = { SHAPE_FLOOD, size, 4, 1, .ends = 1 };
	struct shape shape = { SHAPE_CALLS, size, 8, 1, .ends = 1 };

	set_add(set, "calls-8to1-flood", "floor", &kick_shared, &flood, 0);
	set_add(set, "calls-8to1-flood", NULL, &kick_rings, &flood, 0);
	add_calls(set, load, &shape, 0, RATE_GOAL);
}
