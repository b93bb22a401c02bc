/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a free slot: see slotcache.h. */
#include <errno.h>
#include <string.h>

#include "libclient/handle/slotcache.h"

static uint32_t least_for(const struct km_region *region)
{
	if (region->geometry.max_payload_size < KM_SLOT_CACHE_LARGE)
		return 1;
	uint64_t least = KM_SLOT_CACHE_BYTES / region->geometry.max_payload_size;
	if (least > KM_SLOT_CACHE_TURNS)
		least = KM_SLOT_CACHE_TURNS;
	if (least < 2)
		least = 2;
	if (least > region->geometry.pool_size / 4)
		least = region->geometry.pool_size / 4;
	return least > 1 ? (uint32_t)least : 1;
}

static uint32_t behind(const struct km_region *region, uint32_t slot)
{
	return slot + 1 < region->geometry.pool_size ? slot + 1 : 0;
}

void km_slot_cache_init(struct km_slot_cache *cache, const struct km_region *region, uint32_t id)
{
	cache->at = 0;
	cache->turns = 0;
	cache->many = 0;
	cache->count = cache->least = least_for(region);
	cache->cursor = (uint32_t)(id * UINT64_C(2654435761) % region->geometry.pool_size);
	for (uint32_t i = 0; i < cache->count; i++) {
		cache->slots[i] = cache->cursor;
		cache->cursor = behind(region, cache->cursor);
	}
}

/* Forgets the slot that is tried next. */
static void forget(struct km_slot_cache *cache)
{
	uint32_t *at = &cache->slots[cache->at];

	cache->count--;
	memmove(at, at + 1, (cache->count - cache->at) * sizeof *at);
	if (cache->at == cache->count)
		cache->at = 0;
}

/* Goes on to the next slot of several. Its word and the head of its payload come into the cache
 * while others work. */
static void turn(struct km_slot_cache *cache, const struct km_region *region)
{
	uint32_t at = cache->at + 1 < cache->count ? cache->at + 1 : 0;
	uint32_t next = cache->slots[at];

	cache->at = at;
	if (++cache->turns % KM_SLOT_CACHE_SHRINK == 0) {
		if (cache->count > cache->least && cache->count > cache->many &&
			km_slot_looks_free(&region->slots[next])) {
			forget(cache);
			next = cache->slots[cache->at];
		}
		cache->many -= cache->many > 0;
	}
	km_slot_cache_ask_for(region, next);
}

/* Makes a slot from the pool the newest of the wheel. */
static void join(struct km_slot_cache *cache, uint32_t slot)
{
	uint32_t *at = &cache->slots[cache->at];

	if (cache->count < KM_SLOT_CACHE_SIZE) {
		memmove(at + 1, at, (cache->count - cache->at) * sizeof *at);
		cache->count++;
	}
	*at = slot;
	cache->at = cache->at + 1 < cache->count ? cache->at + 1 : 0;
}

int km_slot_cache_claim(struct km_slot_cache *cache, const struct km_region *region, uint32_t id,
	uint32_t most, uint32_t *ret_slot)
{
	const uint32_t pool_size = region->geometry.pool_size;

	*ret_slot = cache->slots[cache->at];
	if (km_slot_looks_free(&region->slots[*ret_slot]) &&
		km_slot_claim(&region->slots[*ret_slot], id)) {
		if (cache->count > 1)
			turn(cache, region);
		return 0;
	}
	for (uint32_t looked = 0; looked < pool_size && looked < most; looked++) {
		uint32_t slot = cache->cursor;

		cache->cursor = behind(region, slot);
		if (km_slot_looks_free(&region->slots[slot]) &&
			km_slot_claim(&region->slots[slot], id)) {
			join(cache, slot);
			*ret_slot = slot;
			return 0;
		}
	}
	return -EAGAIN;
}
