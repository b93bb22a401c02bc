/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows there are, what they are compared with, and the goals. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/floor.h"
#include "tests/bench/kick.h"
#include "tests/bench/loads.h"
#include "tests/bench/peers/peers.h"
#include "tests/support/uring.h"

#define TAIL_GOAL 1.5 /* p99.9 / median, relative to the floor's own */

/* Eight batches. With room for two, publisher and subscriber wait for each other's. */
#define MANY_CELLS 256

const struct adapter *const loads_ours[LOADS_OURS] = {
	&kick_shared,
	&kick_rings,
	&kick_rings_copy,
	&kick_shared_rw,
};

double loads_goal_of(const struct adapter *adapter, const struct goals *goals)
{
	if (adapter == &kick_rings)
		return goals->rings;
	return adapter == &kick_shared || adapter == &kick_shared_rw ? goals->shared : 0;
}

void loads_add_ours(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals)
{
	int first = (int)set->count;

	for (int i = 0; i < LOADS_OURS; i++) {
		struct entry *entry = set_add(set, load, NULL, loads_ours[i], shape, floor);

		entry->goal = loads_goal_of(loads_ours[i], goals);
		if (shape->kind == SHAPE_PING_PONG)
			entry->tail_goal = TAIL_GOAL;
		if (shape->kind == SHAPE_PING_PONG && loads_ours[i] == &kick_shared)
			/* the rings, to show which transport is faster */
			entry->beside = first + i + 1;
	}
}

void loads_add_systems(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals)
{
	loads_add_ours(set, load, shape, floor, goals);
	for (size_t i = 0; peers[i]; i++)
		set_add(set, load, NULL, peers[i], shape, floor);
}

/* Latency: of small payloads beside a line each way, of larger ones beside a ring that holds the
 * payload. */
static void latency(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1 };
	bool small = size <= 64;

	set_add(set, load, "floor", small ? &floor_line : &floor_ring, &shape, 0);
	set_add(set, load, NULL, small ? &floor_ring : &floor_line, &shape, 0);
	set_add(set, load, NULL, &floor_ring_copy, &shape, 0);
	set_add(set, load, NULL, &floor_ring_ro, &shape, 0);
	loads_add_systems(set, load, &shape, 0, goals);
}

/* Large payloads that aren't copied: the receiver looks at two lines of each. */
static void sparse(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1, .sparse = true };

	set_add(set, load, "floor", &floor_ring, &shape, 0);
	set_add(set, load, NULL, &floor_ring_ro, &shape, 0);
	set_add(set, load, NULL, &kick_rings, &shape, 0)->goal = goals->rings;
	for (size_t i = 0; peers[i]; i++)
		set_add(set, load, NULL, peers[i], &shape, 0);
}

/* The cost of publish times: each transport with them, beside itself without them. */
static void timestamps(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	const struct adapter *const pairs[][2] = { { &kick_shared, &kick_shared_timed },
		{ &kick_rings, &kick_rings_timed } };
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1 };

	set_add(set, load, "floor", &floor_line, &shape, 0);
	for (size_t i = 0; i < 2; i++) {
		int without = (int)set->count;

		set_add(set, load, NULL, pairs[i][0], &shape, 0);
		set_add(set, load, NULL, pairs[i][1], &shape, 0)->beside = without;
	}
}

static void blocking(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1, .block = true };

	set_add(set, load, "floor", &floor_futex, &shape, 0);
	loads_add_systems(set, load, &shape, 0, goals);
}

/* Receivers that block by other means than a receive. */
static void waiting(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1, .block = true };
	int event;

	set_add(set, load, "floor", &floor_futex, &shape, 0);
	event = (int)set->count;
	set_add(set, load, NULL, &floor_eventfd, &shape, 0);
	set_add(set, load, NULL, &kick_rings, &shape, 0);
	if (test_has_uring()) {
		struct entry *entry = set_add(set, load, NULL, &kick_epoll_uring, &shape, 0);

		entry->goal = 1.2;
		entry->beside = event;
		entry->beside_goal = 1;
	}
	set_add(set, load, NULL, &kick_epoll_thread, &shape, 0)->goal = 2.2;
	set_add(set, load, NULL, &kick_waitset, &shape, 0)->goal = 1.2;
}

static void throughput(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_STREAM, size, 1, 1, .ends = 1 };

	set_add(set, load, "floor", &floor_ring, &shape, 0);
	set_add(set, load, NULL, &floor_ring_copy, &shape, 0);
	set_add(set, load, NULL, &floor_ring_ro, &shape, 0);
	loads_add_systems(set, load, &shape, 0, goals);
}

/* A reliable subscriber whose publisher waits, beside the same transport held by the receiver's credit. */
static void reliable(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	const struct adapter *const pairs[][2] = { { &kick_shared, &kick_shared_reliable },
		{ &kick_rings, &kick_rings_reliable } };
	struct shape shape = { SHAPE_STREAM, size, 1, 1, .ends = 1 };

	for (size_t i = 0; i < 2; i++) {
		int plain = (int)set->count;

		set_add(set, load, i ? NULL : "floor", pairs[i][0], &shape, plain)->note =
			"not reliable: the receiver's credit";
		set_add(set, load, NULL, pairs[i][1], &shape, plain)->goal = i ? goals->rings
									       : goals->shared;
	}
}

/* Calls with many messages, beside the calls with single messages that copy in too. */
static void many(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const struct {
		const struct adapter *single, *many;
		double goal;
	} pairs[] = { { &kick_shared, &kick_shared_many, 1.5 },
		{ &kick_rings_copy, &kick_rings_many, 2 } };
	static const enum shape_kind kinds[] = { SHAPE_STREAM, SHAPE_FLOOD };
	static const char *const names[] = { "many-64", "many-64-flood" };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct shape shape = { kinds[k], size, 1, 1, .ends = 1, .capacity = MANY_CELLS };
		const int floor = (int)set->count;

		if (shape.kind == SHAPE_STREAM)
			set_add(set, names[k], "floor", &floor_ring_copy, &shape, floor);
		for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
			const int one = (int)set->count;
			struct entry *entry;

			set_add(set, names[k], NULL, pairs[i].single, &shape, one);
			entry = set_add(set, names[k], NULL, pairs[i].many, &shape, one);
			entry->goal = pairs[i].goal;
			if (shape.kind == SHAPE_STREAM)
				entry->beside = floor;
		}
	}
}

static void bandwidth(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const size_t sizes[] = { 1024, 65536, MESSAGE_MAX };
	static const char *const names[] = { "memcpy-1k", "memcpy-64k", "memcpy-1m" };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct shape shape = { SHAPE_COPY, sizes[i], 1, 0 };

		set_add(set, names[i], NULL, &floor_memcpy, &shape, (int)set->count);
	}
}

static const struct {
	const char *load;
	void (*make)(struct set *set, const char *load, size_t size, const struct goals *goals);
	size_t size;
	struct goals goals;
} sets[] = {
	{ "latency-8", latency, 8, { 0, 1.35 } },
	{ "latency-64", latency, 64, { 2.2, 1.35 } },
	{ "latency-1k", latency, 1024, { 0, 1.5 } },
	{ "latency-4k", latency, 4096, { 0 } },
	{ "latency-8k", latency, 8192, { 0 } },
	{ "latency-16k", latency, 16384, { 0 } },
	{ "latency-64k", latency, 65536, { 1.05, 0 } },
	{ "latency-1m", latency, MESSAGE_MAX, { 1.05, 0 } },
	{ "latency-64k-sparse", sparse, 65536, { 1, 0 } },
	{ "latency-1m-sparse", sparse, MESSAGE_MAX, { 1, 0 } },
	{ "blocking-64", blocking, 64, { 1.05, 1.05 } },
	{ "waiting-64", waiting, 64, { 0 } },
	{ "timestamps-64", timestamps, 64, { 0 } },
	{ "timestamps-8", timestamps, 8, { 0 } },
	{ "throughput-8", throughput, 8, { 0, 0.7 } },
	{ "throughput-64", throughput, 64, { 0, 0.85 } },
	{ "throughput-1k", throughput, 1024, { 0, 0.8 } },
	{ "throughput-64k", throughput, 65536, { 0.95, 0 } },
	{ "reliable-64", reliable, 64, { 0.9, 0.9 } },
	{ "many-64", many, 64, { 0 } },
	{ "fanout", loads_fanout, 64, { 0, 2 } },
	{ "fanout-blocked", loads_blocked, 64, { 0, 2 } },
	{ "fanout-polling", loads_polling, 64, { 0, 2 } },
	{ "places", loads_places, 64, { 0 } },
	{ "flood", loads_flood, 64, { 0 } },
	{ "call-64", loads_polled_calls, 64, { 0 } },
	{ "call-blocking-64", loads_blocking_calls, 64, { 0 } },
	{ "calls-8to1", loads_many_calls, 64, { 0 } },
	{ "capacity", loads_capacity, 64, { 0 } },
	{ "processes", loads_processes, 64, { 0 } },
	{ "memcpy", bandwidth, 0, { 0 } },
};

#define SET_COUNT (sizeof(sets) / sizeof(sets[0]))

static void make(size_t index, struct set *set)
{
	memset(set, 0, sizeof(*set));
	sets[index].make(set, sets[index].load, sets[index].size, &sets[index].goals);
}

bool loads_chosen(const char *load, const char *rows)
{
	while (rows) {
		size_t length = strcspn(rows, ",");

		if (length > 0 && strncmp(load, rows, length) == 0)
			return true;
		rows = rows[length] ? rows + length + 1 : NULL;
		if (!rows)
			return false;
	}
	return true;
}

unsigned loads_run_sets(struct bench *bench, const char *rows)
{
	static struct set set;
	unsigned count = 0;

	for (size_t i = 0; i < SET_COUNT; i++) {
		bool chosen = loads_chosen(sets[i].load, rows);

		make(i, &set);
		for (unsigned e = 0; e < set.count; e++)
			chosen = chosen || loads_chosen(set.entries[e].load, rows);
		if (!chosen)
			continue;
		fprintf(stderr, "%s ...\n", sets[i].load);
		set_run(bench, &set);
		count++;
	}
	return count;
}

void loads_list_sets(void)
{
	static struct set set;

	for (size_t i = 0; i < SET_COUNT; i++) {
		make(i, &set);
		for (unsigned e = 0; e < set.count; e++) {
			bool known = false;

			for (unsigned before = 0; before < e; before++)
				known = known ||
					strcmp(set.entries[before].load, set.entries[e].load) == 0;
			if (!known)
				printf("%s\n", set.entries[e].load);
		}
	}
}
