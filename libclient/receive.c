/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: take the oldest message (ring.h R6, held[k] set before it), hand it out, and in the
 * end drop the ring's bit (slot.h S4), then clear held[k]. One locked instruction to take, one to
 * release; sleeping is waiter.h's.
 *
 * What was skipped is counted where it shows: the position of what is taken less the one that was
 * expected.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "rejoin.h"
#include "waiter.h"

/* Ends what held[hold] covers: the slot may be somebody else's from here on. */
static km_always_inline void let_go(struct kickmsg_subscriber *subscriber, uint32_t hold)
{
	const struct km_region *region = &subscriber->attachment.region;
	struct km_hold *entry = &subscriber->holds[hold];

	entry->busy = false;
	subscriber->spare = hold;
	if (region->shared)
		return; /* a copy: nobody else knows of it */
	km_slot_drop(&region->slots[entry->slot], UINT64_C(1) << subscriber->ring_index);
	km_hazard_clear(&subscriber->endpoint->held[hold]);
}

static km_noinline void find_spare(struct kickmsg_subscriber *subscriber)
{
	uint32_t hold = subscriber->spare;

	while (subscriber->holds[hold].busy)
		hold = hold < subscriber->attachment.region.geometry.max_borrows ? hold + 1 : 0;
	subscriber->spare = hold;
}

static int take_any(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);

/* There was no message to take, or `r` says that the ring makes no sense. */
static km_noinline int nothing(
	struct kickmsg_subscriber *subscriber, int r, struct kickmsg_sample *ret)
{
	const struct km_region *region = &subscriber->attachment.region;
	uint64_t live = r == -EAGAIN ? km_load(L1, acquire, &region->header->live) : 0;

	/* who polls has the next message's lines on their way together with its cell's */
	km_prefetch_read(km_region_sample(region, subscriber->likely));
	km_prefetch_read(km_region_payload(region, subscriber->likely));
	if ((live & KM_LIVE_LEFT || subscriber->past) && km_subscriber_move(subscriber, live))
		return take_any(subscriber, ret);
	return live & KM_LIVE_QUARANTINED ? -ESTALE : r;
}

static km_noinline int senseless(struct kickmsg_subscriber *subscriber, uint32_t hold)
{
	let_go(subscriber, hold);
	return -ESTALE;
}

/* Takes the oldest message; it is in the hold *ret->hold until let_go(). Errors: -EAGAIN, -ESTALE.
 */
static km_always_inline int take(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	const struct km_region *region = &subscriber->attachment.region;
	struct km_endpoint *endpoint = subscriber->endpoint;
	uint64_t position;
	uint32_t slot;

	/* holds has one more entry than may be lent, so there is one */
	if (subscriber->holds[subscriber->spare].busy)
		find_spare(subscriber);
	uint32_t hold = subscriber->spare;
	int r = km_ring_take(region, subscriber->ring, &endpoint->held[hold], &position, &slot);
	if (r < 0)
		return nothing(subscriber, r, ret);
	uint64_t ring_pos = position + subscriber->offset;
	/* of a publisher that is waited for two slots alternate, so it is that of the last message */
	subscriber->likely = subscriber->holds[hold].slot;
	subscriber->holds[hold] = (struct km_hold){ slot, true, ring_pos };
	if (position != subscriber->next) {
		subscriber->lost += position - subscriber->next;
		km_store(H2, relaxed, &endpoint->lost, subscriber->lost);
	}
	subscriber->next = position + 1;
	km_endpoint_count(&endpoint->messages, 1);

	const struct km_sample_header *sample = km_region_sample(region, slot);
	km_plain_read(sample, sizeof *sample);
	uint64_t len = sample->len;
	if (len > region->geometry.max_payload_size)
		return senseless(subscriber, hold);
	*ret = (struct kickmsg_sample){
		.data = km_region_payload(region, slot),
		.len = len,
		.ring_pos = ring_pos,
		.publisher_sequence = sample->sequence,
		.publisher_id = sample->publisher_id,
		.hold = hold,
		.subscriber = subscriber,
	};
	return 0;
}

/* The same from a shared ring: the sample is a copy. */
static int take_copy(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	if (subscriber->holds[subscriber->spare].busy)
		find_spare(subscriber);
	uint32_t hold = subscriber->spare;
	int r = km_shared_take(
		subscriber, subscriber->copies + hold * subscriber->copy_stride, ret);
	if (r == 0) {
		subscriber->holds[hold] = (struct km_hold){ .busy = true,
			.position = ret->ring_pos };
		ret->hold = hold;
	}
	return r == -ERESTART ? take_any(subscriber, ret) : r;
}

static km_noinline int take_any(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	return subscriber->ring ? take(subscriber, ret) : take_copy(subscriber, ret);
}

KM_EXPORT int kickmsg_try_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	if (subscriber->borrowed >= subscriber->attachment.region.geometry.max_borrows)
		return -EDQUOT;
	if (subscriber->has_pending) {
		*ret = subscriber->pending;
		subscriber->has_pending = false;
	} else {
		int r = subscriber->ring ? take(subscriber, ret) : take_any(subscriber, ret);

		if (r < 0)
			return r;
	}
	subscriber->borrowed++;
	return 0;
}

KM_EXPORT int kickmsg_sample_release(struct kickmsg_sample *sample)
{
	struct kickmsg_subscriber *subscriber = sample->subscriber;

	if (!subscriber)
		return -EINVAL;
	const struct km_hold *entry = &subscriber->holds[sample->hold];
	if (sample->hold <= subscriber->attachment.region.geometry.max_borrows && entry->busy &&
		entry->position == sample->ring_pos)
		let_go(subscriber, sample->hold);
	else if (km_subscriber_release_past(subscriber, sample->hold, sample->ring_pos) < 0)
		return -EINVAL;
	sample->subscriber = NULL;
	sample->data = NULL;
	subscriber->borrowed--;
	return 0;
}

KM_EXPORT ssize_t kickmsg_try_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	if (!subscriber->ring)
		return km_shared_take_copy(subscriber, buf, size);

	struct kickmsg_sample sample;
	if (subscriber->has_pending) {
		sample = subscriber->pending;
	} else {
		int r = take(subscriber, &sample);

		if (r < 0)
			return r;
	}
	if (sample.len > size) {
		subscriber->pending = sample;
		subscriber->has_pending = true;
		return -EMSGSIZE;
	}
	subscriber->has_pending = false;
	if (sample.len > 0)
		memcpy(buf, sample.data, sample.len);
	let_go(subscriber, sample.hold);
	return (ssize_t)sample.len;
}

/* One try of a receive in either style. */
struct attempt {
	struct kickmsg_sample *sample; /* or null: */
	void *buf;
	size_t size;
};

static ssize_t try_once(struct kickmsg_subscriber *subscriber, const struct attempt *attempt)
{
	if (attempt->sample)
		return kickmsg_try_receive(subscriber, attempt->sample);
	return kickmsg_try_receive_copy(subscriber, attempt->buf, attempt->size);
}

/* Polling ahead of sleep pays while messages come within spin_ns. Where they didn't a few times in a
 * row it would only heat a CPU: then one wait in many finds out whether it pays again. */
#define SPINS_IN_VAIN    4
#define WAITS_TILL_AGAIN 16

static bool is_to_spin(struct kickmsg_subscriber *subscriber)
{
	if (subscriber->spin_ns == 0)
		return false;
	return subscriber->spins_in_vain < SPINS_IN_VAIN ||
	       subscriber->spins_in_vain++ % WAITS_TILL_AGAIN == 0;
}

static ssize_t spin(
	struct kickmsg_subscriber *subscriber, const struct attempt *attempt, int64_t deadline_ns)
{
	int64_t end_ns;

	if (__builtin_add_overflow(km_clock_ns(), (int64_t)subscriber->spin_ns, &end_ns) ||
		end_ns < 0)
		end_ns = INT64_MAX;
	if (deadline_ns >= 0 && deadline_ns < end_ns)
		end_ns = deadline_ns;
	do {
		for (int i = 0; i < 64; i++) {
			ssize_t r = try_once(subscriber, attempt);

			if (r != -EAGAIN) {
				subscriber->spins_in_vain = 0;
				return r;
			}
			km_pause();
		}
	} while (km_clock_ns() < end_ns);
	if (end_ns != deadline_ns) /* else it was the caller who had no more time */
		subscriber->spins_in_vain++;
	return -EAGAIN;
}

static ssize_t wait_for(
	struct kickmsg_subscriber *subscriber, const struct attempt *attempt, int64_t timeout_ns)
{
	const struct km_region *region = &subscriber->attachment.region;
	int64_t deadline_ns = KM_WAIT_FOREVER;
	ssize_t r = try_once(subscriber, attempt);

	if (r != -EAGAIN || timeout_ns == 0)
		return r;
	if (timeout_ns > 0 && __builtin_add_overflow(km_clock_ns(), timeout_ns, &deadline_ns))
		deadline_ns = KM_WAIT_FOREVER;
	if (is_to_spin(subscriber))
		r = spin(subscriber, attempt, deadline_ns);
	while (r == -EAGAIN) {
		uint64_t ends;
		int64_t until_ns = km_subscriber_rest(subscriber, deadline_ns, &ends);
		int slept = subscriber->ring
				    ? km_waiter_sleep(region, subscriber->ring, ends, until_ns)
				    : km_shared_sleep(subscriber, ends, until_ns);

		r = try_once(subscriber, attempt);
		if (r == -EAGAIN && slept == -ETIMEDOUT && until_ns == deadline_ns)
			return -ETIMEDOUT;
	}
	return r;
}

KM_EXPORT int kickmsg_receive(
	struct kickmsg_subscriber *subscriber, int64_t timeout_ns, struct kickmsg_sample *ret)
{
	struct attempt attempt = { .sample = ret };

	return (int)wait_for(subscriber, &attempt, timeout_ns);
}

KM_EXPORT ssize_t kickmsg_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, int64_t timeout_ns)
{
	struct attempt attempt = { .buf = buf, .size = size };

	return wait_for(subscriber, &attempt, timeout_ns);
}

KM_EXPORT uint64_t kickmsg_subscriber_lost(const struct kickmsg_subscriber *subscriber)
{
	uint64_t lost, waiting;

	if (subscriber->ring) {
		/* nobody but the subscriber takes, so what lies before head and wasn't taken was
		 * pushed out */
		lost = subscriber->lost + km_load(R2, acquire, &subscriber->ring->head) -
		       subscriber->next;
	} else {
		km_shared_count(subscriber, &lost, &waiting);
	}
	if (subscriber->rejoined)
		lost += km_subscriber_lost_past(subscriber);
	return lost;
}
