/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floors of a publish to many that poll, with the fence that a publisher needs whose readers may sleep: the
 * message's store, a full fence, a look at whether somebody sleeps. Else a reader that goes to sleep between
 * the two is never woken.
 *
 *   broadcast-fenced   one ring for all: one store, one look
 *   fan                a ring for each reader with the number of the payload's cell, as private rings have:
 *                      a store for each, one fence, a look at each
 *   fan-cas            the same for more than one writer: a compare-and-swap for each, which is a fence
 *
 * Nothing here survives a death, a second writer, a reader that is too slow.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/floor.h"
#include "tests/bench/loops.h"

#define CELLS 64

struct reader {
	_Alignas(STAGE_APART) _Atomic uint32_t asleep;
	_Alignas(STAGE_APART) _Atomic uint64_t cells[CELLS]; /* number of the cell's message, + 1 */
};

struct end {
	struct reader *readers;
	unsigned char *payloads;
	size_t stride;
	unsigned count; /* bits: readers that are written to */
	uint64_t at;
};

static size_t stride_for(const struct shape *shape)
{
	return (shape->size + STAGE_APART - 1) / STAGE_APART * STAGE_APART;
}

static unsigned readers_of(const struct shape *shape)
{
	return shape->receivers * shape->ends;
}

static size_t fan_arena(const struct shape *shape)
{
	return (readers_of(shape) + 1) * sizeof(struct reader) + CELLS * stride_for(shape);
}

static struct end *open_end(const struct worker *worker, unsigned reader, unsigned count)
{
	const struct shape *shape = &worker->shape;
	struct end *end = calloc(1, sizeof(*end));

	if (!end)
		bench_die("no memory");
	end->stride = stride_for(shape);
	end->readers = (struct reader *)worker->stage->arena + reader;
	end->payloads = worker->stage->arena + (readers_of(shape) + 1) * sizeof(struct reader);
	end->count = count;
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	return open_end(worker, 0, worker->adapter->variant ? readers_of(&worker->shape) : 1);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	unsigned process = worker->index - worker->shape.senders;

	return open_end(
		worker, worker->adapter->variant ? process * worker->shape.ends + index : 0, 0);
}

static void fan_send(void *sender, size_t size, uint64_t key)
{
	struct end *end = sender;
	const uint64_t cell = end->at++ % CELLS;

	message_write(end->payloads + cell * end->stride, size, key);
	for (unsigned i = 0; i < end->count; i++)
		atomic_store_explicit(&end->readers[i].cells[cell], end->at, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < end->count; i++)
		if (atomic_load_explicit(&end->readers[i].asleep, memory_order_relaxed))
			stage_futex_wake(&end->readers[i].asleep);
}

static const void *fan_take(void *receiver, size_t size, bool block)
{
	struct end *end = receiver;
	const uint64_t cell = end->at % CELLS;

	if (atomic_load_explicit(&end->readers->cells[cell], memory_order_acquire) != end->at + 1)
		return NULL;
	return end->payloads + cell * end->stride;
}

static void cas_send(void *sender, size_t size, uint64_t key)
{
	struct end *end = sender;
	const uint64_t cell = end->at % CELLS;
	const uint64_t before = end->at < CELLS ? 0 : end->at + 1 - CELLS;

	end->at++;
	message_write(end->payloads + cell * end->stride, size, key);
	for (unsigned i = 0; i < end->count; i++) {
		uint64_t old = before;

		if (!atomic_compare_exchange_strong(&end->readers[i].cells[cell], &old, end->at))
			bench_die("a cell of the floor's has another message");
		if (atomic_load_explicit(&end->readers[i].asleep, memory_order_relaxed))
			stage_futex_wake(&end->readers[i].asleep);
	}
}

static void fan_release(void *receiver)
{
	struct end *end = receiver;

	end->at++;
}

LOOPS(fenced_round, floor_broadcast_fenced)
LOOPS(fan_round, floor_fan)
LOOPS(cas_round, floor_fan_cas)

/* The three differ in whether each reader has a ring (variant 1), and in how a message is committed. */
#define FLOOR(name_, setting_, variant_, send_, round_)                                            \
	{                                                                                          \
		.name = name_, .setting = setting_, .shapes = 1 << SHAPE_BURST | 1 << SHAPE_PACED, \
		.max_size = MESSAGE_MAX, .variant = variant_, .arena_size = fan_arena,             \
		.open_sender = open_sender, .open_receiver = open_receiver, .send = send_,         \
		.take = fan_take, .release = fan_release, .round = round_                          \
	}

const struct adapter floor_broadcast_fenced = FLOOR("floor-broadcast-fenced",
	"minimal broadcast ring whose readers may sleep", 0, fan_send, fenced_round);
const struct adapter floor_fan = FLOOR(
	"floor-fan", "a minimal ring for each, whose readers may sleep", 1, fan_send, fan_round);
const struct adapter floor_fan_cas = FLOOR(
	"floor-fan-cas", "the same for several writers", 1, cas_send, cas_round);
