/* SPDX-License-Identifier: Apache-2.0 */
/* See live.h. */
#include "common/repair/live.h"

#include "common/ring/kept.h"
#include "common/ring/lost.h"
#include "common/ring/ring.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/room.h"

int km_live_open(
	const struct km_region *region, uint32_t ring_index, uint64_t *live, uint64_t *ret_start)
{
	struct km_ring *ring = km_region_ring(region, ring_index);
	_Atomic uint32_t evicting; /* a hazard that nobody looks at: see reconcile.c */

	km_hazard_clear(&evicting);
	int r = km_ring_drain_some(region, ring_index, &evicting, KM_LIVE_DRAIN);
	if (r < 0)
		return r;
	km_waiter_retract(ring); /* its last owner may have died asleep */
	*ret_start = km_load(R2, acquire, &ring->head);
	km_lost_open(ring);
	uint64_t opened = *live | UINT64_C(1) << ring_index;
	opened ^= (opened ^ (opened + KM_LIVE_OPENING)) & KM_LIVE_OPENINGS;
	r = region->kept ? km_kept_prepare(region, ring, opened) : 0;
	if (r < 0)
		return r;
	*live = opened;
	if (!region->kept) {
		km_store(L2, release, &region->header->live, opened);
		return 0;
	}
	km_store(K4, seq_cst, &region->header->live, opened);
	return km_kept_opened(region, ring, km_load(K7, relaxed, &region->header->openings));
}

void km_live_give_up(const struct km_region *region, uint64_t live)
{
	km_store(L3, seq_cst, &region->header->live, live | KM_LIVE_QUARANTINED);
	km_live_wake_all(region);
}

void km_live_wake_all(const struct km_region *region)
{
	if (region->shared)
		km_bell_ring_anyway(region->bell);
	for (uint32_t i = 0; i < region->ring_count; i++)
		km_waiter_wake_anyway(km_region_ring(region, i));
	if (region->geometry.max_reliable > 0)
		km_room_wake(region);
}
