/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving from a shared ring (shared.h): the position is the subscriber's own, and it writes
 * nothing but statistics. So nobody else is ever touched by how it reads or that it dies.
 *
 * A message that was overwritten before it was read is found by its cell: the subscriber goes on at
 * the oldest that is left, and the positions between are its loss. When that is overwritten as well
 * before it is copied, publishers are as fast as the reader. The subscriber then leaves a quarter
 * of the ring between them and itself, so that it isn't overtaken again at once.
 *
 * The file is long because each way to receive is there twice, with publish times and without.
 */
#include "libclient/path/shared_receive.h"
#include "common/ring/futex.h"

#include <errno.h>

#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/export.h"
#include "libclient/path/hold.h"
#include "libclient/path/shared_sample.h"
#include "libclient/rejoin/move.h"
#include "libclient/wait/ready.h"

static void lose(struct km_place *here, uint64_t count)
{
	here->next += count;
	here->lost += count;
	/* the subscriber's own messages of an earlier region don't count here */
	km_store(H2, relaxed, &here->record->lost,
		here->lost > here->own_lost ? here->lost - here->own_lost : 0);
}

/*
 * A message at `newest` lies where the next message lay. *frontier is the frontier that this call
 * of the user's found last, or 0. If `newest` lies beyond it, messages came later, so one lies at
 * *frontier now. Otherwise the cells contradict each other, and would be followed for ever. Errors:
 * -ESTALE.
 */
static int catch_up(struct km_place *here, uint64_t newest, uint64_t *frontier)
{
	const struct km_region *region = &here->region;
	uint64_t kept = (uint64_t)region->cell_mask + 1, found, word;
	int r = km_shared_frontier(region, newest, &found);

	if (r < 0)
		return r;
	if (*frontier) {
		/* behind the frontier's look at `newest`, which is an acquire */
		word = km_load(U1, acquire, &km_region_cell(region, *frontier)->word);
		if (km_cell_laps_ahead(word, *frontier, region->cell_shift) < 0)
			return -ESTALE;
		kept -= kept / 4;
	}
	*frontier = found;
	lose(here, found - kept - here->next);
	return 0;
}

/* Is this a message of the subscriber's own publisher? Then it is passed over. That publisher's
 * earlier messages that were overwritten meanwhile are no losses either. */
static bool pass_over_own(struct kickmsg_subscriber *subscriber, const struct km_shared_seen *seen)
{
	struct km_place *here = &subscriber->handle.place;
	uint32_t own_id = km_load(P2, relaxed, &here->own_id);

	if (!own_id || seen->publisher_id != own_id)
		return false;
	if (subscriber->own_sequence != UINT64_MAX)
		here->own_lost += seen->sequence - subscriber->own_sequence - 1;
	subscriber->own_sequence = seen->sequence;
	here->next++;
	lose(here, 0);
	return true;
}

/* No message is there. Finds out whether there is another region to go to. */
static km_noinline int look_elsewhere(struct kickmsg_subscriber *subscriber, uint64_t live)
{
	bool moves = live & KM_LIVE_LEFT || subscriber->handle.place.past ||
		     km_load(P3, relaxed, &subscriber->prepared) & KM_PREPARED;

	if (moves && km_subscriber_move(subscriber, live))
		return -ERESTART;
	if (live & KM_LIVE_QUARANTINED || live == 0)
		return -ESTALE;
	return subscriber->ready && km_ready_arm(subscriber) ? -ERESTART : -EAGAIN;
}

static inline int nothing(struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;
	uint64_t live = km_load(L4, relaxed, &here->region.header->live);

	/* 0, or one of the top two bits */
	if (__builtin_expect(live - 1 >= KM_LIVE_LEFT - 1 || here->past ||
				     km_load(P3, relaxed, &subscriber->prepared),
		    0))
		return look_elsewhere(subscriber, live);
	return -EAGAIN;
}

/* Cells that a look goes on over: no more than lie in the ring, and as many again that come meanwhile. Publishers
 * that go on for ever with cells of no use to this subscriber would else hold it for ever. */
#define MOST_CELLS(region) (2 * ((uint64_t)(region)->cell_mask + 1))

/* The twin of take(), after a look that found no short message: goes on until there is something to
 * say. Where it has gone on over so many cells that it ends, the descriptor stays readable. */
static km_always_inline int look_on_as(struct kickmsg_subscriber *subscriber, int r, void *buf,
	size_t size, struct km_shared_seen *seen, uint64_t *publish_ns)
{
	struct km_place *here = &subscriber->handle.place;
	uint64_t frontier = 0; /* no position is: they begin with the capacity */

	for (uint64_t left = MOST_CELLS(&here->region); left > 0; left--) {
		if (r == -EOVERFLOW) {
			if (catch_up(here, seen->newest, &frontier) < 0)
				return -ESTALE;
		} else if (r == -ENODATA) {
			lose(here, 1);
		} else if (r == -EAGAIN) {
			return nothing(subscriber);
		} else if (r == -ESTALE || !pass_over_own(subscriber, seen)) {
			return r;
		}
		r = km_shared_read(&here->region, here->next, buf, size, seen, publish_ns);
	}
	return -EAGAIN;
}

static km_noinline int look_on(struct kickmsg_subscriber *subscriber, int r, void *buf, size_t size,
	struct km_shared_seen *seen)
{
	return look_on_as(subscriber, r, buf, size, seen, NULL);
}

static km_noinline int look_on_timed(struct kickmsg_subscriber *subscriber, int r, void *buf,
	size_t size, struct km_shared_seen *seen, uint64_t *publish_ns)
{
	return look_on_as(subscriber, r, buf, size, seen, publish_ns);
}

/* The usual case, whose twin is look_on_as(): the next message is there, or none is. -ERESTART: the
 * subscriber has gone to another region, where a message may be. publish_ns: null in a topic
 * without timestamps, as in shared.h. */
static km_always_inline int take(struct kickmsg_subscriber *subscriber, void *buf, size_t size,
	struct km_shared_seen *seen, uint64_t *publish_ns)
{
	struct km_place *here = &subscriber->handle.place;
	uint32_t own_id = km_load(P2, relaxed, &here->own_id);
	int r = km_shared_read(&here->region, here->next, buf, size, seen, publish_ns);

	if (r == -EAGAIN)
		return nothing(subscriber);
	if (__builtin_expect(r != 0 || own_id != 0, 0)) {
		struct km_shared_seen copy = *seen;

		r = publish_ns ? look_on_timed(subscriber, r, buf, size, &copy, publish_ns)
			       : look_on(subscriber, r, buf, size, &copy);
		*seen = copy;
	}
	if (r == 0) {
		here->next++;
		km_endpoint_count(&here->record->messages, 1);
	}
	return r;
}

/* Receives a sample, which is a copy in the room of its hold. Its usual case is km_shared_borrow_short(). */
static km_always_inline int receive_as(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, bool timed)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_shared_seen seen = { 0 };
	uint64_t time = 0;

	if (km_shared_borrow_short(subscriber, ret, timed))
		return 0;
	if (subscriber->borrowed >= here->region.geometry.max_borrows)
		return -EDQUOT;
	uint32_t hold = km_hold_spare(here)->index;
	int r = take(subscriber, here->copies + hold * here->copy_stride,
		here->region.geometry.max_payload_size, &seen, timed ? &time : NULL);
	if (r < 0)
		return r == -ERESTART ? kickmsg_try_receive(subscriber, ret) : r;
	km_shared_lend(subscriber, hold, &seen, time, ret);
	return 0;
}

int km_shared_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	return receive_as(subscriber, ret, false);
}

int km_shared_receive_timed(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	return receive_as(subscriber, ret, true);
}

/* Reads a message that isn't a short one, among others that were published together. */
static km_noinline bool read_long(
	const struct km_place *place, unsigned char *copy, struct km_shared_seen *seen)
{
	struct km_shared_seen any = { 0 };
	int r = km_shared_read(&place->region, place->next, copy,
		place->region.geometry.max_payload_size, &any, NULL);

	*seen = any;
	return r == 0;
}

static km_noinline bool read_long_timed(const struct km_place *place, unsigned char *copy,
	struct km_shared_seen *seen, uint64_t *publish_ns)
{
	return km_shared_read(&place->region, place->next, copy,
		       place->region.geometry.max_payload_size, seen, publish_ns) == 0;
}

static km_always_inline int receive_many_as(struct kickmsg_subscriber *subscriber,
	struct kickmsg_sample *ret, uint32_t count, bool timed)
{
	struct km_place *here = &subscriber->handle.place;
	const struct km_geometry *geometry = &here->region.geometry;
	const uint32_t room = km_hold_room(subscriber);
	uint32_t hold = 0, taken = 0;

	if (km_load(P2, relaxed, &here->own_id) != 0)
		return 0;
	count = count < room ? count : room;
	for (; taken < count; taken++, hold++) {
		struct km_shared_seen seen;
		uint64_t time = 0;

		while (km_hold_is_busy(&here->holds[hold]))
			hold++;
		unsigned char *copy = here->copies + hold * here->copy_stride;
		if (!km_shared_read_short(&here->region, here->next, copy,
			    geometry->max_payload_size, &seen.len, &seen.publisher_id,
			    &seen.sequence, timed ? &time : NULL) &&
			!(timed ? read_long_timed(here, copy, &seen, &time)
				: read_long(here, copy, &seen)))
			break;
		here->next++;
		km_shared_lend(subscriber, hold, &seen, time, &ret[taken]);
	}
	km_endpoint_count(&here->record->messages, taken);
	return (int)taken;
}

int km_shared_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	return receive_many_as(subscriber, ret, count, false);
}

int km_shared_receive_many_timed(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	return receive_many_as(subscriber, ret, count, true);
}

static km_always_inline ssize_t copy_anyhow_as(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, uint64_t *publish_ns)
{
	struct km_shared_seen seen = { 0 };
	int r = take(subscriber, buf, size, &seen, publish_ns);

	if (r == -ERESTART)
		return kickmsg_try_receive_copy(subscriber, buf, size);
	return r < 0 ? r : (ssize_t)seen.len;
}

/* The twins of the functions that copy_as() makes. */
static km_noinline ssize_t copy_anyhow(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	return copy_anyhow_as(subscriber, buf, size, NULL);
}

static km_noinline ssize_t copy_anyhow_timed(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	uint64_t time;

	return copy_anyhow_as(subscriber, buf, size, &time);
}

/* The usual case, whose twin is copy_anyhow_as(): a short message is there. */
static km_always_inline ssize_t copy_as(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, bool timed)
{
	struct km_place *here = &subscriber->handle.place;
	const uint64_t next = here->next;
	uint64_t len, time;
	uint32_t id;

	if (km_load(P2, relaxed, &here->own_id) != 0 ||
		!km_shared_read_short(
			&here->region, next, buf, size, &len, &id, NULL, timed ? &time : NULL))
		return timed ? copy_anyhow_timed(subscriber, buf, size)
			     : copy_anyhow(subscriber, buf, size);
	here->next = next + 1;
	km_endpoint_count(&here->record->messages, 1);
	return (ssize_t)len;
}

ssize_t km_shared_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	return copy_as(subscriber, buf, size, false);
}

ssize_t km_shared_receive_copy_timed(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	return copy_as(subscriber, buf, size, true);
}

int km_shared_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret)
{
	const bool timed = subscriber->handle.place.region.geometry.timestamps;
	struct km_shared_seen seen = { 0 };
	uint64_t time = 0;
	int r = timed ? take(subscriber, buf, size, &seen, &time)
		      : take(subscriber, buf, size, &seen, NULL);

	if (r < 0)
		return r;
	*ret = (struct kickmsg_sample){
		.data = buf,
		.len = seen.len,
		.ring_pos = subscriber->handle.place.next - 1 + subscriber->handle.place.offset,
		.publisher_sequence = seen.sequence,
		.publish_ns = time,
		.publisher_id = seen.publisher_id,
	};
	return 0;
}

void km_shared_skip(struct kickmsg_subscriber *subscriber, uint32_t depth)
{
	struct km_place *here = &subscriber->handle.place;
	uint64_t frontier;

	if (km_shared_frontier(&here->region, here->next, &frontier) == 0 &&
		frontier - here->next > depth)
		lose(here, frontier - depth - here->next);
}

void km_shared_count(
	const struct kickmsg_subscriber *subscriber, uint64_t *ret_lost, uint64_t *ret_waiting)
{
	const struct km_place *here = &subscriber->handle.place;
	const struct km_region *region = &here->region;
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	uint64_t next = here->next, frontier;

	*ret_lost = here->lost - here->own_lost;
	*ret_waiting = 0;
	if (km_shared_frontier(region, next, &frontier) < 0)
		return;
	if (frontier - next > capacity) {
		*ret_lost += frontier - capacity - next;
		next = frontier - capacity;
	}
	for (; next != frontier; next++) {
		uint64_t word = km_load(U1, acquire, &km_region_cell(region, next)->word);
		bool is_there = km_cell_laps_ahead(word, next, region->cell_shift) == 0 &&
				km_cell_slot(word) != KM_SHARED_VOID;

		*ret_waiting += is_there;
		*ret_lost += !is_there;
	}
}

int km_shared_sleep(const struct km_place *place, const struct km_sleep *sleep)
{
	/* an observer has no bell: nobody is to notice it */
	return place->region.bell ? km_bell_sleep(&place->region, place->next, sleep)
				  : km_nap(sleep->deadline_ns);
}
