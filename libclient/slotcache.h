/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a publisher looks for a free slot: first among the slots that it used last, which are warm
 * in its cache, oldest first; then through the pool, from a cursor of its own.
 *
 *   front                back
 *   [ oldest ... newest ]        a slot goes to the back when it is published and is tried at the
 * front
 *
 * The queue's length follows the backlog of the subscribers: when the front is still somebody's, a
 * slot from the pool joins; when the one behind the front is free too, the front is forgotten. So
 * an idle subscriber sees two slots alternate (the one that it gives back and the one that is
 * written meanwhile; of large payloads as many as make 1 MiB) however large the pool is, and a
 * payload of a MiB stays in the cache.
 *
 * All of this is private and a guess: a slot is the publisher's only by the claim CAS, and "no slot
 * free" is said only after a look at every word of the pool.
 */
#pragma once

#include "region.h"

#define KM_SLOT_CACHE_SIZE 128 /* a power of two */
/* Large payloads take turns through so many bytes of slots: a slot that the subscriber has just had is
 * still in its cache, and must be taken out of there at each line that is written. */
#define KM_SLOT_CACHE_MIN   2
#define KM_SLOT_CACHE_LARGE UINT64_C(16384) /* bytes of a payload */
#define KM_SLOT_CACHE_BYTES (UINT64_C(1) << 20)

struct km_slot_cache {
	uint32_t front, back; /* free-running indexes into slots[] */
	uint32_t cursor;
	uint32_t least; /* entries that the queue keeps */
	uint32_t slots[KM_SLOT_CACHE_SIZE];
};

/* Publishers begin to look at different places. */
void km_slot_cache_init(struct km_slot_cache *cache, const struct km_region *region, uint32_t id);

/* Claims a free slot. Returns 0 or -EAGAIN: none was free. */
int km_slot_cache_claim(struct km_slot_cache *cache, const struct km_region *region, uint32_t id,
	uint32_t *ret_slot);

/* The slot was used and will be free some time. */
void km_slot_cache_remember(
	struct km_slot_cache *cache, const struct km_region *region, uint32_t slot);
