/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing. The steps of a message, each explained where it lives:
 *
 *   claim a slot (slotcache.c, slot.h S1) - write in place - targets = live (L1) - delivering =
 * slot (H1) - W = targets (S3) - commit to each target's ring (ring.h R3), pushing out the oldest
 * of full ones (R4) - wake who sleeps (waiter.h W1) - drop what wasn't delivered (S4) - delivering,
 * evicting = none (H1)
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "missed.h"
#include "rejoin.h"
#include "shared.h"
#include "waiter.h"

#define km_for_each_bit(index, bits)                                                               \
	for (uint64_t left_ = (bits); left_ && ((index) = (uint32_t)__builtin_ctzll(left_), true); \
		left_ &= left_ - 1)

/* A publisher that finds no slot free may itself empty the rings of those who are gone. */
static void evict_from_rings_of_the_gone(struct kickmsg_publisher *publisher)
{
	const struct km_region *region = &publisher->attachment.region;
	uint64_t live = km_load(L1, acquire, &region->header->live);

	for (uint32_t i = 0; i < region->ring_count; i++)
		if (!(live >> i & 1))
			km_ring_drain(region, i, &publisher->endpoint->evicting);
}

/* With a shared ring, it may take the oldest messages out that lie in slots. */
static int claim_from_shared(struct kickmsg_publisher *publisher, uint32_t *ret_slot)
{
	const struct km_region *region = &publisher->attachment.region;

	for (uint32_t tries = 0; tries <= region->cell_mask; tries++) {
		int voided = km_shared_void_oldest(
			region, publisher->endpoint, publisher->cursors[0].next);
		int r = km_slot_cache_claim(&publisher->cache, region, publisher->id, ret_slot);

		/* somebody else may have been faster at the slot */
		if (r == 0 || voided < 0)
			return r;
	}
	return -EAGAIN;
}

/*
 * The header's first store comes before the first of the payload: its line is then asked for from the
 * last reader beside the payload's instead of behind it.
 */
static km_always_inline void begin_slot(const struct kickmsg_publisher *publisher, uint32_t slot)
{
	struct km_sample_header *sample = km_region_sample(&publisher->attachment.region, slot);

	km_plain_write(sample, sizeof *sample);
	sample->publisher_id = publisher->id;
}

/* The usual case of km_publisher_claim(), with private rings. */
static km_always_inline bool claim_hot(
	struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot)
{
	const struct km_region *region = &publisher->attachment.region;

	if (region->shared || len > region->geometry.max_payload_size ||
		!km_slot_cache_claim_front(&publisher->cache, region, publisher->id, ret_slot))
		return false;
	begin_slot(publisher, *ret_slot);
	return true;
}

int km_publisher_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot)
{
	const struct km_region *region = &publisher->attachment.region;

	if (len > region->geometry.max_payload_size)
		return -EMSGSIZE;
	int r = km_slot_cache_claim(&publisher->cache, region, publisher->id, ret_slot);
	if (r == -EAGAIN && region->shared) {
		r = claim_from_shared(publisher, ret_slot);
	} else if (r == -EAGAIN) {
		evict_from_rings_of_the_gone(publisher);
		/* also when nothing was there: the broker may have been faster since the first look */
		r = km_slot_cache_claim(&publisher->cache, region, publisher->id, ret_slot);
	}
	if (r == 0 && region->shared)
		km_shared_begin_slot();
	else if (r == 0)
		begin_slot(publisher, *ret_slot);
	if (r == -EAGAIN) {
		uint64_t live = km_load(L1, acquire, &region->header->live);

		if (live & KM_LIVE_LEFT && km_publisher_move(publisher))
			return km_publisher_claim(publisher, len, ret_slot);
		km_endpoint_count(&publisher->endpoint->failed, 1);
		if (live & KM_LIVE_QUARANTINED)
			r = -ESTALE;
	}
	return r;
}

/*
 * A delivery from where it isn't the usual case: commits `slot` to the rings `left`, and wakes those
 * and the `sleeper`. Returns the bits of rings that made no sense; they are dropped.
 */
static km_noinline uint64_t deliver_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, uint64_t left, uint64_t sleeper)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_endpoint *endpoint = publisher->endpoint;
	struct km_ring_result result = { 0 };
	uint64_t failed = 0;
	uint32_t i;

	km_for_each_bit (i, left)
		if (km_ring_commit(region, i, slot, endpoint, &publisher->cursors[i], &result) < 0)
			failed |= UINT64_C(1) << i;
	km_ring_drop_evicted(region, &result.drops);
	km_for_each_bit (i, left | sleeper)
		km_waiter_notify(km_region_ring(region, i));
	if (failed)
		km_slot_drop(&region->slots[slot], failed);
	km_hazard_clear(
		&endpoint->evicting); /* also after an eviction that somebody else was faster at */
	if (result.evictions)
		km_endpoint_count(&endpoint->evicted, result.evictions);
	return failed;
}

/* Commits `slot` to the rings `targets`. Returns the bits of those that made no sense. */
static km_always_inline uint64_t deliver(
	struct kickmsg_publisher *publisher, uint32_t slot, uint64_t targets)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_endpoint *endpoint = publisher->endpoint;
	uint64_t left, sleeper = 0, failed = 0;
	uint32_t i;

	km_for_each_bit (i, targets & (targets - 1))
		km_ring_prefetch(region, i, &publisher->cursors[i]);
	km_hazard_set(&endpoint->delivering, slot);
	km_slot_send(&region->slots[slot], targets);
	for (left = targets; left && !sleeper; left &= left - 1) {
		i = (uint32_t)__builtin_ctzll(left);
		struct km_ring *ring = km_region_ring(region, i);

		if (!km_ring_append(region, ring, slot, &publisher->cursors[i]))
			break;
		if (__builtin_expect(km_waiter_listen(ring) != 0, 0))
			sleeper = left & -left;
	}
	if (__builtin_expect((left | sleeper) != 0, 0))
		failed = deliver_rest(publisher, slot, left, sleeper);
	km_hazard_clear(&endpoint->delivering);
	return failed;
}

void km_publisher_greet(struct kickmsg_publisher *publisher, uint64_t rings)
{
	const struct km_region *region = &publisher->attachment.region;
	uint32_t i;

	km_for_each_bit (i, rings)
		km_missed_greet(km_region_ring(region, i), &publisher->greeted[i],
			publisher->sequence - publisher->base);
}

/* The topic has a fresh region since `slot` of a past one was claimed: its payload goes over. */
static int carry_over(struct kickmsg_publisher *publisher, const struct kickmsg_publisher *past,
	uint32_t slot, size_t len)
{
	const struct km_region *region = &past->attachment.region;
	uint32_t fresh;
	int r = km_publisher_claim(publisher, len, &fresh);

	if (r == 0 && len > 0)
		memcpy(km_region_payload(&publisher->attachment.region, fresh),
			km_region_payload(region, slot), len);
	km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
	return r < 0 ? r : km_publisher_publish(publisher, fresh, len);
}

static void count_strays(const struct km_region *region, uint64_t rings)
{
	uint32_t i;

	km_for_each_bit (i, rings)
		km_missed_stray(km_region_ring(region, i));
}

int km_publisher_look(struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	const struct km_region *region = &publisher->attachment.region;
	uint64_t rings = km_load(P1, relaxed, &publisher->rings);

	if (publisher->past)
		km_publisher_settle(publisher);
	if (live & KM_LIVE_LEFT && km_publisher_move(publisher))
		return slot == KM_HAZARD_NONE ? 0
					      : carry_over(publisher, publisher->past, slot, len);
	if (live & KM_LIVE_QUARANTINED) {
		if (slot != KM_HAZARD_NONE)
			km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
		return -ESTALE;
	}
	/* before a stray of it is counted, also a ring that is closed already */
	km_publisher_greet(publisher, live & KM_LIVE_LEFT ? rings : rings & live);
	if (live & KM_LIVE_LEFT)
		count_strays(region, rings & ~live);
	else if (!publisher->past)
		publisher->live = live;
	return 1;
}

static km_always_inline int publish_seeing(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_sample_header *sample = km_region_sample(region, slot);
	uint64_t targets = live & km_load(P1, relaxed, &publisher->rings);
	uint64_t failed = 0;

	km_plain_write(sample, sizeof *sample);
	sample->sequence = ++publisher->sequence;
	sample->len = len;
	if (targets)
		failed = deliver(publisher, slot, targets);
	else
		km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
	km_endpoint_count(&publisher->endpoint->messages, 1);
	km_slot_cache_remember(&publisher->cache, region, slot);
	return failed ? -ESTALE : 0;
}

static km_noinline int publish_looking(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	int r = km_publisher_look(publisher, live, slot, len);

	if (r > 0)
		r = publish_seeing(publisher, live, slot, len);
	if (publisher->past)
		km_publisher_settle(publisher);
	return r;
}

/* With private rings; what isn't usual is out of line, so that few registers are saved. */
static km_always_inline int publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	uint64_t live = km_load(L1, acquire, &publisher->attachment.region.header->live);

	if (__builtin_expect(live != publisher->live, 0))
		return publish_looking(publisher, live, slot, len);
	return publish_seeing(publisher, live, slot, len);
}

int km_publisher_publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	if (publisher->attachment.region.shared)
		return km_shared_publish(publisher, slot, len);
	return publish(publisher, slot, len);
}

static km_noinline ssize_t send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	uint32_t slot;

	int r = km_publisher_claim(publisher, len, &slot);
	if (r < 0)
		return r;
	if (len > 0)
		memcpy(km_region_payload(&publisher->attachment.region, slot), data, len);
	r = km_publisher_publish(publisher, slot, len);
	return r < 0 ? r : (ssize_t)len;
}

KM_EXPORT ssize_t kickmsg_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	uint32_t slot;

	if (publisher->attachment.region.shared)
		return km_shared_send(publisher, data, len);
	if (!claim_hot(publisher, len, &slot))
		return send_anyhow(publisher, data, len);
	if (len > 0)
		memcpy(km_region_payload(&publisher->attachment.region, slot), data, len);
	int r = publish(publisher, slot, len);
	return r < 0 ? r : (ssize_t)len;
}

KM_EXPORT int kickmsg_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload)
{
	const struct km_region *region = &publisher->attachment.region;
	uint32_t slot;

	if (publisher->loan_count == region->geometry.max_loans)
		return len > region->geometry.max_payload_size ? -EMSGSIZE : -EDQUOT;
	if (!claim_hot(publisher, len, &slot)) {
		int r = km_publisher_claim(publisher, len, &slot);

		if (r < 0)
			return r;
	}
	struct km_loan *loan = publisher->loans;
	while (loan->busy)
		loan++;
	*loan = (struct km_loan){ .slot = slot, .len = len, .busy = true };
	publisher->loan_count++;
	*ret_payload = km_region_payload(region, slot);
	return 0;
}

static km_always_inline bool is_loan_of(
	const struct kickmsg_publisher *publisher, const struct km_loan *loan, const void *payload)
{
	return loan->busy &&
	       km_region_payload(&publisher->attachment.region, loan->slot) == payload;
}

static struct km_loan *find_loan(const struct kickmsg_publisher *publisher, const void *payload)
{
	for (uint32_t i = 0; i < publisher->attachment.region.geometry.max_loans; i++)
		if (is_loan_of(publisher, &publisher->loans[i], payload))
			return &publisher->loans[i];
	return NULL;
}

/* The loan and whose it is: the publisher's, or its past self's. */
static struct km_loan *find_lender(
	struct kickmsg_publisher *publisher, const void *payload, struct kickmsg_publisher **ret)
{
	struct km_loan *loan = NULL;

	for (*ret = publisher; *ret && !(loan = find_loan(*ret, payload));)
		*ret = (*ret)->past;
	return loan;
}

static km_noinline int publish_anyhow(
	struct kickmsg_publisher *publisher, const void *payload, size_t len)
{
	struct kickmsg_publisher *of;
	struct km_loan *loan = find_lender(publisher, payload, &of);

	if (!loan)
		return -EINVAL;
	if (len > loan->len)
		return -EMSGSIZE;
	loan->busy = false;
	of->loan_count--;
	int r = of == publisher ? km_publisher_publish(publisher, loan->slot, len)
				: carry_over(publisher, of, loan->slot, len);
	if (publisher->past)
		km_publisher_settle(publisher);
	return r;
}

KM_EXPORT int kickmsg_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_loan *loan = publisher->loans;

	/* usually the only one, of a publisher that has one place */
	if (publisher->past || publisher->attachment.region.shared ||
		!is_loan_of(publisher, loan, payload) || len > loan->len)
		return publish_anyhow(publisher, payload, len);
	loan->busy = false;
	publisher->loan_count--;
	return publish(publisher, loan->slot, len);
}

KM_EXPORT int kickmsg_discard(struct kickmsg_publisher *publisher, void *payload)
{
	struct kickmsg_publisher *of;
	struct km_loan *loan = find_lender(publisher, payload, &of);

	if (!loan)
		return -EINVAL;
	const struct km_region *region = &of->attachment.region;
	loan->busy = false;
	of->loan_count--;
	km_slot_drop(&region->slots[loan->slot], KM_SLOT_ID_MASK);
	if (of == publisher)
		km_slot_cache_remember(&publisher->cache, region, loan->slot);
	else
		km_publisher_settle(publisher);
	return 0;
}
