/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows there are (loads.c), those with many ends from loads-many.c. */
#pragma once

#include "tests/bench/set.h"

/* Runs the sets that have a load which begins with one of `rows` (comma-separated; null: all). Returns
 * how many there were. */
unsigned loads_run_sets(struct bench *bench, const char *rows);

/* True when the user asked for `load`. */
bool loads_chosen(const char *load, const char *rows);

/* Prints the loads of all sets, one a line. */
void loads_list_sets(void);

/* Goals by system: a ratio at most (of times) or at least (of rates). 0: no goal. */
struct goals {
	double rings;
	double shared;
};

double loads_goal_of(const struct adapter *adapter, const struct goals *goals);

#define LOADS_OURS 4

extern const struct adapter *const loads_ours[LOADS_OURS];

/* Adds kickmsg's systems in this shape, compared with the set's row `floor`. */
void loads_add_ours(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals);

/* Adds every system, kickmsg's and others. */
void loads_add_systems(struct set *set, const char *load, const struct shape *shape, int floor,
	const struct goals *goals);

/* The sets of loads-many.c. Each is a set of rows that are compared with each other. */
void loads_fanout(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_blocked(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_polling(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_places(struct set *set, const char *load, size_t size, const struct goals *goals);
/* loads-calls.c */
void loads_polled_calls(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_blocking_calls(
	struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_many_calls(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_capacity(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_processes(struct set *set, const char *load, size_t size, const struct goals *goals);
void loads_flood(struct set *set, const char *load, size_t size, const struct goals *goals);
