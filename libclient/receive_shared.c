/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving from a shared ring (shared.h): the position is the subscriber's own, and nothing is
 * written but statistics, so nobody else is ever touched by how it reads or that it dies.
 *
 * A message that was overwritten before it was read is found by its cell: the subscriber goes on at
 * the oldest that is left, and the positions between are its loss. When that is overwritten as well
 * before it is copied, publishers are as fast as the reader; it then leaves a quarter of the ring
 * between them and itself, so that it isn't overtaken again at once.
 */
#include <errno.h>
#include <time.h>

#include "bell.h"
#include "internal.h"
#include "rejoin.h"
#include "shared.h"
#include "waiter.h"

#define OBSERVER_PERIOD_NS INT64_C(1000000)

static void lose(struct kickmsg_subscriber *subscriber, uint64_t count)
{
	subscriber->next += count;
	subscriber->lost += count;
	/* its own messages may have been in a region before: those don't count here */
	uint64_t own = subscriber->own.overwritten;
	km_store(H2, relaxed, &subscriber->endpoint->lost,
		subscriber->lost > own ? subscriber->lost - own : 0);
}

/* Something at `newest` lies where the next message lay. Errors: -ESTALE. */
static int catch_up(struct kickmsg_subscriber *subscriber, uint64_t newest, bool again)
{
	const struct km_region *region = &subscriber->attachment.region;
	uint64_t kept = (uint64_t)region->cell_mask + 1, frontier;
	int r = km_shared_frontier(region, newest, &frontier);

	if (r < 0)
		return r;
	if (again)
		kept -= kept / 4;
	lose(subscriber, frontier - kept - subscriber->next);
	return 0;
}

/* Is this what the subscriber's own publisher said? It is passed over then. What it said before and
 * was overwritten meanwhile is no loss either. */
static bool pass_over_own(struct kickmsg_subscriber *subscriber, const struct km_shared_seen *seen)
{
	struct km_own_messages *own = &subscriber->own;
	uint32_t own_id = km_load(P2, relaxed, &own->id);

	if (!own_id || seen->publisher_id != own_id)
		return false;
	if (own->last_sequence != UINT64_MAX)
		own->overwritten += seen->sequence - own->last_sequence - 1;
	own->last_sequence = seen->sequence;
	subscriber->next++;
	lose(subscriber, 0);
	return true;
}

/* No message is there. Is there another region to go to? */
static km_noinline int look_elsewhere(struct kickmsg_subscriber *subscriber, uint64_t live)
{
	if (km_subscriber_move(subscriber, live))
		return -ERESTART;
	return live & KM_LIVE_QUARANTINED ? -ESTALE : -EAGAIN;
}

static inline int nothing(struct kickmsg_subscriber *subscriber)
{
	uint64_t live = km_load(L1, acquire, &subscriber->attachment.region.header->live);

	if (__builtin_expect(live & (KM_LIVE_QUARANTINED | KM_LIVE_LEFT) || subscriber->past ||
				     km_load(P3, relaxed, &subscriber->prepared),
		    0))
		return look_elsewhere(subscriber, live);
	return -EAGAIN;
}

/* After a look that didn't simply bring a message: goes on until there is something to say. */
static km_noinline int look_on(struct kickmsg_subscriber *subscriber, int r, void *buf, size_t size,
	struct km_shared_seen *seen)
{
	const struct km_region *region = &subscriber->attachment.region;
	bool again = false;

	for (;; r = km_shared_read(region, subscriber->next, buf, size, seen)) {
		if (r == -EOVERFLOW) {
			if (catch_up(subscriber, seen->newest, again) < 0)
				return -ESTALE;
			again = true;
		} else if (r == -ENODATA) {
			lose(subscriber, 1);
		} else if (r == -EAGAIN) {
			return nothing(subscriber);
		} else if (r == -ESTALE || !pass_over_own(subscriber, seen)) {
			return r;
		}
	}
}

static km_always_inline int take(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct km_shared_seen *seen)
{
	uint32_t own_id = km_load(P2, relaxed, &subscriber->own.id);
	int r = km_shared_read(&subscriber->attachment.region, subscriber->next, buf, size, seen);

	if (r == -EAGAIN)
		return nothing(subscriber);
	if (__builtin_expect(r != 0 || own_id != 0, 0)) {
		struct km_shared_seen copy = *seen;

		r = look_on(subscriber, r, buf, size, &copy);
		*seen = copy;
	}
	if (r == 0) {
		subscriber->next++;
		km_endpoint_count(&subscriber->endpoint->messages, 1);
	}
	return r;
}

ssize_t km_shared_take_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	struct km_shared_seen seen = { 0 };
	int r = take(subscriber, buf, size, &seen);

	if (r == -ERESTART)
		return kickmsg_try_receive_copy(subscriber, buf, size);
	return r < 0 ? r : (ssize_t)seen.len;
}

int km_shared_take(struct kickmsg_subscriber *subscriber, void *buf, struct kickmsg_sample *ret)
{
	struct km_shared_seen seen = { 0 };
	int r = take(
		subscriber, buf, subscriber->attachment.region.geometry.max_payload_size, &seen);

	if (r == 0)
		*ret = (struct kickmsg_sample){
			.data = buf,
			.len = seen.len,
			.ring_pos = subscriber->next - 1 + subscriber->offset,
			.publisher_sequence = seen.sequence,
			.publisher_id = seen.publisher_id,
			.subscriber = subscriber,
		};
	return r;
}

void km_shared_count(
	const struct kickmsg_subscriber *subscriber, uint64_t *ret_lost, uint64_t *ret_waiting)
{
	const struct km_region *region = &subscriber->attachment.region;
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	uint64_t next = subscriber->next, frontier;

	*ret_lost = subscriber->lost - subscriber->own.overwritten;
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

int km_shared_sleep(struct kickmsg_subscriber *subscriber, uint64_t ends, int64_t deadline_ns)
{
	const struct km_region *region = &subscriber->attachment.region;
	struct timespec period = { 0, OBSERVER_PERIOD_NS };

	if (region->bell)
		return km_bell_sleep(region, subscriber->next, ends, deadline_ns);
	/* an observer has no bell: nobody is to notice it */
	int64_t left = deadline_ns < 0 ? OBSERVER_PERIOD_NS : deadline_ns - km_clock_ns();
	if (left <= 0)
		return -ETIMEDOUT;
	if (left < OBSERVER_PERIOD_NS)
		period.tv_nsec = left;
	nanosleep(&period, NULL);
	return 0;
}
