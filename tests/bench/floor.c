/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors: what the same exchange costs with nothing of ours in it. Each waits in the same way as
 * the kickmsg loads do: polls without a pause, or sleeps in a futex.
 */
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pair.h"

/* --- a line each way: store, spin on load -------------------------------------------------------- */

static void line_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	_Atomic uint64_t *ask = &worker->board->line[0];
	_Atomic uint64_t *answer = &worker->board->line[PAIR_APART / 8];
	uint64_t at = worker->line_at, start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		at++;
		if (worker->side == 1) {
			while (atomic_load_explicit(ask, memory_order_acquire) != at)
				;
			atomic_store_explicit(answer, at, memory_order_release);
			continue;
		}
		atomic_store_explicit(ask, at, memory_order_release);
		while (atomic_load_explicit(answer, memory_order_acquire) != at)
			;
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
	worker->line_at = at;
}

const struct pair_system pair_line = { .round = line_round };

/* --- a minimal ring of one producer and one consumer: copied in, looked at in place ---------------- */

struct ring_end {
	uint64_t produced;
	uint64_t consumed;
	uint64_t seen_head; /* of the ring that we produce into */
	_Alignas(64) uint64_t words[PAIR_RING_CELL / 8];
};

static struct ring_end *ring_end_of(struct pair_worker *worker, unsigned which)
{
	static struct ring_end ends[2]; /* this process': of ring 0, of ring 1 */

	return &ends[which];
}

static inline void ring_send(struct pair_ring *ring, struct ring_end *end, size_t size)
{
	uint64_t at = end->produced;

	while (at - end->seen_head == PAIR_RING_CELLS)
		end->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
	memcpy(ring->cells + at % PAIR_RING_CELLS * size, end->words, size);
	atomic_store_explicit(&ring->tail, at + 1, memory_order_release);
	end->produced = at + 1;
}

/* False when there is nothing; dies of a wrong message. */
static inline bool ring_receive(
	struct pair_worker *worker, struct pair_ring *ring, struct ring_end *end, size_t size)
{
	uint64_t at = end->consumed;

	if (atomic_load_explicit(&ring->tail, memory_order_acquire) == at)
		return false;
	if (!pair_message_good(ring->cells + at % PAIR_RING_CELLS * size, size, at))
		bench_die("the ring's floor got a wrong message");
	atomic_store_explicit(&ring->head, at + 1, memory_order_release);
	end->consumed = at + 1;
	worker->verified++;
	return true;
}

static void ring_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	struct pair_ring *to = &worker->board->ring[worker->side];
	struct pair_ring *from = &worker->board->ring[1 - worker->side];
	struct ring_end *out = ring_end_of(worker, worker->side);
	struct ring_end *in = ring_end_of(worker, 1 - worker->side);
	size_t size = worker->load->size;
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		if (worker->side == 1)
			while (!ring_receive(worker, from, in, size))
				;
		pair_message_write(out->words, size, out->produced);
		ring_send(to, out, size);
		if (worker->side == 1)
			continue;
		while (!ring_receive(worker, from, in, size))
			;
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
}

const struct pair_system pair_ring_copy = { .round = ring_round };

static void ring_flood(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	struct pair_ring *ring = &worker->board->ring[0];
	struct ring_end *end = ring_end_of(worker, 0);
	size_t size = worker->load->size;

	if (worker->side == 0) {
		for (unsigned i = 0; i < count; i++) {
			pair_message_write(end->words, size, end->produced);
			ring_send(ring, end, size);
		}
		return;
	}
	while (!ring_receive(worker, ring, end, size))
		;
	uint64_t start = bench_ticks();
	for (unsigned i = 1; i < count; i++)
		while (!ring_receive(worker, ring, end, size))
			;
	*ret_rate = (count - 1) * 1e3 / ((double)(bench_ticks() - start) * bench_ns_per_tick());
}

const struct pair_system pair_ring_flood = { .round = ring_flood };

/* Half a ring at once, timed; then the other side takes all of it. */
static void ring_burst(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	struct pair_ring *ring = &worker->board->ring[0];
	struct ring_end *end = ring_end_of(worker, 0);
	size_t size = worker->load->size;

	for (unsigned burst = 0; burst < count / (PAIR_RING_CELLS / 2) + 1; burst++) {
		uint64_t start = bench_ticks();

		for (unsigned i = 0; worker->side == 0 && i < PAIR_RING_CELLS / 2; i++) {
			pair_message_write(end->words, size, end->produced);
			ring_send(ring, end, size);
		}
		if (worker->side == 0)
			histogram_add(times, bench_ticks() - start);
		pair_meet(worker);
		while (worker->side == 1 && ring_receive(worker, ring, end, size))
			;
		pair_meet(worker);
	}
}

const struct pair_system pair_ring_burst = { .round = ring_burst };

/* --- futex: store, wake; wait ---------------------------------------------------------------------- */

static void futex_wake(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_wait_for(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void futex_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	_Atomic uint32_t *ask = &worker->board->futex[0];
	_Atomic uint32_t *answer = &worker->board->futex[PAIR_APART / 4];
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		uint32_t at = ++worker->futex_at;

		if (worker->side == 1) {
			futex_wait_for(ask, at);
			futex_wake(answer, at);
			continue;
		}
		futex_wake(ask, at);
		futex_wait_for(answer, at);
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
}

const struct pair_system pair_futex = { .round = futex_round };

/* --- a bare buffer: write all, flag, read all, flag back ------------------------------------------- */

static void bulk_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	_Atomic uint64_t *ask = &worker->board->line[0];
	_Atomic uint64_t *answer = &worker->board->line[PAIR_APART / 8];
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		uint64_t at = ++worker->line_at;

		if (worker->side == 1) {
			while (atomic_load_explicit(ask, memory_order_acquire) != at)
				;
			if (!pair_message_check(worker->board->bulk, worker->load->size, at))
				bench_die("the buffer's floor got a wrong message");
			worker->verified++;
			atomic_store_explicit(answer, at, memory_order_release);
			continue;
		}
		pair_bulk_write(worker->board->bulk, worker->load->size, at);
		atomic_store_explicit(ask, at, memory_order_release);
		while (atomic_load_explicit(answer, memory_order_acquire) != at)
			;
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
}

const struct pair_system pair_bulk = { .round = bulk_round };
