/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a publisher looks for a free slot: first among the slots that it used last, which are warm
 * in its cache, the one that it used longest ago first; then through the pool, from a cursor of its
 * own.
 *
 *              at
 *               v
 *   [ newest, oldest, ... ]      a wheel: a claimed slot is the newest, and the next one is tried then
 *
 * The wheel's length follows the backlog of the subscribers. When the oldest is still somebody's, a
 * slot from the pool joins. When the oldest two are free, one of them may be forgotten. That happens
 * to one slot in KM_SLOT_CACHE_SHRINK messages, since a backlog that comes again needs its slots
 * again. So a subscriber that has given each message back before the next one sees one slot, the
 * hottest, however large the pool is. Of large payloads it sees several.
 *
 * All of this is private and a guess. A slot is the publisher's only by the claim CAS. "No slot is
 * free" is said only after a look at every word of the pool, and one more at a part of a large pool
 * (send.c).
 */
#pragma once

#include "common/memory/region.h"
#include "common/ring/slot.h"

#define KM_SLOT_CACHE_SIZE   128 /* most slots of the wheel */
#define KM_SLOT_CACHE_SHRINK 8   /* messages for each slot that is forgotten */
/* Large payloads take turns through 1 MiB of slots, at most 16 and at least 2. A slot that the
 * subscriber has just read is still in its cache, and each line that is written must be taken out of
 * there. */
#define KM_SLOT_CACHE_LARGE UINT64_C(8192) /* bytes of a payload */
#define KM_SLOT_CACHE_BYTES (UINT64_C(1) << 20)
#define KM_SLOT_CACHE_TURNS 16

struct km_slot_cache {
	uint32_t at;    /* index of the slot that is tried next */
	uint32_t count; /* slots of the wheel */
	uint32_t least; /* slots that the wheel keeps */
	uint32_t turns; /* messages since a slot was forgotten */
	/* Slots that the wheel keeps for batches. One is forgotten for each 8 messages after the
	 * last batch. */
	uint32_t many;
	uint32_t cursor; /* its next place in the pool */
	uint32_t slots[KM_SLOT_CACHE_SIZE];
};

/* Begins; each publisher begins to look at another place. */
void km_slot_cache_init(struct km_slot_cache *cache, const struct km_region *region, uint32_t id);

/* The usual case, whose twin is km_slot_cache_claim(): the only slot of the wheel is free. */
static km_always_inline bool km_slot_cache_claim_hottest(struct km_slot_cache *cache,
	const struct km_region *region, uint32_t id, uint32_t *ret_slot)
{
	const uint32_t slot = cache->slots[0];
	struct km_slot *word = &region->slots[slot];

	*ret_slot = slot;
	return cache->count == 1 && km_slot_looks_free(word) && km_slot_claim(word, id);
}

/* The publisher sends so many messages at a time. Where they are read as they come, one batch is
 * written, one is read and one is on its way back: the wheel keeps slots for all of these. */
static inline void km_slot_cache_keep_many(struct km_slot_cache *cache, uint32_t count)
{
	cache->many = 3 * count < KM_SLOT_CACHE_SIZE ? 3 * count : KM_SLOT_CACHE_SIZE;
}

/* The usual case in a batch, whose twin is km_slot_cache_claim(): the next slot is free, and the wheel keeps
 * all that it has. */
static km_always_inline bool km_slot_cache_claim_kept(struct km_slot_cache *cache,
	const struct km_region *region, uint32_t id, uint32_t *ret_slot)
{
	const uint32_t at = cache->at, slot = cache->slots[at];
	struct km_slot *word = &region->slots[slot];

	*ret_slot = slot;
	if (cache->count > cache->many || !km_slot_looks_free(word) || !km_slot_claim(word, id))
		return false;
	cache->at = at + 1 < cache->count ? at + 1 : 0;
	return true;
}

static km_always_inline void km_slot_cache_ask_for(const struct km_region *region, uint32_t slot)
{
	const struct km_sample_header *sample = km_region_sample(region, slot);

	km_prefetch_own(&region->slots[slot].word);
	km_prefetch_own(sample);
	km_prefetch_own(sample + 1);
}

/* Asks for the lines of the slot that will be tried `ahead` claims from now, if all goes well. */
static km_always_inline void km_slot_cache_ask_ahead(
	const struct km_slot_cache *cache, const struct km_region *region, uint32_t ahead)
{
	const uint32_t at = cache->at + ahead;

	if (ahead < cache->count)
		km_slot_cache_ask_for(
			region, cache->slots[at < cache->count ? at : at - cache->count]);
}

/* Slots that a short look takes: all of the usual pool. */
#define KM_SLOT_CACHE_FEW 1024

/* The twin of km_slot_cache_claim_hottest(), for all cases. Claims a free slot after a look at no more
 * than `most` of the pool. Returns 0 or -EAGAIN: none of these was free. */
int km_slot_cache_claim(struct km_slot_cache *cache, const struct km_region *region, uint32_t id,
	uint32_t most, uint32_t *ret_slot);
