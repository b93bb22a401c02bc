/* SPDX-License-Identifier: Apache-2.0 */
/* What lies where in the world, for who looks at it from outside. */
#pragma once

#include "internal.h"
#include "world.h"

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
};

struct world_place {
	uint8_t kind, index, cell;
};

extern struct world_place world_places[WORLD_SIZE / 4];

/* A look that is no step of anybody: at the newest value. */
#define peek(pointer) atomic_load_explicit(pointer, memory_order_relaxed)
