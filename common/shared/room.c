/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room: see room.h. */
#include "common/shared/room.h"

static bool is_full(const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors)
{
	uint64_t live = km_load(L1, acquire, &region->header->live);

	return km_room_find_full(region, live & rings, cursors) != 0;
}

int km_room_sleep(const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors,
	const struct km_sleep *sleep)
{
	struct km_bell *bell = &region->header->room;
	uint32_t word = km_bell_announce(bell);

	if (!is_full(region, rings, cursors) ||
		km_load(L3, seq_cst, &region->header->live) & sleep->ends ||
		km_sleep_is_stopped(sleep))
		return 0;
	return km_futex_wait(&bell->word, word, sleep->deadline_ns);
}
