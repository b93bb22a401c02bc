/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes on two CPUs, a board of memory that they share, and a schedule that both know:
 *
 *   open all systems - probe - [ system 0, system 1, ... ] x rounds - probe - close
 *
 * Side 0 is the one that asks, side 1 the one that answers. Between two steps they meet at a barrier.
 * Nobody looks at a clock while waiting for the other: the parent does, and ends both when the time
 * is up or one of them fails.
 */
#pragma once

#include <stdatomic.h>

#include "bench.h"
#include "histogram.h"

#define PAIR_MAX_SYSTEMS 4
#define PAIR_BULK_SIZE   (UINT64_C(1) << 20)
#define PAIR_RING_CELLS  64
#define PAIR_RING_CELL   1024
#define PAIR_APART       128 /* bytes: adjacent lines are fetched in twos */

struct pair_ring {
	_Alignas(PAIR_APART) _Atomic uint64_t tail; /* producer */
	_Alignas(PAIR_APART) _Atomic uint64_t head; /* consumer */
	_Alignas(PAIR_APART) unsigned char cells[PAIR_RING_CELLS * PAIR_RING_CELL];
};

struct pair_result {
	double values[BENCH_MAX_ROUNDS]; /* of each round */
	struct histogram times;          /* ticks, of all rounds */
	uint64_t sent;
	uint64_t received;
	uint64_t lost;
};

struct pair_board {
	_Alignas(PAIR_APART) _Atomic uint64_t arrived[2 * PAIR_APART / 8]; /* barrier */
	_Alignas(PAIR_APART) _Atomic uint64_t line[2 * PAIR_APART / 8];
	_Alignas(PAIR_APART) _Atomic uint32_t futex[2 * PAIR_APART / 4];
	_Alignas(PAIR_APART) _Atomic uint64_t
		done; /* messages that a round's sender has sent, + 1 */
	struct pair_ring ring[2];
	struct pair_result results[PAIR_MAX_SYSTEMS];
	double probes[2]; /* ns, one way */
	uint64_t verified[2];
	_Alignas(4096) unsigned char bulk[PAIR_BULK_SIZE];
};

struct pair_load;

struct pair_worker {
	const struct pair_load *load;
	struct pair_board *board;
	const char *socket_path;
	unsigned side;
	uint64_t arrivals;
	uint64_t verified;
	/* the floors' own places in their sequences */
	uint64_t line_at;
	uint32_t futex_at;
};

/* One round: `count` messages; times go to `times` in ticks, a rate (of those loads that are judged by
 * one) to *ret_rate. */
struct pair_system {
	void *(*open)(struct pair_worker *worker);
	void (*round)(struct pair_worker *worker, void *state, unsigned count,
		struct histogram *times, double *ret_rate);
	void (*close)(struct pair_worker *worker, void *state);
};

struct pair_load {
	const char *name;
	const char *unit;
	double per_tick;      /* from the median of a round's times in ns to `unit`; 0: rates */
	unsigned measuring;   /* the side whose times or rates count */
	unsigned iterations;  /* in a round, before scale.percent */
	size_t size;          /* bytes of a message */
	unsigned subscribers; /* fan-out: live ones */
	unsigned max_subscribers;
	unsigned system_count; /* the first is the floor */
	struct {
		const char *name;
		const struct pair_system *system;
		double goal; /* of the ratio; 0: none */
	} systems[PAIR_MAX_SYSTEMS];
};

extern const struct pair_system pair_line, pair_ring_copy, pair_ring_flood, pair_ring_burst,
	pair_futex, pair_bulk;

/* Both sides come here before either goes on. */
void pair_meet(struct pair_worker *worker);

/* Runs the load, again while its probes differ, and adds its rows. */
void pair_run(struct bench *bench, const struct pair_load *load);

/* The line ping-pong alone: ns, one way. For loads that aren't pairs. */
double pair_probe(void);

/* Do two probes differ by more than what a steady machine shows? */
bool pair_probes_differ(double a, double b);

/*
 * Small messages: word 0 is the sequence, all others follow from it. Every byte is written each time; the
 * timed reader looks at the first and the last word, which are all there is to see of 8 and of 16 bytes.
 */
static inline void pair_message_write(uint64_t *words, size_t size, uint64_t sequence)
{
	for (size_t i = 0; i < size / 8; i++)
		words[i] = sequence + i;
}

static inline bool pair_message_good(const void *data, size_t size, uint64_t sequence)
{
	const uint64_t *words = data;

	return words[0] == sequence && words[size / 8 - 1] == sequence + size / 8 - 1;
}

/* All of it; also for what is in memory that the compiler may not look into. */
bool pair_message_check(const void *data, size_t size, uint64_t sequence);
void pair_bulk_write(void *data, size_t size, uint64_t sequence);
