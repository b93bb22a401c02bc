/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room before a message is sent: see reliable.h. A publisher tries, looks for a while, then
 * sleeps and tries again. */
#include "libclient/path/reliable.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/shared/room.h"
#include "libclient/export.h"
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
		for (int i = 0; i < PAUSES_A_LOOK; i++)
			km_pause();
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

static ssize_t wait_and_try(
	struct kickmsg_publisher *publisher, const struct outgoing *outgoing, int64_t timeout_ns)
{
	ssize_t r = try_once(publisher, outgoing);

	if (r != -ENOBUFS || timeout_ns == 0)
		return r;
	const int64_t deadline_ns = km_wait_deadline(timeout_ns);
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

KM_EXPORT ssize_t kickmsg_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns)
{
	const struct outgoing outgoing = { .data = data, .len = len };

	return wait_and_try(publisher, &outgoing, timeout_ns);
}

KM_EXPORT int kickmsg_publish_wait(
	struct kickmsg_publisher *publisher, void *payload, size_t len, int64_t timeout_ns)
{
	const struct outgoing outgoing = { .payload = payload, .len = len };

	/* a null pointer is no loan */
	return payload ? (int)wait_and_try(publisher, &outgoing, timeout_ns)
		       : kickmsg_publish(publisher, payload, len);
}
