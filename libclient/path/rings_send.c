/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing with private rings, from top to bottom. The steps of a message, each explained where it
 * lives:
 *
 *    1. claim a free slot                               slotcache.h, slot.h S1
 *    2. write the payload in place
 *    3. targets = live                                  region.h L1
 *    4. delivering = slot                               endpoint.h H1
 *    5. W = targets                                     slot.h S3
 *    6. commit to each target's ring                    ring.h R3
 *       pushing the oldest out of a full one            ring.h R4
 *    7. wake sleepers                                   waiter.h W1
 *    8. drop what was pushed out, and not delivered     slot.h S4
 *    9. evicting, delivering = none                     endpoint.h H1
 *
 * Each step has a usual case, which has no call in it so that few registers are saved, and a twin out
 * of line for all others. Each of the two names the other.
 *
 * The file is long because a step, its usual case and its twin are read together.
 */
#include "libclient/path/rings_send.h"

#include <errno.h>
#include <string.h>

#include "common/memory/copy.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/kept_room.h"
#include "libclient/path/loan.h"
#include "libclient/path/look.h"
#include "libclient/rejoin/move.h"

#define km_for_each_bit(index, bits)                                                               \
	for (uint64_t left_ = (bits); left_ && ((index) = (uint32_t)__builtin_ctzll(left_), true); \
		left_ &= left_ - 1)

/* --- claiming a slot ----------------------------------------------------------------------------- */

/* The usual case, whose twin is km_rings_claim(): the hottest slot is free. The caller has looked at
 * the length. */
static km_always_inline bool claim(struct km_place *place, uint32_t *ret_slot)
{
	if (!km_slot_cache_claim_hottest(&place->cache, &place->region, place->id, ret_slot))
		return false;
	km_rings_begin_slot(place, *ret_slot);
	return true;
}

/* A publisher that finds no slot free may itself empty the rings of subscribers that are gone. */
static void evict_from_rings_of_the_gone(struct km_place *place)
{
	const struct km_region *region = &place->region;
	uint64_t live = km_load(L4, relaxed, &region->header->live);

	for (uint32_t i = 0; i < region->ring_count; i++)
		if (!(live >> i & 1))
			km_ring_drain(region, i, &place->record->evicting);
}

/* The twin of claim(). The first look is a short one, so that a large pool is walked once: an eviction
 * here takes messages from nobody. Errors: -EMSGSIZE; those of km_publisher_find_no_slot(). */
km_noinline int km_rings_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;

	if (len > region->geometry.max_payload_size)
		return -EMSGSIZE;
	int r = km_slot_cache_claim(&here->cache, region, here->id, KM_SLOT_CACHE_FEW, ret_slot);
	if (r < 0) {
		evict_from_rings_of_the_gone(here);
		if (region->kept)
			km_kept_make_room(here);
		/* also when those rings were empty: the broker may have been faster */
		r = km_slot_cache_claim(&here->cache, region, here->id, UINT32_MAX, ret_slot);
	}
	if (r < 0)
		return km_publisher_find_no_slot(publisher);
	km_rings_begin_slot(here, *ret_slot);
	return 0;
}

/* --- delivering it -------------------------------------------------------------------------------- */

/* Delivers the rest where it isn't the usual case, in deliver() and km_rings_post(). */
km_noinline uint64_t km_rings_deliver_rest(
	struct km_place *place, uint32_t slot, uint64_t left, uint64_t sleeper)
{
	const struct km_region *region = &place->region;
	struct km_endpoint *record = place->record;
	struct km_ring_result result = { 0 };
	uint64_t failed = 0;
	uint32_t i;

	km_for_each_bit (i, left)
		if (km_ring_commit(region, i, slot, record, &place->cursors[i], &result) < 0)
			failed |= UINT64_C(1) << i;
	km_ring_drop_evicted(region, &result.drops);
	km_for_each_bit (i, left | sleeper)
		km_waiter_notify(km_region_ring(region, i));
	if (failed)
		km_slot_drop(&region->slots[slot], failed);
	/* also after an eviction at which another process was faster */
	km_hazard_clear(&record->evicting);
	if (result.evictions)
		km_endpoint_count(&record->evicted, result.evictions);
	km_hazard_clear(&record->delivering);
	return failed;
}

/* Commits `slot` to the rings `targets`. Returns the bits of those that made no sense. */
static uint64_t deliver(struct km_place *place, uint32_t slot, uint64_t targets)
{
	const struct km_region *region = &place->region;
	struct km_endpoint *record = place->record;
	uint64_t left = targets;
	uint32_t i;

	km_for_each_bit (i, targets & (targets - 1))
		km_ring_prefetch(region, i, &place->cursors[i]);
	km_hazard_set(&record->delivering, slot);
	km_slot_send(&region->slots[slot], targets);
	for (; left; left &= left - 1) {
		i = (uint32_t)__builtin_ctzll(left);
		struct km_ring *ring = km_region_ring(region, i);

		if (!km_ring_append(region, ring, slot, &place->cursors[i]))
			return km_rings_deliver_rest(place, slot, left, 0);
		if (__builtin_expect(km_waiter_listen(ring) != 0, 0))
			return km_rings_deliver_rest(place, slot, left & (left - 1), left & -left);
	}
	km_hazard_clear(&record->delivering);
	return 0;
}

/* --- publishing it -------------------------------------------------------------------------------- */

static int publish_seeing(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	uint64_t targets = live & km_load(P1, relaxed, &here->rings);
	uint64_t failed = 0;

	km_rings_describe(publisher, km_region_sample(region, slot), targets, len);
	km_rings_aim(here, targets);
	if (targets)
		failed = deliver(here, slot, targets);
	else
		km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
	km_endpoint_count_sent(here->record, 1, len);
	return failed ? -ESTALE : 0;
}

static km_noinline int publish_looking(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	int r = km_publisher_look(publisher, live, slot, len);

	if (r > 0)
		r = publish_seeing(publisher, live, slot, len);
	km_handle_settle(&publisher->handle);
	return r;
}

/* The twin of post(), for all cases. Returns 0, or an error of kickmsg_publish(). */
static int publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	uint64_t live = km_load(L1, acquire, &here->region.header->live);

	if (__builtin_expect(live != here->live, 0))
		return publish_looking(publisher, live, slot, len);
	return publish_seeing(publisher, live, slot, len);
}

/* The usual case, whose twin is publish(): km_rings_post() can do it. */
static km_always_inline enum km_posted post(struct kickmsg_publisher *publisher, uint32_t slot,
	struct km_sample_header *sample, size_t len)
{
	struct km_place *here = &publisher->handle.place;

	if (!km_rings_is_usual(here, km_load(L4, relaxed, &here->region.header->live)))
		return KM_POST_NOT_BEGUN;
	return km_rings_post(publisher, slot, sample, len);
}

int km_rings_post_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t target = publisher->targets;
	uint64_t failed = posted == KM_POST_TO_WAKE ? km_rings_deliver_rest(here, slot, 0, target)
						    : km_rings_deliver_rest(here, slot, target, 0);

	km_endpoint_count_sent(here->record, 1, len);
	return failed ? -ESTALE : 0;
}

/* --- the calls ------------------------------------------------------------------------------------ */

/* The twin of km_rings_send(), for all cases. */
static km_noinline ssize_t send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	uint32_t slot;
	int r = km_rings_claim(publisher, len, &slot);

	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	if (len > 0)
		memcpy(km_region_payload(&here->region, slot), data, len);
	r = publish(publisher, slot, len);
	return r < 0 ? r : (ssize_t)len;
}

/* The rest of km_rings_send(). */
static km_noinline ssize_t send_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted)
{
	int r = posted == KM_POST_NOT_BEGUN ? publish(publisher, slot, len)
					    : km_rings_post_rest(publisher, slot, len, posted);

	return r < 0 ? r : (ssize_t)len;
}

/* The usual case, whose twin is send_anyhow(): a message of up to a line. */
ssize_t km_rings_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	uint32_t slot;

	if (len > here->region.short_size || !claim(here, &slot))
		return send_anyhow(publisher, data, len);
	struct km_sample_header *sample = km_region_sample(&here->region, slot);
	km_copy_short(sample + 1, data, len);
	enum km_posted posted = post(publisher, slot, sample, len);
	if (__builtin_expect(posted != KM_POSTED, 0))
		return send_rest(publisher, slot, len, posted);
	return (ssize_t)len;
}

static km_always_inline int lend(
	struct km_place *place, uint32_t slot, size_t len, void **ret_payload)
{
	*ret_payload = km_loan_begin(place, slot, len);
	return 0;
}

/* The twin of km_rings_loan(). */
static km_noinline int loan_anyhow(
	struct kickmsg_publisher *publisher, size_t len, void **ret_payload)
{
	uint32_t slot;
	int r = km_rings_claim(publisher, len, &slot);

	if (r < 0)
		return r == -ERESTART ? kickmsg_loan(publisher, len, ret_payload) : r;
	return lend(&publisher->handle.place, slot, len, ret_payload);
}

/* The usual case, whose twin is loan_anyhow(). */
int km_rings_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_geometry *geometry = &here->region.geometry;
	uint32_t slot;

	if (here->loan_count == geometry->max_loans)
		return len > geometry->max_payload_size ? -EMSGSIZE : -EDQUOT;
	if (len > geometry->max_payload_size || !claim(here, &slot))
		return loan_anyhow(publisher, len, ret_payload);
	return lend(here, slot, len, ret_payload);
}

/* The twin of km_rings_publish(). */
static km_noinline int publish_anyhow(
	struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);

	if (!loan || of != here)
		return km_publisher_publish_past(publisher, payload, len);
	if (len > loan->len)
		return -EMSGSIZE;
	const uint64_t live = km_load(L1, acquire, &here->region.header->live);
	int r = live == here->live ? 1 : km_publisher_look_before_loan(publisher, live, loan);
	if (r <= 0)
		return r < 0 ? r : kickmsg_publish(publisher, payload, len);
	km_place_end_loan(here, loan);
	r = publish_seeing(publisher, live, loan->slot, len);
	km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}

/* The rest of km_rings_publish(). A loan that may have to go elsewhere is lent again: there may be no room. */
static km_noinline int publish_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted)
{
	struct km_place *here = &publisher->handle.place;
	int r;

	if (posted == KM_POST_NOT_BEGUN) {
		const uint64_t live = km_load(L1, acquire, &here->region.header->live);

		if (__builtin_expect(live != here->live, 0))
			return publish_anyhow(publisher, km_loan_begin(here, slot, len), len);
		r = publish_seeing(publisher, live, slot, len);
	} else {
		r = km_rings_post_rest(publisher, slot, len, posted);
	}
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}

/* The usual case, whose twin is publish_anyhow(): the only loan, of a publisher with one place. */
int km_rings_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	struct km_loan *loan = here->loans;

	if (loan->payload != payload || !payload || len > loan->len || here->past)
		return publish_anyhow(publisher, payload, len);
	const uint32_t slot = loan->slot;
	km_place_end_loan(here, loan);
	enum km_posted posted = post(publisher, slot, (struct km_sample_header *)payload - 1, len);
	if (__builtin_expect(posted != KM_POSTED, 0))
		return publish_rest(publisher, slot, len, posted);
	return 1;
}

/* --- with timestamps ------------------------------------------------------------------------------ */

/* Writes the publish time, just before the message is published. The rest of the path is as without
 * timestamps. A look at the clock waits for what was begun before it, and takes a while itself: so the
 * lines that the message needs next are asked for first. They are asked for as lines to be read. A
 * subscriber that polls the cell would take a line of this publisher's own back before the commit. */
static void stamp(const struct km_place *place, struct km_sample_header *sample)
{
	if (place->only != KM_ONLY_NONE) {
		const uint64_t next = place->only_cursor->next;

		km_prefetch_read(&place->only_ring->cells[next & place->region.cell_mask]);
		km_prefetch_read(&place->only_ring->waiting);
	}
	km_rings_stamp(sample);
}

ssize_t km_rings_send_timed(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	uint32_t slot;
	int r = 0;

	if (len > here->region.geometry.max_payload_size || !claim(here, &slot))
		r = km_rings_claim(publisher, len, &slot);
	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	struct km_sample_header *sample = km_region_sample(&here->region, slot);
	if (len <= KM_CACHE_LINE)
		km_copy_short(sample + 1, data, len);
	else
		memcpy(sample + 1, data, len);
	stamp(here, sample);
	enum km_posted posted = post(publisher, slot, sample, len);
	if (__builtin_expect(posted != KM_POSTED, 0))
		return send_rest(publisher, slot, len, posted);
	return (ssize_t)len;
}

int km_rings_publish_timed(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;

	if (km_loan_find(here, payload, &of) && of == here)
		stamp(here, (struct km_sample_header *)payload - 1);
	return km_rings_publish(publisher, payload, len);
}
