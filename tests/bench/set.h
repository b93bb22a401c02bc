/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of rows that are measured together, in interleaved rounds, with the line asked before and
 * after each turn:
 *
 *   probe A probe B probe C probe   A probe B probe C probe   ...
 *
 * A turn whose two probes differ is taken again, until they don't or there were enough; so what a
 * row's figures come from was measured on one and the same line, whatever it did between turns.
 * (loads*.c say which sets there are, set.c measures, set-rows.c makes rows of it.)
 */
#pragma once

#include "tests/bench/stage.h"

#define SET_MAX_ENTRIES 96

/* A row to be measured. */
struct entry {
	char load[32];
	const char *system;
	const struct adapter *adapter;
	struct shape shape;
	/* Index in the set that the ratio is taken to; -1: none. */
	int floor;
	int arrivals_of;    /* it has the received rate of that entry; -1: no */
	double goal;        /* for the ratio; 0: none */
	double tail_goal;   /* for p99.9 / median, to the floor's; 0: none */
	int beside;         /* its note has the ratio to that entry; -1: none */
	double beside_goal; /* for the ratio in the note; 0: none */
	/* A row with fewer receivers, for the cost of each further one; -1: none. */
	int per_ring_from;
	double per_ring_goal; /* in ns; 0: none */
	const char *note;     /* may be null */
};

struct set {
	struct entry entries[SET_MAX_ENTRIES];
	unsigned count;
};

struct entry *set_add(struct set *set, const char *load, const char *system,
	const struct adapter *adapter, const struct shape *shape, int floor);

/* Measures the set and adds its rows. */
void set_run(struct bench *bench, const struct set *set);

/* The results of an entry. */
struct figures {
	char failure[128]; /* "": nothing failed */
	double values[BENCH_MAX_ROUNDS];
	double arrived[BENCH_MAX_ROUNDS];
	double before[BENCH_MAX_ROUNDS]; /* the line's probes, ns */
	double after[BENCH_MAX_ROUNDS];
	unsigned again;     /* turns that were taken again */
	unsigned disturbed; /* rounds whose probes differed to the end */
	uint64_t due;       /* floods, over all turns: see struct playing */
	uint64_t got;
	uint64_t lost;
	struct histogram times;
};

struct measured {
	unsigned rounds;
	struct figures figures[SET_MAX_ENTRIES];
};

void set_report(struct bench *bench, const struct set *set, const struct measured *measured);
