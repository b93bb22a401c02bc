/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floors with the payload: the least that moves a message from one process to another. A cell holds its
 * sequence and the payload, in whole cache lines; the reader waits for the sequence.
 *
 *   ring       one writer, one reader. The reader says how far it is; the writer looks there only when
 *              the cells that it knows to be free are used up.
 *   broadcast  one writer, any number of readers, which say nothing and keep their place to themselves.
 *              Nothing tells a reader that it was lapped: the loads take care that none is.
 *   -ro        the same with the cells mapped read only where they are read, as a shared ring's usual
 *              subscriber has them: what the processor makes of that
 *
 * Nothing here survives a death, a second writer, a reader that is too slow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/bench/floor.h"
#include "tests/bench/loops.h"

#define MAX_CELLS   64
#define ARENA_BYTES (UINT64_C(1) << 20)

struct cell {
	_Atomic uint64_t sequence; /* of the cell's message, + 1 */
	uint64_t size;
	uint64_t payload[];
};

struct ring {
	_Alignas(STAGE_APART) _Atomic uint64_t head; /* messages that the reader has taken */
	_Alignas(STAGE_APART) _Atomic uint32_t bell; /* broadcast: the readers' futex */
	_Alignas(4096) unsigned char cells[];        /* pages of their own: see open_reader() */
};

struct end {
	struct ring *ring;
	size_t stride;
	uint64_t cells;
	uint64_t at;
	uint64_t head_seen;
	uint32_t bell_seen;
	bool rings;
	_Alignas(64) unsigned char copy[]; /* a copying end's message */
};

/*
 * Cells of a ring: 1 MiB of them, so that they stay in the caches. With fewer, a cell that the
 * reader has just had must be taken out of its cache: 64 KiB go one way in 6.3 us through 16 cells
 * and in 9.6 us through 2. Where a message is 1 MiB, 2 cells are the fastest, and a stream needs 4.
 */
static uint64_t cells_for(const struct shape *shape)
{
	uint64_t cells = MAX_CELLS;
	uint64_t least = shape->kind == SHAPE_PING_PONG ? 2 : 4;

	while (cells > least && cells * shape->size > ARENA_BYTES)
		cells /= 2;
	return cells;
}

static size_t stride_for(const struct shape *shape)
{
	return (sizeof(struct cell) + shape->size + 63) / 64 * 64;
}

static size_t ring_bytes(const struct shape *shape)
{
	return (sizeof(struct ring) + cells_for(shape) * stride_for(shape) + 4095) / 4096 * 4096;
}

static size_t ring_arena(const struct shape *shape)
{
	return 2 * ring_bytes(shape);
}

static void *open_end(struct worker *worker, unsigned channel)
{
	size_t bytes = (sizeof(struct end) + worker->shape.size + 63) / 64 * 64;
	struct end *end = aligned_alloc(64, bytes);

	if (!end)
		bench_die("no memory");
	memset(end, 0, bytes);
	end->ring = (struct ring *)(worker->stage->arena + channel * ring_bytes(&worker->shape));
	end->stride = stride_for(&worker->shape);
	end->cells = cells_for(&worker->shape);
	end->rings = worker->shape.block;
	return end;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	return open_end(worker, channel);
}

static void *open_reader(struct worker *worker, unsigned channel, unsigned index)
{
	struct end *end = open_end(worker, channel);
	size_t size = ring_bytes(&worker->shape) - sizeof(struct ring);

	if (mprotect(end->ring->cells, size, PROT_READ) < 0)
		bench_die("the cells can't be made read only: %s", strerror(errno));
	return end;
}

static inline struct cell *cell_at(const struct end *end)
{
	return (struct cell *)(end->ring->cells + (end->at & (end->cells - 1)) * end->stride);
}

static inline struct cell *free_cell(struct end *end)
{
	while (end->at - end->head_seen == end->cells)
		end->head_seen = atomic_load_explicit(&end->ring->head, memory_order_acquire);
	return cell_at(end);
}

static inline void put(struct end *end, struct cell *cell, size_t size)
{
	cell->size = size;
	atomic_store_explicit(&cell->sequence, ++end->at, memory_order_release);
}

static inline const void *look(struct end *end, size_t size)
{
	struct cell *cell = cell_at(end);

	if (atomic_load_explicit(&cell->sequence, memory_order_acquire) != end->at + 1)
		return NULL;
	if (cell->size != size)
		bench_die("the ring's floor got a wrong size");
	return cell->payload;
}

static void ring_send(void *sender, size_t size, uint64_t key)
{
	struct end *end = sender;
	struct cell *cell = free_cell(end);

	message_write(cell->payload, size, key);
	put(end, cell, size);
}

static const void *ring_take(void *receiver, size_t size, bool block)
{
	return look(receiver, size);
}

static void ring_release(void *receiver)
{
	struct end *end = receiver;

	atomic_store_explicit(&end->ring->head, ++end->at, memory_order_release);
}

static void copy_send(void *sender, size_t size, uint64_t key)
{
	struct end *end = sender;

	message_write(end->copy, size, key);
	struct cell *cell = free_cell(end);
	memcpy(cell->payload, end->copy, size);
	put(end, cell, size);
}

static const void *copy_take(void *receiver, size_t size, bool block)
{
	struct end *end = receiver;
	const void *data = look(end, size);

	if (!data)
		return NULL;
	memcpy(end->copy, data, size);
	ring_release(end);
	return end->copy;
}

static void copy_release(void *receiver)
{
}

static void broadcast_send(void *sender, size_t size, uint64_t key)
{
	struct end *end = sender;
	struct cell *cell = cell_at(end);

	message_write(cell->payload, size, key);
	put(end, cell, size);
	if (end->rings) {
		atomic_store_explicit(&end->ring->bell, (uint32_t)end->at, memory_order_release);
		stage_futex_wake(&end->ring->bell);
	}
}

static const void *broadcast_take(void *receiver, size_t size, bool block)
{
	struct end *end = receiver;
	uint32_t bell = block ? atomic_load_explicit(&end->ring->bell, memory_order_acquire) : 0;
	const void *data = look(end, size);

	if (!data && block)
		stage_futex_wait(&end->ring->bell, bell, -1);
	return data;
}

static void broadcast_release(void *receiver)
{
	struct end *end = receiver;

	end->at++;
}

LOOPS(in_place_round, floor_ring)
LOOPS(copy_round, floor_ring_copy)
LOOPS(broadcast_round, floor_broadcast)
LOOPS(read_only_round, floor_ring_ro)
LOOPS(broadcast_read_only_round, floor_broadcast_ro)

const struct adapter floor_ring = {
	.name = "floor-ring",
	.setting = "minimal ring, in place",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.arena_size = ring_arena,
	.open_sender = open_end,
	.open_receiver = open_receiver,
	.send = ring_send,
	.take = ring_take,
	.release = ring_release,
	.round = in_place_round,
};

const struct adapter floor_ring_copy = {
	.name = "floor-ring-copy",
	.setting = "minimal ring, copied in and out",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.arena_size = ring_arena,
	.open_sender = open_end,
	.open_receiver = open_receiver,
	.send = copy_send,
	.take = copy_take,
	.release = copy_release,
	.round = copy_round,
};

const struct adapter floor_broadcast = {
	.name = "floor-broadcast",
	.setting = "minimal broadcast ring",
	.shapes = 1 << SHAPE_BURST | 1 << SHAPE_WAKE | 1 << SHAPE_PACED,
	.max_size = MESSAGE_MAX,
	.arena_size = ring_arena,
	.open_sender = open_end,
	.open_receiver = open_receiver,
	.send = broadcast_send,
	.take = broadcast_take,
	.release = broadcast_release,
	.round = broadcast_round,
};

const struct adapter floor_ring_ro = {
	.name = "floor-ring-ro",
	.setting = "minimal ring, in place, read only where it is read",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.arena_size = ring_arena,
	.open_sender = open_end,
	.open_receiver = open_reader,
	.send = ring_send,
	.take = ring_take,
	.release = ring_release,
	.round = read_only_round,
};

const struct adapter floor_broadcast_ro = {
	.name = "floor-broadcast-ro",
	.setting = "minimal broadcast ring, read only where it is read",
	.shapes = 1 << SHAPE_BURST | 1 << SHAPE_PACED,
	.max_size = MESSAGE_MAX,
	.arena_size = ring_arena,
	.open_sender = open_end,
	.open_receiver = open_reader,
	.send = broadcast_send,
	.take = broadcast_take,
	.release = broadcast_release,
	.round = broadcast_read_only_round,
};
