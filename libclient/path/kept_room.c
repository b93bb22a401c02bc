/* SPDX-License-Identifier: Apache-2.0 */
/* See kept_room.h. */
#include "libclient/path/kept_room.h"

void km_kept_make_room(struct km_place *place)
{
	const struct km_region *kept = &place->kept;
	struct km_ring *ring = km_region_ring(kept, KM_KEPT_RING);
	_Atomic uint32_t *evicting = &place->record->evicting;
	struct km_ring_drops drops = { 0 };
	uint64_t end;

	if (km_kept_end(kept, &end) < 0)
		return;
	for (uint32_t tries = kept->geometry.ring_capacity; tries > 0; tries--) {
		uint64_t head = km_load(R2, acquire, &ring->head);
		uint32_t old = km_cell_slot(
			km_load(R1, acquire, &ring->cells[head & kept->cell_mask]));

		if ((int64_t)(end - head) <= (int64_t)kept->geometry.history ||
			old >= kept->geometry.pool_size)
			break;
		if (!km_ring_evict(kept, KM_KEPT_RING, evicting, head, old, &drops))
			continue;
		km_ring_drop_evicted(kept, &drops);
		if (km_slot_looks_free(&kept->slots[old]))
			break;
	}
	km_hazard_clear(evicting);
}
