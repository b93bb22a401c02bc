/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher looks around, and may go to another region: see look.h. */
#include "libclient/path/look.h"

#include <errno.h>

#include "common/ring/lost.h"
#include "libclient/path/loan.h"
#include "libclient/rejoin/move.h"

/* Carries a payload over. The topic has a fresh region since `slot` of a past one was claimed: the
 * payload goes by the transport that the fresh one has. Until then the slot counts as a loan, so
 * that the place stays. The caller drops the slot. */
static int carry_over(
	struct kickmsg_publisher *publisher, struct km_place *past, uint32_t slot, size_t len)
{
	past->loan_count++;
	ssize_t r = kickmsg_send(publisher, km_region_payload(&past->region, slot), len);
	past->loan_count--;
	return r < 0 ? (int)r : 0;
}

static void count_lost_after(const struct km_region *region, uint64_t rings)
{
	for (; rings; rings &= rings - 1)
		km_lost_add_after(km_region_ring(region, (uint32_t)__builtin_ctzll(rings)));
}

int km_publisher_look(struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	uint64_t rings = km_load(P1, relaxed, &here->rings);

	if (here->past)
		km_handle_settle(&publisher->handle);
	if (live & KM_LIVE_LEFT && km_publisher_move(publisher)) {
		struct km_place *past = here->past;

		if (slot == KM_HAZARD_NONE)
			return 0;
		int r = carry_over(publisher, past, slot, len);
		km_slot_drop(&past->region.slots[slot], KM_SLOT_ID_MASK);
		return r;
	}
	if (live & KM_LIVE_QUARANTINED) {
		if (slot != KM_HAZARD_NONE)
			km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
		return -ESTALE;
	}
	/* before the losses of its subscriber are counted; also a ring that is closed already */
	km_place_greet(here, publisher->sequence, live & KM_LIVE_LEFT ? rings : rings & live);
	if (live & KM_LIVE_LEFT)
		count_lost_after(region, rings & ~live);
	else if (!here->past)
		here->live = live;
	return 1;
}

int km_publisher_look_before_loan(
	struct kickmsg_publisher *publisher, uint64_t live, struct km_loan *loan)
{
	struct km_place *here = &publisher->handle.place;
	int r = km_publisher_look(publisher, live, KM_HAZARD_NONE, 0);

	if (r >= 0)
		return r;
	km_slot_drop(&here->region.slots[loan->slot], KM_SLOT_ID_MASK);
	km_place_end_loan(here, loan);
	km_handle_settle(&publisher->handle);
	return r;
}

int km_publisher_find_no_slot(struct kickmsg_publisher *publisher)
{
	struct km_place *here = &publisher->handle.place;
	uint64_t live = km_load(L4, relaxed, &here->region.header->live);

	if (live & KM_LIVE_LEFT && km_publisher_move(publisher))
		return -ERESTART;
	km_endpoint_count(&here->record->failed, 1);
	return live & KM_LIVE_QUARANTINED ? km_handle_refusal(&publisher->handle, -ESTALE)
					  : -EAGAIN;
}

int km_publisher_publish_past(struct kickmsg_publisher *publisher, const void *payload, size_t len)
{
	struct km_place *past;
	struct km_loan *loan = km_loan_find(publisher->handle.place.past, payload, &past);

	if (!loan)
		return km_handle_refusal(&publisher->handle, -EINVAL);
	if (len > loan->len)
		return -EMSGSIZE;
	int r = carry_over(publisher, past, loan->slot, len);
	if (r == -ENOBUFS) /* still lent */
		return r;
	km_slot_drop(&past->region.slots[loan->slot], KM_SLOT_ID_MASK);
	km_place_end_loan(past, loan);
	km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}
