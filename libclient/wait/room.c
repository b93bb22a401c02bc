/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's descriptor: see room.h. */
#include "libclient/wait/room.h"

#include "common/cleanup.h"

uint32_t km_publisher_announce(struct kickmsg_publisher *publisher)
{
	return km_bell_announce(km_room_bell(&publisher->handle.place.region));
}

bool km_publisher_has_room(struct kickmsg_publisher *publisher, bool left)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const uint64_t live = km_load(L3, seq_cst, &region->header->live);

	if (live & (KM_LIVE_QUARANTINED | (left ? 0 : KM_LIVE_LEFT)))
		return true;
	return !(region->path & KM_PATH_RELIABLE) ||
	       !km_room_is_full(region, km_load(P1, relaxed, &here->rings), here->cursors);
}

void km_room_ready_arm(struct kickmsg_publisher *publisher)
{
	struct km_ready *ready = publisher->ready;

	KM_KEEP_ERRNO;
	if (km_watch_waits(&ready->watched))
		return;
	km_watch_quiet(&ready->watched);
	uint32_t announced = km_publisher_announce(publisher);
	km_watch_arm(&ready->watched, announced);
	if (!km_publisher_has_room(publisher, ready->left) &&
		km_watch_settle(&ready->watched, announced))
		return;
	/* the next send looks once more */
	km_watch_fire(&ready->watched);
	ready->left = km_place_is_left(&publisher->handle.place);
}

void km_room_ready_move(struct kickmsg_publisher *publisher)
{
	struct km_ready *ready = publisher->ready;

	if (!ready)
		return;
	ready->left = false;
	km_watch_fire(&ready->watched);
	km_watch_move(&ready->watched, km_publisher_word(publisher));
}
