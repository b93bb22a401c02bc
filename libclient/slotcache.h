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
 * slot from the pool joins; when the one behind the front is free too, the front is forgotten, once in
 * a while: a backlog that comes again needs its slots again. So
 * an idle subscriber sees two slots alternate (the one that it gives back and the one that is
 * written meanwhile; of large payloads as many as make 1 MiB) however large the pool is, and a
 * payload of a MiB stays in the cache.
 *
 * All of this is private and a guess: a slot is the publisher's only by the claim CAS, and "no slot
 * free" is said only after a look at every word of the pool.
 */
#pragma once

#include "region.h"
#include "slot.h"

#define KM_SLOT_CACHE_SIZE   128 /* a power of two */
#define KM_SLOT_CACHE_SHRINK 8   /* messages for each slot that is forgotten */
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

static km_always_inline uint32_t *km_slot_cache_at(struct km_slot_cache *cache, uint32_t index)
{
	return &cache->slots[index % KM_SLOT_CACHE_SIZE];
}

/* The usual case of km_slot_cache_claim(): the queue's front is free. */
static km_always_inline bool km_slot_cache_claim_front(struct km_slot_cache *cache,
	const struct km_region *region, uint32_t id, uint32_t *ret_slot)
{
	const uint32_t front = cache->front, back = cache->back;
	const uint32_t slot = *km_slot_cache_at(cache, front);

	if (back - front < cache->least || !km_slot_looks_free(&region->slots[slot]) ||
		!km_slot_claim(&region->slots[slot], id))
		return false;
	cache->front = front + 1;
	*ret_slot = slot;
	return true;
}

/* Claims a free slot. Returns 0 or -EAGAIN: none was free. */
int km_slot_cache_claim(struct km_slot_cache *cache, const struct km_region *region, uint32_t id,
	uint32_t *ret_slot);

/* Forgets the front when the one behind it is free as well. */
void km_slot_cache_shrink(struct km_slot_cache *cache, const struct km_region *region);

/* The slot was used and will be free some time. */
static inline void km_slot_cache_remember(
	struct km_slot_cache *cache, const struct km_region *region, uint32_t slot)
{
	uint32_t front = cache->front, back = cache->back;

	if (back - front == KM_SLOT_CACHE_SIZE)
		cache->front = ++front;
	*km_slot_cache_at(cache, back) = slot;
	cache->back = ++back;
	if (back % KM_SLOT_CACHE_SHRINK == 0 && back - front > cache->least) {
		km_slot_cache_shrink(cache, region);
		front = cache->front;
	}
	/* the next one to be tried: its word and the head of its payload come while others work */
	uint32_t next = *km_slot_cache_at(cache, front);
	km_prefetch_own(&region->slots[next].word);
	km_prefetch_own(km_region_sample(region, next));
	km_prefetch_own(km_region_payload(region, next));
}
