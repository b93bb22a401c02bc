/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a subscriber has come to in its ring (ring.h), as the usual case wants it: the address of the
 * cell that is next, and what the cell's word must be. Both move with each message, so nothing is
 * computed from the position. The memory is private, and what it says follows from the position alone.
 */
#pragma once

#include "common/ring/ring.h"

struct km_ring_spot {
	/* The cell of the message that is next, and where cells end. */
	_Atomic uint64_t *cell, *end;
	/* The word of `cell` when the message is there, less its slot's number. */
	uint64_t lap;
	uint64_t slots; /* the topic's pool_size */
};

/* Begins at position `next`. */
static inline void km_ring_spot_set(struct km_ring_spot *spot, const struct km_region *region,
	struct km_ring *ring, uint64_t next)
{
	spot->cell = &ring->cells[next & region->cell_mask];
	spot->end = &ring->cells[region->cell_mask + 1];
	spot->lap = km_cell_word(next >> region->cell_shift, 0);
	spot->slots = region->geometry.pool_size;
}

static inline void km_ring_spot_wrap(struct km_ring_spot *spot, const struct km_region *region)
{
	spot->cell = spot->end - region->cell_mask - 1;
	spot->lap += KM_CELL_LAP;
}

/* Goes on to the next position. */
static km_always_inline void km_ring_spot_pass(
	struct km_ring_spot *spot, const struct km_region *region)
{
	_Atomic uint64_t *behind = spot->cell + 1;

	if (__builtin_expect(behind == spot->end, 0))
		km_ring_spot_wrap(spot, region);
	else
		spot->cell = behind;
}

/* A message that a subscriber is about to take. */
struct km_ring_message {
	uint64_t number; /* the slot's index in the pool */
	struct km_slot *slot;
	const struct km_sample_header *sample;
};

static km_always_inline struct km_ring_message km_ring_message(
	const struct km_region *region, uint64_t number)
{
	return (struct km_ring_message){
		.number = number,
		.slot = &region->slots[number],
		.sample = km_region_sample(region, (uint32_t)number),
	};
}

/* The usual case, whose twin is km_ring_take(), in two steps. A message lies where the subscriber has come to:
 * then *ret has it, and its lines are on their way. Behind this, held[] must name the slot, and
 * km_ring_take_next() is the other step. */
static km_always_inline bool km_ring_look_at_next(const struct km_region *region,
	const struct km_ring_spot *spot, struct km_ring_message *ret)
{
	/* no slot's number, unless the laps are the same */
	const uint64_t number = km_load(R1, acquire, spot->cell) - spot->lap;

	if (number >= spot->slots)
		return false;
	*ret = km_ring_message(region, number);
	km_ring_prefetch_message(ret->slot, ret->sample);
	return true;
}
