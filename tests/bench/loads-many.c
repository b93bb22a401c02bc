/* SPDX-License-Identifier: Apache-2.0 */
/* The sets with many ends: what a publish costs with so many subscribers or places, and floods. */
#include <stdio.h>

#include "common/memory/layout.h"
#include "tests/bench/floor.h"
#include "tests/bench/kick.h"
#include "tests/bench/loads.h"
#include "tests/bench/peers/peers.h"

#define FLAT_GOAL   1.2 /* a shared ring's many subscribers, against 1 */
#define FENCED_GOAL 1.5 /* against a floor that fences */
#define RING_GOAL   25  /* ns for each live private ring */
#define PLACES_GOAL 1.1 /* one live of many places, against one place */

/* One process has all receiving ends, and takes when the publisher has stopped, so nobody lacks
 * a CPU while a send is timed. All numbers of receivers are in one set, to be compared. */
void loads_fanout(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned live[] = { 1, 4, 15, KM_MAX_RINGS };
	struct shape shape = { SHAPE_BURST, size, 1, 1, .ends = 0 };
	int floor = set->count, fewer;

	set_add(set, "fanout-0", "floor", &floor_broadcast, &shape, floor);
	fewer = set->count;
	loads_add_systems(set, "fanout-0", &shape, floor, &(struct goals){ 0 });
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "fanout-%u", live[i]);
		shape.ends = live[i];
		floor = set->count;
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		set_add(set, name, NULL, &floor_broadcast_ro, &shape, floor);
		loads_add_systems(set, name, &shape, floor, goals);
		for (int s = 0; s < LOADS_OURS; s++) {
			struct entry *entry = &set->entries[floor + 2 + s];

			entry->per_ring_from = fewer + s;
			entry->per_ring_goal = loads_goal_of(
				loads_ours[s], &(struct goals){ .rings = RING_GOAL });
			entry->beside_goal = loads_goal_of(
				loads_ours[s], &(struct goals){ .shared = FLAT_GOAL });
			if (live[i] == KM_MAX_RINGS && entry->beside_goal > 0)
				entry->beside = fewer + s;
		}
		if (live[i] == 1)
			fewer = floor + 2;
	}
}

/* The receivers sleep in receive, in a process each, or they poll, all in one process. */
static void attentive(struct set *set, enum shape_kind kind, const char *how, size_t size,
	const struct goals *goals)
{
	static const unsigned live[] = { 1, 4, 15, KM_MAX_RINGS };
	bool wake = kind == SHAPE_WAKE;

	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		struct shape shape = { kind, size, 1, wake ? live[i] : 1,
			.ends = wake ? 1 : live[i], .block = wake };
		int floor = set->count;
		char name[32];

		snprintf(name, sizeof(name), "fanout-%u-%s", live[i], how);
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		if (wake) {
			loads_add_ours(set, name, &shape, floor, goals);
			continue;
		}
		set_add(set, name, NULL, &floor_broadcast_fenced, &shape, floor);
		set_add(set, name, NULL, &floor_fan, &shape, floor);
		set_add(set, name, NULL, &floor_fan_cas, &shape, floor);
		loads_add_ours(set, name, &shape, floor, goals);
		/* compared with a floor that fences as these must */
		for (int s = 0; s < LOADS_OURS; s++) {
			struct entry *entry = &set->entries[floor + 4 + s];

			entry->beside = floor + (entry->adapter->variant == KICKMSG_TRANSPORT_RINGS
								? 3
								: 1);
			entry->beside_goal = FENCED_GOAL;
		}
	}
}

void loads_blocked(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	attentive(set, SHAPE_WAKE, "blocked", size, goals);
}

void loads_polling(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	attentive(set, SHAPE_PACED, "polling", size, goals);
}

/* A topic with many places for subscribers, and one live subscriber. */
void loads_places(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned many[] = { 1, 16, KM_MAX_RINGS };

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		struct shape shape = { SHAPE_BURST, size, 1, 1, .ends = 1, .places = many[i] };
		int floor = set->count;
		char name[32];

		snprintf(name, sizeof(name), "places-%u", many[i]);
		set_add(set, name, "floor", &floor_broadcast, &shape, floor);
		loads_add_ours(set, name, &shape, floor, goals);
		for (int s = 0; i > 0 && s < LOADS_OURS; s++) {
			struct entry *entry = &set->entries[floor + 1 + s];

			entry->beside_goal = loads_goal_of(
				loads_ours[s], &(struct goals){ .rings = PLACES_GOAL });
			if (entry->beside_goal > 0)
				entry->beside = 1 + s;
		}
	}
}

/* Floods of kickmsg's: what one publisher sends, then what more publishers send, and what
 * subscribers get of it, beside the most that one subscriber can read. */
static void flood_of(struct set *set, const struct adapter *adapter, size_t size, bool first)
{
	struct shape one = { SHAPE_FLOOD, size, 1, 1, .ends = 1 };
	struct shape four = { SHAPE_FLOOD, size, 4, 1, .ends = 1 };
	struct shape stream = { SHAPE_STREAM, size, 1, 1, .ends = 1 };
	struct shape to_eight = { SHAPE_FLOOD, size, 1, 8, .ends = 1 };
	struct shape both = { SHAPE_FLOOD, size, 4, 8, .ends = 1 };
	int alone = set->count, read;
	struct entry *entry;

	entry = set_add(set, first ? "flood-4to1" : "flood-1to1", first ? "floor" : NULL, adapter,
		&one, alone);
	entry->note = "one publisher alone";
	set_add(set, "flood-4to1", NULL, adapter, &four, alone)->goal = 0.8;
	read = set->count;
	entry = set_add(
		set, "flood-4to1-read", first ? "floor" : "one-reader", adapter, &stream, read);
	entry->note = "what one can read";
	entry = set_add(set, "flood-4to1-read", NULL, adapter, &four, read);
	entry->arrivals_of = alone + 1;
	entry->goal = 0.5;
	set_add(set, "flood-1to8", NULL, adapter, &to_eight, alone);
	set_add(set, "flood-4to8", NULL, adapter, &both, alone);
}

/* One publisher that doesn't wait and one reader, with rings of several lengths. */
void loads_capacity(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned cells[] = { 64, 512, 4096, KM_MAX_CAPACITY };
	const struct adapter *const adapters[] = { &kick_shared, &kick_shared_rw, &kick_rings };

	for (size_t a = 0; a < sizeof(adapters) / sizeof(adapters[0]); a++)
		for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
			struct shape shape = { SHAPE_FLOOD, size, 1, 1, .ends = 1,
				.capacity = cells[i] };
			char name[32];

			snprintf(name, sizeof(name), "capacity-%u", cells[i]);
			set_add(set, name, NULL, adapters[a], &shape, (int)set->count);
		}
}

/* Sets with as many processes as their rows say: one publisher with all others as subscribers,
 * all others as publishers with one subscriber, and many topics of one publisher and one
 * subscriber each. They are compared with two processes. */
void loads_processes(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	static const unsigned processes[] = { 2, 4, 8, 16, 32 };
	const struct adapter *const adapters[] = { &kick_shared, &kick_rings };
	static const char *const how[] = { "1toN", "Nto1", "apart" };

	for (size_t a = 0; a < sizeof(adapters) / sizeof(adapters[0]); a++)
		for (size_t h = 0; h < sizeof(how) / sizeof(how[0]); h++) {
			int two = (int)set->count;

			for (size_t i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
				unsigned n = processes[i];
				struct shape shape = { SHAPE_FLOOD, size, 1, 1, .ends = 1 };
				char name[32];

				shape.apart = h == 2;
				shape.senders = h == 1 ? n - 1 : h == 2 ? n / 2 : 1;
				shape.receivers = h == 0 ? n - 1 : h == 2 ? n / 2 : 1;
				snprintf(name, sizeof(name), "%s-%s-%u", load, how[h], n);
				set_add(set, name, NULL, adapters[a], &shape, two);
			}
		}
}

void loads_flood(struct set *set, const char *load, size_t size, const struct goals *goals)
{
	flood_of(set, &kick_rings, size, true);
	flood_of(set, &kick_shared, size, false);
	for (size_t i = 0; peers[i]; i++) {
		struct shape one = { SHAPE_FLOOD, size, 1, 1, .ends = 1 };
		struct shape four = { SHAPE_FLOOD, size, 4, 1, .ends = 1 };
		int alone = set->count;

		set_add(set, "flood-1to1", NULL, peers[i], &one, alone);
		set_add(set, "flood-4to1", NULL, peers[i], &four, alone);
	}
}
