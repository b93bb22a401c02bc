/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room before a message is sent: see reliable.h. A publisher that is short of room lets it grow for a
 * moment. Then it tries, looks for a while, sleeps and tries again. */
#include "libclient/path/reliable.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/shared/room.h"
#include "libclient/export.h"
#include "libclient/path/reliable_shared.h"
#include "libclient/wait/room.h"

/*
 * A reader that is about as fast as the publisher empties its ring while the publisher is being woken.
 * So a publisher looks for room for spin_ns before it sleeps. Where looking was in vain SPINS_IN_VAIN times in
 * a row, only one wait in WAITS_TILL_AGAIN begins with it. PAUSES_A_LOOK pauses lie between two looks, since
 * each look takes a cache line from the reader.
 */
#define SPINS_IN_VAIN    4
#define WAITS_TILL_AGAIN 16
#define PAUSES_A_LOOK    16

/*
 * A publisher that is about as fast as its reader would find room for a message or two at each look. Both
 * would then wait for the same lines at each message. So it waits until there is room for ROOM_AT_ONCE, or a
 * quarter of the ring, as long as the reader goes on: after LOOKS_IN_VAIN looks in a row that find no more it
 * sends. At three quarters of a ring the reader has enough to do.
 */
#define ROOM_AT_ONCE  16
#define LOOKS_IN_VAIN 4

static void pause_before_look(void)
{
	for (int i = 0; i < PAUSES_A_LOOK; i++)
		km_pause();
}

/* Where messages go to a single ring, which may be shared: what the publisher knows of it. Else null. */
static km_always_inline struct km_ring_cursor *target_cursor(struct km_place *place)
{
	if (place->region.shared)
		return place->cursors;
	return place->only == KM_ONLY_NONE ? NULL : place->only_cursor;
}

/* Is the room that the publisher knew of used up? */
static km_always_inline bool is_short(struct km_place *place)
{
	const struct km_region *region = &place->region;
	const struct km_ring_cursor *cursor = target_cursor(place);

	return cursor && (region->shared ? cursor->next - cursor->head > region->cell_mask
					 : !km_room_is_known(region, cursor));
}

static km_noinline void let_room_grow(struct km_place *place)
{
	const struct km_region *region = &place->region;
	const uint64_t quarter = region->geometry.ring_capacity / 4,
		       enough = quarter < ROOM_AT_ONCE ? quarter : ROOM_AT_ONCE;
	const uint32_t ring = region->shared ? 0 : (uint32_t)__builtin_ctzll(place->only);
	struct km_ring_cursor *cursor = target_cursor(place);
	uint64_t room;

	/* a publisher's first message, or a ring whose publishers push out what is old */
	if (cursor->next == 0 ||
		(!region->shared &&
			!(place->only & km_load(E1, relaxed, &region->header->reliable))))
		return;
	room = km_room_count(region, ring, cursor);
	for (int in_vain = 0; in_vain < LOOKS_IN_VAIN && room > 0 && room < enough;) {
		pause_before_look();
		const uint64_t more = km_room_count(region, ring, cursor);
		in_vain++;
		/* a hostile reader may go back and forth, so only what was never seen counts */
		if (more > room) {
			room = more;
			in_vain = 0;
		}
	}
}

static bool spin_for_room(struct kickmsg_publisher *publisher, int64_t deadline_ns)
{
	if (publisher->spin_ns == 0 || (publisher->spins_in_vain >= SPINS_IN_VAIN &&
					       publisher->spins_in_vain++ % WAITS_TILL_AGAIN != 0))
		return false;
	/* Others that have left make no room, and this publisher knows of them. */
	const bool left = km_place_is_left(&publisher->handle.place);
	int64_t end_ns = km_clock_ns() + publisher->spin_ns;

	if (deadline_ns < end_ns)
		end_ns = deadline_ns;
	do {
		pause_before_look();
		if (km_publisher_has_room(publisher, left)) {
			publisher->spins_in_vain = 0;
			return true;
		}
	} while (km_clock_ns() < end_ns);
	publisher->spins_in_vain++;
	return false;
}

/* Sleeps until there may be room. Where the broker wasn't told, it is told soon; else again after a while,
 * since the broker may be another one by then. Errors: -EINTR. */
static int wait_for_room(struct kickmsg_publisher *publisher, int64_t deadline_ns)
{
	KM_KEEP_ERRNO;
	struct km_place *here = &publisher->handle.place;
	struct km_sleep sleep = {
		.ends = KM_LIVE_QUARANTINED,
		.deadline_ns = km_clock_ns() +
			       (publisher->has_said ? KM_PATIENCE_NS : KM_ROOM_SAY_NS),
	};

	/* the word says "left" from then on, and would end each sleep at once */
	if (!km_place_is_left(here))
		sleep.ends |= KM_LIVE_LEFT;
	if (deadline_ns < sleep.deadline_ns)
		sleep.deadline_ns = deadline_ns;
	int r = km_room_sleep(
		&here->region, km_load(P1, relaxed, &here->rings), here->cursors, &sleep);
	return r == -EINTR ? r : 0;
}

/* A message or a loan that waits for room. */
struct outgoing {
	const void *data; /* or: */
	void *payload;
	size_t len;
};

static ssize_t try_once(struct kickmsg_publisher *publisher, const struct outgoing *outgoing)
{
	return outgoing->payload ? kickmsg_publish(publisher, outgoing->payload, outgoing->len)
				 : kickmsg_send(publisher, outgoing->data, outgoing->len);
}

/* A try has found no room. */
static km_noinline ssize_t wait_and_try(
	struct kickmsg_publisher *publisher, const struct outgoing *outgoing, int64_t timeout_ns)
{
	const int64_t deadline_ns = km_wait_deadline(timeout_ns);
	ssize_t r;

	if (timeout_ns == 0)
		return -ENOBUFS;
	publisher->tries_again = true;
	do {
		int slept = 0;

		if (!spin_for_room(publisher, deadline_ns))
			slept = wait_for_room(publisher, deadline_ns);

		r = try_once(publisher, outgoing);
		if (r == -ENOBUFS && slept == -EINTR)
			r = -EINTR;
		else if (r == -ENOBUFS && km_clock_ns() >= deadline_ns)
			r = -ETIMEDOUT;
	} while (r == -ENOBUFS);
	publisher->tries_again = false;
	return r;
}

/* Before the first try. */
static km_always_inline void prepare(struct kickmsg_publisher *publisher, int64_t timeout_ns)
{
	struct km_place *here = &publisher->handle.place;

	if (here->region.path & KM_PATH_RELIABLE && timeout_ns != 0 && is_short(here))
		let_room_grow(here);
}

km_noinline ssize_t km_reliable_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns)
{
	prepare(publisher, timeout_ns);
	ssize_t r = kickmsg_send(publisher, data, len);
	if (__builtin_expect(r != -ENOBUFS, 1))
		return r;
	return wait_and_try(publisher, &(struct outgoing){ .data = data, .len = len }, timeout_ns);
}

KM_EXPORT ssize_t kickmsg_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns)
{
	if (publisher->handle.place.region.path == (KM_PATH_RELIABLE | KM_PATH_SHARED))
		return km_reliable_shared_send_wait(publisher, data, len, timeout_ns);
	return km_reliable_send_wait(publisher, data, len, timeout_ns);
}

KM_EXPORT int kickmsg_publish_wait(
	struct kickmsg_publisher *publisher, void *payload, size_t len, int64_t timeout_ns)
{
	prepare(publisher, timeout_ns);
	int r = kickmsg_publish(publisher, payload, len);
	/* a null pointer is no loan, so it has no wait */
	if (__builtin_expect(r != -ENOBUFS, 1))
		return r;
	return (int)wait_and_try(
		publisher, &(struct outgoing){ .payload = payload, .len = len }, timeout_ns);
}
