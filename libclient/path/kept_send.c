/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing with private rings and history, from top to bottom. The steps that rings_send.c doesn't
 * have are marked.
 *
 *    1. claim a free slot, write the payload            rings_send.c
 *    2. targets = live                                  region.h L1
 *    3. slot's opening = the last one known     *       kept.h K1
 *    4. delivering = slot                               endpoint.h H1
 *    5. W = targets and the kept ring                   slot.h S3
 *    6. commit to the kept ring                 *       ring.h R3
 *    7. a look whether somebody came            *       kept.h K3
 *       late cells into the rings of those      *
 *    8. commit to each target's ring, and the rest      rings_send.c
 *
 * 7 comes behind 6: see kept.h.
 */
#include "libclient/path/kept_send.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/look.h"
#include "libclient/path/rings_send.h"
#include "libclient/rejoin/move.h"

/* A send looks for newcomers at most so often. More looks find something new only where a participant
 * means harm, or newcomers come by the thousand. */
#define LOOKS 4

/* --- those who came ------------------------------------------------------------------------------- */

/* Tells a ring's owner, who came behind this publisher's look at `live`, of the message at a position of the
 * kept ring. `target` is the message's slot if the ring was a target, for its former owner; else null. False:
 * the owner didn't come behind that look, or gets the message otherwise. */
static bool tell_late(
	struct km_place *here, uint32_t index, struct km_slot *target, uint64_t position)
{
	struct km_ring *ring = km_region_ring(&here->region, index);
	struct km_ring_result result = { 0 };

	uint64_t opening = km_load(K6, acquire, &ring->opening), behind = 0;
	if (opening <= here->opening)
		return false;
	int r = km_kept_decide(&here->kept, ring, opening, &behind);
	if (r == 0 && km_kept_is_before(position, behind))
		return false; /* the newcomer takes the message from there anyhow */
	if (target) {
		/* the number may be that of an owner who is still to come */
		if (r < 0 || km_load(K6, acquire, &ring->kept_behind) !=
				     km_kept_behind_word(opening, behind))
			return false;
		km_slot_drop(target, UINT64_C(1) << index);
	}
	if (km_ring_commit(&here->region, index, km_kept_late_number(position), here->record,
		    &here->cursors[index], &result) < 0)
		return true; /* the next message finds the same, and says so */
	km_ring_drop_evicted(&here->region, &result.drops);
	km_waiter_notify(ring);
	if (result.evictions)
		km_endpoint_count(&here->record->evicted, result.evictions);
	return true;
}

/* Returns the targets that are still so. */
static uint64_t look_for_newcomers(struct km_place *here, uint64_t live, uint64_t targets,
	struct km_slot *slot, uint64_t position)
{
	uint64_t now = km_load(K3, seq_cst, &here->region.header->live);

	if (__builtin_expect(now == live, 1))
		return targets;
	for (now &= km_load(P1, relaxed, &here->rings); now; now &= now - 1) {
		const uint32_t index = (uint32_t)__builtin_ctzll(now);
		const uint64_t bit = UINT64_C(1) << index;

		if (tell_late(here, index, targets & bit ? slot : NULL, position))
			targets &= ~bit;
	}
	return targets;
}

/* --- publishing ----------------------------------------------------------------------------------- */

/* Returns the bits of rings that made no sense. */
static uint64_t deliver(struct km_place *here, uint64_t live, uint32_t slot, uint64_t targets)
{
	struct km_slot *words = &here->region.slots[slot];
	struct km_ring_result result = { 0 };

	km_store(K1, release, &words->opening, here->opening);
	km_hazard_set(&here->record->delivering, slot);
	km_slot_send(words, targets | KM_KEPT_BIT);
	int r = km_ring_commit(
		&here->kept, KM_KEPT_RING, slot, here->record, &here->kept_cursor, &result);
	km_ring_drop_evicted(&here->region, &result.drops);
	if (r == 0)
		targets = look_for_newcomers(here, live, targets, words, result.position);
	else
		km_slot_drop(words, KM_KEPT_BIT);
	/* also clears the hazards */
	uint64_t failed = km_rings_deliver_rest(here, slot, targets, 0);
	return r < 0 ? failed | KM_KEPT_BIT : failed;
}

/* Looks which rings are live, and which openings the publisher knows of. The publisher may stand still
 * between its loads of `live` and of `openings` while rings are opened as often as the bits in `live` can
 * say. So it loads `live` again behind these: if the word is the same, it has all newcomers. Else the look
 * begins anew, up to LOOKS times. Returns as km_publisher_look() for a slot, or for a loan as
 * km_publisher_look_before_loan(), with *live as it was looked at. */
static int look_around(struct kickmsg_publisher *publisher, uint64_t *live, struct km_loan *loan,
	uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;

	for (int looks = 1;; looks++) {
		int r = loan ? km_publisher_look_before_loan(publisher, *live, loan)
			     : km_publisher_look(publisher, *live, slot, len);

		if (r <= 0)
			return r;
		here->opening = km_kept_known(&here->region, *live);
		const uint64_t now = km_load(L1, acquire, &here->region.header->live);
		if (now == *live || looks == LOOKS)
			return r;
		*live = now;
	}
}

static int publish_seeing(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t targets = live & km_load(P1, relaxed, &here->rings);
	struct km_sample_header *sample = km_region_sample(&here->region, slot);
	if (here->region.geometry.timestamps)
		km_rings_stamp(sample);
	km_rings_describe(publisher, sample, targets, len);
	uint64_t failed = deliver(here, live, slot, targets);
	km_endpoint_count_sent(here->record, 1, len);
	return failed ? -ESTALE : 0;
}

/* --- the calls ------------------------------------------------------------------------------------ */

/* Looks at `live`, and around if it has changed. Returns as look_around(). */
static km_always_inline int look(struct kickmsg_publisher *publisher, struct km_loan *loan,
	uint32_t slot, size_t len, uint64_t *ret_live)
{
	const struct km_place *here = &publisher->handle.place;

	*ret_live = km_load(L1, acquire, &here->region.header->live);
	return *ret_live == here->live ? 1 : look_around(publisher, ret_live, loan, slot, len);
}

ssize_t km_kept_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	const struct km_place *here = &publisher->handle.place;
	uint32_t slot;
	int r = km_rings_claim(publisher, len, &slot);

	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	void *payload = km_region_payload(&here->region, slot);
	km_plain_write(payload, len);
	if (len > 0)
		memcpy(payload, data, len);
	uint64_t live;
	r = look(publisher, NULL, slot, len, &live);
	if (r > 0)
		r = publish_seeing(publisher, live, slot, len);
	else
		km_handle_settle(&publisher->handle);
	return r < 0 ? r : (ssize_t)len;
}

int km_kept_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);

	if (!loan || of != here)
		return km_publisher_publish_past(publisher, payload, len);
	if (len > loan->len)
		return -EMSGSIZE;
	uint64_t live;
	int r = look(publisher, loan, KM_HAZARD_NONE, len, &live);
	if (r <= 0)
		return r < 0 ? r : kickmsg_publish(publisher, payload, len);
	km_place_end_loan(here, loan);
	r = publish_seeing(publisher, live, loan->slot, len);
	km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}
