/* SPDX-License-Identifier: Apache-2.0 */
/* Places that were left: see past.h, and lost.h for what is counted there. */
#include "libclient/rejoin/past.h"

#include "common/repair/live.h"
#include "common/ring/lost.h"
#include "common/shared/bell.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"

#define MAX_PASTS 4 /* regions of a subscriber */

void km_past_announce(const struct km_place *place)
{
	const struct km_region *region = &place->region;
	_Atomic uint64_t *word = &region->header->live;
	uint64_t live = km_load(L3, seq_cst, word);

	if (region->shared && place->role == KM_ROLE_SUBSCRIBER) {
		/* an observer has no bell: nobody is to notice it */
		if (region->bell)
			km_bell_say_left(region->bell);
		return;
	}
	while (!(live & KM_LIVE_LEFT) &&
		!km_cas(L3, seq_cst, relaxed, word, &live, live | KM_LIVE_LEFT))
		;
	km_live_wake_all(region);
}

void km_past_close_ring(const struct km_place *place)
{
	km_and(L2, release, &place->region.header->live, place->others);
	if (place->region.geometry.max_reliable > 0)
		km_room_wake(&place->region);
}

void km_past_leave(struct km_place *place, uint64_t sequence)
{
	const struct km_region *region = &place->region;

	if (place->role == KM_ROLE_PUBLISHER) {
		km_place_greet(place, sequence, km_load(P1, relaxed, &place->rings));
		km_lost_depart(region);
	} else if (region->shared && region->path & KM_PATH_RELIABLE) {
		km_room_made_before(region, place->ring_index, place->next + KM_READER_GONE);
	} else if (!region->shared && km_load(L4, relaxed, &region->header->live) & KM_LIVE_LEFT) {
		km_past_close_ring(place);
	}
}

static uint64_t lost_there(const struct km_place *past)
{
	uint64_t head, end;

	if (past->region.shared)
		return km_shared_frontier(&past->region, past->next, &end) == 0 ? end - past->next
										: 0;
	return km_place_frontier(past, &head) - past->next + km_lost_after(past->ring) +
	       (past->rejoined ? km_lost_before(past->ring) : 0);
}

uint64_t km_past_lost(const struct km_place *place)
{
	uint64_t lost = place->lost_before;

	if (place->ring && place->rejoined)
		lost += km_lost_before(place->ring);
	for (const struct km_place *past = place->past; past; past = past->past)
		lost += lost_there(past);
	return lost;
}

static bool has_samples(const struct km_place *past)
{
	for (uint32_t i = 0; i <= past->region.geometry.max_borrows; i++)
		if (km_hold_is_busy(&past->holds[i]))
			return true;
	return false;
}

/* Is the place needed? It is while something of it is lent; a subscriber's also while messages may
 * still come there. */
static bool is_needed(struct km_place *past, unsigned *kept)
{
	if (past->role == KM_ROLE_PUBLISHER)
		return past->loan_count > 0;
	if (has_samples(past))
		return true;
	if (past->payload)
		km_place_unmap_payload(past);
	return !km_lost_all_departed(&past->region) && ++*kept <= MAX_PASTS;
}

void km_past_settle(struct km_place *place, bool all)
{
	unsigned kept = 0;

	for (struct km_place **at = &place->past; *at;) {
		struct km_place *past = *at;

		if (!all && is_needed(past, &kept)) {
			at = &past->past;
			continue;
		}
		*at = past->past;
		past->past = NULL;
		if (past->role == KM_ROLE_SUBSCRIBER)
			place->lost_before += lost_there(past);
		km_past_free(past);
	}
}

void km_past_free(struct km_place *place)
{
	km_past_settle(place, true);
	km_place_end(place);
	km_place_unmap(place);
	free(place);
}

void km_past_skip(struct km_place *skipped, struct km_place *newer)
{
	km_past_leave(skipped, 0);
	if (skipped->role == KM_ROLE_PUBLISHER) {
		km_past_free(skipped);
		return;
	}
	/* a fresh place has no past yet */
	newer->past = skipped;
	newer->lost_before += skipped->lost_before;
	km_past_settle(newer, false);
}
