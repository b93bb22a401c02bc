/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows there are, what they are compared with, and the goals: one function makes each set. */
#include <stdio.h>
#include <string.h>

#include "floor.h"
#include "kick.h"
#include "loads.h"
#include "peers/peers.h"

static const struct adapter *const systems[] = {
	&kick_shared,
	&kick_rings,
	&kick_rings_copy,
};

#define SYSTEM_COUNT (sizeof(systems) / sizeof(systems[0]))

/* Goals of all loads of a kind; those that differ are in the table of sets. */
#define TAIL_GOAL   1.5 /* p99.9 / median, to the floor's own */
#define FLAT_GOAL   1.2 /* a shared ring's 48 subscribers, to 1 */
#define RING_GOAL   25  /* ns for each live private ring */
#define PLACES_GOAL 1.1 /* many places, one of them live, to that one alone */

/* Goals, by system: a ratio at most (times) or at least (rates). 0: none. */
struct goals {
	double rings;
	double shared;
};

static double goal_of(const struct adapter *adapter, const struct goals *goals)
{
	if (strcmp(adapter->name, "kickmsg-rings") == 0)
		return goals->rings;
	return strcmp(adapter->name, "kickmsg-shared") == 0 ? goals->shared : 0;
}

/* Ours in this shape, against the set's row `floor`. */
static void add_ours(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals)
{
	for (size_t i = 0; i < SYSTEM_COUNT; i++) {
		struct entry *entry = set_add(set, load, NULL, systems[i], shape, floor);

		entry->goal = goal_of(systems[i], goals);
		if (shape->kind == SHAPE_PING_PONG)
			entry->tail_goal = TAIL_GOAL;
	}
}

/* Every system. */
static void add_systems(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals)
{
	add_ours(set, load, shape, floor, goals);
	for (size_t i = 0; peers[i]; i++)
		set_add(set, load, NULL, peers[i], shape, floor);
}

/* Against a line where the payload is smaller than one, else against the ring that holds it. */
static void latency(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1 };
	bool small = size <= 64;

	set_add(set, load, "floor", small ? &floor_line : &floor_ring, &shape, 0);
	set_add(set, load, NULL, small ? &floor_ring : &floor_line, &shape, 0);
	set_add(set, load, NULL, &floor_ring_copy, &shape, 0);
	add_systems(set, load, &shape, 0, goals);
}

static void blocking(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_PING_PONG, size, 1, 1, .ends = 1, .block = true };

	set_add(set, load, "floor", &floor_futex, &shape, 0);
	add_systems(set, load, &shape, 0, goals);
}

static void throughput(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	struct shape shape = { SHAPE_STREAM, size, 1, 1, .ends = 1 };

	set_add(set, load, "floor", &floor_ring, &shape, 0);
	set_add(set, load, NULL, &floor_ring_copy, &shape, 0);
	add_systems(set, load, &shape, 0, goals);
}

/* One process has all receiving ends, and takes when the publisher has stopped: nobody's CPU is
 * short while a send is timed. All numbers of receivers are in one set, to be compared. */
static void fanout(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned live[] = { 1, 4, 15, 48 };
	struct shape shape = { SHAPE_BURST, size, 1, 1, .ends = 0 };
	int floor = (int)set->count, fewer;

	set_add(set, "fanout-0", "floor", &floor_broadcast, &shape, floor);
	fewer = (int)set->count;
	add_systems(set, "fanout-0", &shape, floor, &(struct goals){ 0 });
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "fanout-%u", live[i]);
		shape.ends = live[i];
		floor = (int)set->count;
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		add_systems(set, name, &shape, floor, goals);
		for (size_t s = 0; s < SYSTEM_COUNT; s++) {
			struct entry *entry = &set->entries[floor + 1 + (int)s];

			entry->per_ring_from = fewer + (int)s;
			entry->per_ring_goal = goal_of(
				systems[s], &(struct goals){ .rings = RING_GOAL });
			entry->beside_goal = goal_of(
				systems[s], &(struct goals){ .shared = FLAT_GOAL });
			if (live[i] == 48 && entry->beside_goal > 0)
				entry->beside = fewer + (int)s;
		}
		if (live[i] == 1)
			fewer = floor + 1;
	}
}

/* The receivers sleep in receive, a process each; or look all the time, from one process. */
static void attentive(struct set *set, enum shape_kind kind, const char *how, size_t size,
	const struct goals *goals)
{
	static const unsigned live[] = { 1, 4, 15, 48 };
	bool wake = kind == SHAPE_WAKE;

	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		struct shape shape = { kind, size, 1, wake ? live[i] : 1,
			.ends = wake ? 1 : live[i], .block = wake };
		int floor = (int)set->count;
		char name[32];

		snprintf(name, sizeof(name), "fanout-%u-%s", live[i], how);
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		add_ours(set, name, &shape, floor, goals);
	}
}

static void blocked(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	attentive(set, SHAPE_WAKE, "blocked", size, goals);
}

static void polling(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	attentive(set, SHAPE_PACED, "polling", size, goals);
}

/* One live subscriber of many places. */
static void places(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned many[] = { 1, 16, 48 };

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		struct shape shape = { SHAPE_BURST, size, 1, 1, .ends = 1, .places = many[i] };
		int floor = (int)set->count;
		char name[32];

		snprintf(name, sizeof(name), "places-%u", many[i]);
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		add_ours(set, name, &shape, floor, goals);
		for (size_t s = 0; i > 0 && s < SYSTEM_COUNT; s++) {
			struct entry *entry = &set->entries[floor + 1 + (int)s];

			entry->beside_goal = goal_of(
				systems[s], &(struct goals){ .rings = PLACES_GOAL });
			if (entry->beside_goal > 0)
				entry->beside = 1 + (int)s;
		}
	}
}

/* Ours: what one publisher sends, then what more of them do, and what the subscribers get of it,
 * beside what one can read at all. */
static void flood_of(struct set *set, const struct adapter *adapter, size_t size, bool first)
{
	struct shape one = { SHAPE_FLOOD, size, 1, 1, .ends = 1 };
	struct shape four = { SHAPE_FLOOD, size, 4, 1, .ends = 1 };
	struct shape stream = { SHAPE_STREAM, size, 1, 1, .ends = 1 };
	struct shape to_eight = { SHAPE_FLOOD, size, 1, 8, .ends = 1 };
	struct shape both = { SHAPE_FLOOD, size, 4, 8, .ends = 1 };
	int alone = (int)set->count, read;
	struct entry *entry;

	entry = set_add(set, first ? "flood-4to1" : "flood-1to1", first ? "floor" : NULL, adapter,
		&one, alone);
	entry->note = "one publisher alone";
	set_add(set, "flood-4to1", NULL, adapter, &four, alone)->goal = 0.8;
	read = (int)set->count;
	entry = set_add(
		set, "flood-4to1-read", first ? "floor" : "one-reader", adapter, &stream, read);
	entry->note = "what one can read";
	entry = set_add(set, "flood-4to1-read", NULL, adapter, &four, read);
	entry->arrivals_of = alone + 1;
	entry->goal = 0.5;
	set_add(set, "flood-1to8", NULL, adapter, &to_eight, alone);
	set_add(set, "flood-4to8", NULL, adapter, &both, alone);
}

static void flood(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	flood_of(set, &kick_rings, size, true);
	flood_of(set, &kick_shared, size, false);
	for (size_t i = 0; peers[i]; i++) {
		struct shape one = { SHAPE_FLOOD, size, 1, 1, .ends = 1 };
		struct shape four = { SHAPE_FLOOD, size, 4, 1, .ends = 1 };
		int alone = (int)set->count;

		set_add(set, "flood-1to1", NULL, peers[i], &one, alone);
		set_add(set, "flood-4to1", NULL, peers[i], &four, alone);
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
	{ "latency-64k", latency, 65536, { 1.05, 0 } },
	{ "latency-1m", latency, MESSAGE_MAX, { 1.05, 0 } },
	{ "blocking-64", blocking, 64, { 1.05, 1.05 } },
	{ "throughput-8", throughput, 8, { 0, 0.7 } },
	{ "throughput-64", throughput, 64, { 0, 0.85 } },
	{ "throughput-1k", throughput, 1024, { 0, 0.8 } },
	{ "throughput-64k", throughput, 65536, { 0.95, 0 } },
	{ "fanout", fanout, 64, { 0, 2 } },
	{ "fanout-blocked", blocked, 64, { 0, 2 } },
	{ "fanout-polling", polling, 64, { 0, 2 } },
	{ "places", places, 64, { 0 } },
	{ "flood", flood, 64, { 0 } },
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
