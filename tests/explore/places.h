/* SPDX-License-Identifier: Apache-2.0 */
/* The places of the world, for those who look at it from outside. */
#pragma once

#include "libclient/handle/handle.h"
#include "tests/explore/world.h"

enum place_kind {
	PLACE_NONE,
	PLACE_WORD,
	PLACE_GENERATION,
	PLACE_HEAD,
	PLACE_HINT,
	PLACE_WAITING,
	PLACE_CELL,
	PLACE_LIVE,
	PLACE_HAZARD,
	PLACE_SHARED_HINT,
	PLACE_SHARED_CELL,
	/* A cell's numbers: 0 and 1 are the words `sequence` and `about` of even laps, 2 and 3
	 * those of odd laps, 4 and more the payload. */
	PLACE_SHARED_BYTES,
	PLACE_SLOT_BYTES, /* cells: 0 `sequence`, 1 `about`, 2 and more payload */
	PLACE_PRIVILEGED,
	PLACE_BELL,   /* cell 1: which readers are reliable */
	PLACE_READER, /* cell: 1 which of them are reliable */
};

/* The cells of messages' times. A shared ring has two, for even and for odd laps. */
#define PLACE_TIME 252

struct world_place {
	uint8_t kind, index, cell;
};

extern struct world_place world_places[WORLD_SIZE / 4];

/* Reads the newest value. The look is no thread's step. */
#define peek(pointer) atomic_load_explicit(pointer, memory_order_relaxed)

/* Rings by number: first the subscribers', then WORLD_KEPT. */
static inline struct km_ring *world_ring(uint32_t ring)
{
	return ring == WORLD_KEPT ? world.region->kept : km_region_ring(world.region, ring);
}

static inline uint32_t world_capacity(uint32_t ring)
{
	return ring == WORLD_KEPT ? world.region->kept_capacity : world.shape.capacity;
}

static inline uint32_t world_bit(uint32_t ring)
{
	return ring == WORLD_KEPT ? KM_KEPT_RING : ring;
}
