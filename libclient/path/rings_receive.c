/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving from a ring of the subscriber's own, from top to bottom:
 *
 *    1. held[k] = the slot, then take the oldest message    ring.h R6
 *    2. hand it out
 *    3. drop the ring's bit of the slot                     slot.h S4
 *    4. held[k] = none                                      endpoint.h H1
 *
 * One locked instruction to take, one to release (km_place_let_go(): 3 and 4).
 *
 * Skipped messages are counted where they show: the position of the taken message less the position
 * that was expected.
 */
#include "libclient/path/rings_receive.h"

#include <errno.h>
#include <string.h>

#include "common/memory/copy.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/hold.h"
#include "libclient/path/kept_receive.h"
#include "libclient/path/rings_sample.h"
#include "libclient/rejoin/move.h"
#include "libclient/wait/ready.h"

/* Returns for a receive without a message: there was none to take, or `r` says that the ring makes
 * no sense. */
static km_noinline int nothing(struct kickmsg_subscriber *subscriber, int r)
{
	const struct km_place *here = &subscriber->handle.place;
	const struct km_region *region = &here->region;
	uint64_t live = r == -EAGAIN ? km_load(L4, relaxed, &region->header->live) : 0;

	/* A subscriber that polls has the next message's lines on their way with its cell's. A
	 * publisher that waits for the release uses the same slot again, so the lines are likely
	 * this slot's. */
	const uint32_t likely = (uint32_t)(here->spare->slot - region->slots);
	km_prefetch_read(km_region_sample(region, likely));
	km_prefetch_read(km_region_payload(region, likely));
	if ((live & KM_LIVE_LEFT || here->past) && km_subscriber_move(subscriber, live))
		return -ERESTART;
	if (r == -EAGAIN && !(live & KM_LIVE_QUARANTINED) && subscriber->ready &&
		km_ready_arm(subscriber))
		return -ERESTART;
	return live & KM_LIVE_QUARANTINED ? km_handle_refusal(&subscriber->handle, -ESTALE) : r;
}

/* Enters the message before position `next`, which was taken: counts and describes it. False: its length makes
 * no sense. */
static km_always_inline bool enter_next(struct kickmsg_subscriber *subscriber, struct km_hold *hold,
	uint64_t next, const struct km_ring_message *message, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	const uint64_t ring_pos = here->offset + next - 1;

	hold->position = ring_pos;
	hold->slot = message->slot;
	here->next = next;
	km_ring_spot_pass(&here->spot, &here->region);
	return km_rings_hand_out(subscriber, hold, ring_pos, message->sample, ret);
}

/* Enters a message from any position, as enter_next() does. Errors: -ESTALE. */
static km_always_inline int enter(struct kickmsg_subscriber *subscriber, struct km_hold *hold,
	uint64_t position, uint32_t slot, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	const struct km_ring_message message = km_ring_message(&here->region, slot);

	if (__builtin_expect(position != here->next, 0)) {
		km_rings_lose_up_to(here, position);
		km_place_expect(here, position);
	}
	if (__builtin_expect(!enter_next(subscriber, hold, position + 1, &message, ret), 0))
		return km_rings_senseless(here, hold);
	return 0;
}

/* A late cell was taken at `position`. There are no more of them in a row than a ring has, and one each that
 * publishers put there meanwhile: each has such a message under way but once. */
static km_noinline int take_late(struct kickmsg_subscriber *subscriber, struct km_hold *hold,
	uint64_t position, uint32_t number, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	const struct km_geometry *geometry = &here->region.geometry;

	for (uint32_t i = 0; i <= geometry->ring_capacity + geometry->max_publishers; i++) {
		uint32_t slot = number;
		int r = km_ring_is_late(&here->region, number)
				? km_kept_take_late(subscriber, hold, position, number, &slot)
				: 0;

		if (r == 0)
			return enter(subscriber, hold, position, slot, ret);
		if (r == -ESTALE)
			return r;
		r = km_ring_take(&here->region, here->ring, hold->held, &position, &number);
		if (r < 0)
			return nothing(subscriber, r);
	}
	km_hazard_clear(hold->held);
	return -ESTALE;
}

/* The twin of take(), for all cases. */
static km_noinline int take_anyhow(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_hold *hold = km_hold_spare(here);
	uint64_t position;
	uint32_t slot;

	/* the usual case may have named a slot that was pushed out */
	km_hazard_clear(hold->held);
	int r = km_ring_take(&here->region, here->ring, hold->held, &position, &slot);
	if (r < 0)
		return nothing(subscriber, r);
	if (km_ring_is_late(&here->region, slot))
		return take_late(subscriber, hold, position, slot, ret);
	return enter(subscriber, hold, position, slot, ret);
}

/* Takes the next message, of a newcomer too, whose history comes first. */
static int take_next(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	int r = -ENODATA;

	if (subscriber->handle.place.region.path & KM_PATH_KEPT)
		r = km_kept_receive(subscriber, ret);
	return r == -ENODATA ? take_anyhow(subscriber, ret) : r;
}

/* Takes the oldest message; it is in the hold *ret->hold until km_place_let_go(). Errors: -EAGAIN;
 * -ESTALE; -ERESTART: the subscriber has gone to another region, where a message may be. */
static km_always_inline int take(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_hold *hold = here->spare;
	const uint64_t next = here->next;
	struct km_ring_message message;

	if (km_hold_is_busy(hold) || !km_ring_look_at_next(&here->region, &here->spot, &message))
		return take_anyhow(subscriber, ret);
	km_hazard_set(hold->held, (uint32_t)message.number);
	if (!km_ring_take_next(here->ring, next))
		return take_anyhow(subscriber, ret);
	if (__builtin_expect(!enter_next(subscriber, hold, next + 1, &message, ret), 0))
		return km_rings_senseless(here, hold);
	return 0;
}

/* Keeps a message that was taken for the next receive. The usual case lends no sample until then. */
static void keep_pending(struct kickmsg_subscriber *subscriber, const struct kickmsg_sample *sample)
{
	subscriber->pending = *sample;
	subscriber->has_pending = true;
	subscriber->handle.place.lends = 0;
}

static void end_pending(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	subscriber->has_pending = false;
	here->lends = here->region.geometry.max_borrows;
}

/* The twin of km_rings_receive(). */
km_noinline int km_rings_receive_anyhow(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	if (subscriber->borrowed >= subscriber->handle.place.region.geometry.max_borrows)
		return -EDQUOT;
	if (subscriber->has_pending) {
		*ret = subscriber->pending;
		end_pending(subscriber);
	} else {
		int r = take_next(subscriber, ret);

		if (r < 0)
			return r == -ERESTART ? kickmsg_try_receive(subscriber, ret) : r;
	}
	subscriber->borrowed++;
	return 0;
}

/* The usual case, whose twin is km_rings_receive_anyhow(). */
int km_rings_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_hold *hold = here->spare;
	const uint64_t next = here->next;
	struct km_ring_message message;

	if (subscriber->borrowed >= here->lends || km_hold_is_busy(hold) ||
		!km_ring_look_at_next(&here->region, &here->spot, &message))
		return km_rings_receive_anyhow(subscriber, ret);
	km_hazard_set(hold->held, (uint32_t)message.number);
	if (!km_ring_take_next(here->ring, next))
		return km_rings_receive_anyhow(subscriber, ret);
	if (__builtin_expect(!enter_next(subscriber, hold, next + 1, &message, ret), 0))
		return km_rings_senseless(here, hold);
	subscriber->borrowed++;
	return 0;
}

/* Writes the slots into free holds: held[] names them from then on. */
static void shield(struct km_place *place, const uint32_t *slots, uint32_t count,
	struct km_hold **ret_holds, struct km_ring_message *ret_messages)
{
	struct km_hold *hold = place->holds;

	for (uint32_t i = 0; i < count; i++, hold++) {
		const struct km_ring_message message = km_ring_message(&place->region, slots[i]);

		while (km_hold_is_busy(hold))
			hold++;
		ret_holds[i] = hold;
		ret_messages[i] = message;
		km_prefetch_own(&message.slot->word);
		km_prefetch_read(message.sample);
		km_prefetch_read(message.sample + 1);
		km_hazard_set(hold->held, slots[i]);
	}
}

/* Enters many messages, of positions from `head` on. A message whose length makes no sense is dropped, as
 * km_rings_receive() drops it; the others aren't kept back for it. */
static int enter_many(struct kickmsg_subscriber *subscriber, uint64_t head,
	const struct km_ring_message *messages, struct km_hold *const *holds, uint32_t count,
	struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	const uint64_t ring_pos = head + here->offset;
	uint32_t good = 0;

	if (head != here->next)
		km_rings_lose_up_to(here, head);
	km_place_expect(here, head + count);
	for (uint32_t i = 0; i < count; i++) {
		holds[i]->position = ring_pos + i;
		holds[i]->slot = messages[i].slot;
		if (__builtin_expect(km_rings_hand_out(subscriber, holds[i], ring_pos + i,
					     messages[i].sample, &ret[good]),
			    1))
			good++;
		else
			km_rings_senseless(here, holds[i]);
	}
	subscriber->borrowed += good;
	return good > 0 ? (int)good : -ESTALE;
}

int km_rings_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	struct km_place *here = &subscriber->handle.place;
	const uint32_t room = km_hold_room(subscriber);
	struct km_ring_message messages[KM_MANY];
	struct km_hold *holds[KM_MANY];
	uint32_t slots[KM_MANY];
	uint64_t head;

	if (subscriber->has_pending)
		return 0;
	count = count < room ? count : room;
	count = count < KM_MANY ? count : KM_MANY;
	count = km_ring_look_at_many(&here->region, here->ring, count, &head, slots);
	if (count == 0)
		return 0;
	shield(here, slots, count, holds, messages);
	if (km_ring_take_many(here->ring, head, count))
		return enter_many(subscriber, head, messages, holds, count, ret);
	for (uint32_t i = 0; i < count; i++)
		km_hazard_clear(holds[i]->held);
	return 0;
}

int km_rings_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret)
{
	struct kickmsg_sample sample;

	if (subscriber->has_pending) {
		sample = subscriber->pending;
	} else {
		int r = take_next(subscriber, &sample);

		if (r < 0)
			return r;
	}
	if (sample.len > size) {
		keep_pending(subscriber, &sample);
		return -EMSGSIZE;
	}
	end_pending(subscriber);
	if (sample.len > 0)
		memcpy(buf, sample.data, sample.len);
	km_rings_let_go(subscriber, &sample);
	*ret = (struct kickmsg_sample){
		.data = buf,
		.len = sample.len,
		.ring_pos = sample.ring_pos,
		.publisher_sequence = sample.publisher_sequence,
		.publish_ns = sample.publish_ns,
		.publisher_id = sample.publisher_id,
	};
	return 0;
}

/* The twin of km_rings_receive_copy(). */
km_noinline ssize_t km_rings_copy_anyhow(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	struct kickmsg_sample sample;
	int r = km_rings_receive_into(subscriber, buf, size, &sample);

	if (r < 0)
		return r == -ERESTART ? kickmsg_try_receive_copy(subscriber, buf, size) : r;
	return (ssize_t)sample.len;
}

/* The usual case, whose twin is km_rings_copy_anyhow(). */
ssize_t km_rings_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	struct kickmsg_sample sample;

	if (subscriber->has_pending)
		return km_rings_copy_anyhow(subscriber, buf, size);
	int r = take(subscriber, &sample);
	if (r < 0)
		return r == -ERESTART ? kickmsg_try_receive_copy(subscriber, buf, size) : r;
	if (__builtin_expect(sample.len > size, 0)) {
		keep_pending(subscriber, &sample);
		return -EMSGSIZE;
	}
	if (sample.len <= KM_CACHE_LINE)
		km_copy_short(buf, sample.data, sample.len);
	else
		memcpy(buf, sample.data, sample.len);
	km_rings_let_go(subscriber, &sample);
	return (ssize_t)sample.len;
}

/* Each message is taken as any, and dropped at once. A message that a publisher pushes out
 * meanwhile makes room for a newer one, so no more than `depth` are left of those that were
 * there. */
void km_rings_skip(struct kickmsg_subscriber *subscriber, uint32_t depth)
{
	struct km_place *here = &subscriber->handle.place;
	uint64_t head, position, frontier = km_place_frontier(here, &head);
	uint32_t slot;

	if (here->region.path & KM_PATH_KEPT)
		km_kept_skip(subscriber, frontier - head < depth ? depth - (frontier - head) : 0);
	/* a message that is pending has the last hold */
	for (uint64_t left = frontier - head; left > depth && !subscriber->has_pending; left--) {
		struct km_hold *hold = km_hold_spare(here);

		if (km_ring_take(&here->region, here->ring, hold->held, &position, &slot) < 0)
			/* the receive finds the same error, and says so */
			return;
		if (km_ring_is_late(&here->region, slot)) {
			km_kept_lose_late(here, hold, position, slot);
			continue;
		}
		hold->position = position + here->offset;
		hold->slot = &here->region.slots[slot];
		km_rings_lose_up_to(here, position + 1);
		km_place_expect(here, position + 1);
		km_place_let_go(here, hold);
	}
}

uint64_t km_rings_lost(const struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;

	/* nobody but the subscriber takes, so what lies before head and wasn't taken was pushed out */
	return here->lost + km_load(R2, acquire, &here->ring->head) - here->next;
}

uint64_t km_rings_waiting(const struct kickmsg_subscriber *subscriber)
{
	uint64_t head, frontier = km_place_frontier(&subscriber->handle.place, &head);

	return subscriber->handle.place.newcomer.left + frontier - head + subscriber->has_pending;
}
