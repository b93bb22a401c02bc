/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room: see room.h. */
#include "common/shared/room.h"

#include "common/shared/shared.h"

/* A shared ring that makes no sense has room: the commit says what is wrong. */
static bool is_shared_full(const struct km_region *region, struct km_ring_cursor *cursor)
{
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	uint64_t frontier;

	if (km_shared_frontier(region, cursor->next ? cursor->next : capacity, &frontier) < 0)
		return false;
	return !km_reader_has_room(region, frontier, &cursor->head);
}

bool km_room_is_full(const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors)
{
	if (region->shared)
		return is_shared_full(region, cursors);
	uint64_t live = km_load(L1, acquire, &region->header->live);

	return km_room_find_full(region, live & rings, cursors) != 0;
}

bool km_room_is_before(const struct km_region *region, uint32_t index, uint64_t *ret_head)
{
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	/* nobody's: what it remembers is this look's */
	struct km_ring_cursor cursor = { 0 };
	bool is_there;
	uint64_t frontier;

	if (!region->shared) {
		is_there = km_room_is_there(region, index, &cursor);
		*ret_head = cursor.head;
		return is_there;
	}
	*ret_head = km_reader_at(region, index);
	return km_shared_frontier(region, capacity, &frontier) < 0 ||
	       (int64_t)(frontier - *ret_head) < (int64_t)capacity;
}

int km_room_sleep(const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors,
	const struct km_sleep *sleep)
{
	struct km_bell *bell = km_room_bell(region);
	uint32_t word = km_bell_announce(bell);

	if (!km_room_is_full(region, rings, cursors) ||
		km_load(L3, seq_cst, &region->header->live) & sleep->ends ||
		km_sleep_is_stopped(sleep))
		return 0;
	return km_futex_wait(&bell->word, word, sleep->deadline_ns);
}
