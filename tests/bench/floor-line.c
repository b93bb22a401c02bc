/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floors without a payload: what the hardware and the kernel take for a signal each way, and for moving
 * bytes at all. Each waits as the systems do: polls without a pause, or sleeps in a futex.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/floor.h"

/* --- a line each way: store, spin on load -------------------------------------------------------- */

static void line_round(struct worker *worker, unsigned count)
{
	_Atomic uint64_t *ask = (_Atomic uint64_t *)worker->stage->arena;
	_Atomic uint64_t *answer = ask + STAGE_APART / 8;
	uint64_t at = worker->sent, start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		at++;
		if (worker->index == 1) {
			while (atomic_load_explicit(ask, memory_order_acquire) != at)
				;
			atomic_store_explicit(answer, at, memory_order_release);
			continue;
		}
		atomic_store_explicit(ask, at, memory_order_release);
		while (atomic_load_explicit(answer, memory_order_acquire) != at)
			;
		uint64_t end = bench_ticks();
		histogram_add(&worker->times, end - start);
		start = end;
	}
	worker->sent = at;
}

const struct adapter floor_line = {
	.name = "floor-line",
	.setting = "a cache line each way",
	.shapes = 1 << SHAPE_PING_PONG,
	.max_size = MESSAGE_MAX,
	.round = line_round,
};

/* --- futex: store, wake; wait ---------------------------------------------------------------------- */

static void futex_wake(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
	stage_futex_wake(word);
}

static void futex_wait_for(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value)
		stage_futex_wait(word, seen, -1);
}

static void futex_round(struct worker *worker, unsigned count)
{
	_Atomic uint32_t *ask = (_Atomic uint32_t *)worker->stage->arena;
	_Atomic uint32_t *answer = ask + STAGE_APART / 4;

	for (unsigned i = 0; i < count; i++) {
		uint64_t start = worker->index == 0 ? stage_let_sleep() : 0;
		uint32_t at = (uint32_t)++worker->sent;

		if (worker->index == 1) {
			futex_wait_for(ask, at);
			futex_wake(answer, at);
			continue;
		}
		futex_wake(ask, at);
		futex_wait_for(answer, at);
		histogram_add(&worker->times, bench_ticks() - start);
	}
}

const struct adapter floor_futex = {
	.name = "floor-futex",
	.setting = "a raw futex each way",
	.shapes = 1 << SHAPE_PING_PONG,
	.max_size = MESSAGE_MAX,
	.round = futex_round,
};

/* --- memcpy: the bytes of a message, in one process, from one buffer to another ----------------------- */

static void memcpy_round(struct worker *worker, unsigned count)
{
	struct tally *tally = &worker->stage->tallies[0];
	unsigned char *from = worker->stage->arena, *to = from + worker->shape.size;
	uint64_t key = worker->sent;

	message_write(from, worker->shape.size, key);
	tally->start = bench_ticks();
	for (unsigned i = 0; i < count; i++) {
		memcpy(to, from, worker->shape.size);
		__asm__ volatile("" ::: "memory");
	}
	tally->end = bench_ticks();
	tally->messages = count;
	if (!message_good(to, worker->shape.size, key))
		stage_wrong(worker, to, key);
	worker->verified++;
	worker->sent++;
}

const struct adapter floor_memcpy = {
	.name = "floor",
	.setting = "memcpy, one process",
	.shapes = 1 << SHAPE_COPY,
	.max_size = MESSAGE_MAX,
	.round = memcpy_round,
};
