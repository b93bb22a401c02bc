/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a free slot: see slotcache.h. */
#include <errno.h>

#include "slotcache.h"

static uint32_t least_for(const struct km_region *region)
{
	if (region->geometry.max_payload_size < KM_SLOT_CACHE_LARGE)
		return KM_SLOT_CACHE_MIN;
	uint64_t least = KM_SLOT_CACHE_BYTES / region->geometry.max_payload_size;
	if (least > region->geometry.pool_size / 4)
		least = region->geometry.pool_size / 4;
	return least > KM_SLOT_CACHE_MIN ? (uint32_t)least : KM_SLOT_CACHE_MIN;
}

void km_slot_cache_init(struct km_slot_cache *cache, const struct km_region *region, uint32_t id)
{
	cache->front = cache->back = 0;
	cache->least = least_for(region);
	cache->cursor = (uint32_t)(id * UINT64_C(2654435761) % region->geometry.pool_size);
}

static bool looks_free(const struct km_region *region, uint32_t slot)
{
	return km_slot_looks_free(&region->slots[slot]);
}

void km_slot_cache_shrink(struct km_slot_cache *cache, const struct km_region *region)
{
	if (looks_free(region, *km_slot_cache_at(cache, cache->front)) &&
		looks_free(region, *km_slot_cache_at(cache, cache->front + 1)))
		cache->front++;
}

int km_slot_cache_claim(struct km_slot_cache *cache, const struct km_region *region, uint32_t id,
	uint32_t *ret_slot)
{
	const uint32_t pool_size = region->geometry.pool_size;

	if (km_slot_cache_claim_front(cache, region, id, ret_slot))
		return 0;
	for (uint32_t looked = 0; looked < pool_size; looked++) {
		uint32_t slot = cache->cursor;

		cache->cursor = slot + 1 < pool_size ? slot + 1 : 0;
		if (looks_free(region, slot) && km_slot_claim(&region->slots[slot], id)) {
			*ret_slot = slot;
			return 0;
		}
	}
	return -EAGAIN;
}
