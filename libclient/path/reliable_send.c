/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing where subscribers may be reliable ones, and waiting for room: see reliable.h and
 * common/shared/room.h. The steps of a message are those of rings_send.c, with one before them: a
 * look for room in each reliable ring. The look's result holds until the commit, however long that
 * takes.
 */
#include "libclient/path/reliable.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/memory/copy.h"
#include "common/shared/room.h"
#include "libclient/client/reconnect.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/look.h"
#include "libclient/path/rings_send.h"
#include "libclient/rejoin/move.h"
#include "libclient/wait/room.h"

/* --- looking -------------------------------------------------------------------------------------- */

static void say(struct kickmsg_publisher *publisher, uint64_t live)
{
	KM_KEEP_ERRNO;
	const struct km_place *here = &publisher->handle.place;
	struct kickmsg_client *client = publisher->handle.client;
	const int64_t now = client ? km_clock_ns() : 0;

	publisher->has_said = !client;
	if (client && now - publisher->said_ns >= KM_ROOM_SAY_NS && km_client_trylock(client)) {
		publisher->said_ns = now;
		publisher->has_said = true;
		km_reconnect_poke(client, live & KM_LIVE_LEFT);
		if (client->link == KM_LINK_UP && here->connection == client->connection)
			publisher->has_said = km_client_say_stalled(client, here->endpoint) == 0;
		km_client_unlock(client);
	}
	/* where the broker wasn't told, the descriptor stays readable */
	if (publisher->ready && publisher->has_said)
		km_room_ready_arm(publisher);
}

km_noinline int km_reliable_refuse(struct kickmsg_publisher *publisher, uint64_t live)
{
	if (!publisher->tries_again)
		km_endpoint_count(&publisher->handle.place.record->no_room, 1);
	say(publisher, live);
	return -ENOBUFS;
}

/* 1: there is room in the rings of `live`; `slot` with `len` bytes, or KM_HAZARD_NONE, is to go there. 0: it
 * has gone to another region, and what was in the slot as well. Errors, with which the slot is free:
 * -ENOBUFS; those of km_publisher_look(). */
static km_always_inline int find_room(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	int r = 1;

	if (__builtin_expect(live != here->live, 0))
		r = km_publisher_look(publisher, live, slot, len);
	if (r > 0 && km_room_find_full(&here->region, live & km_load(P1, relaxed, &here->rings),
			     here->cursors)) {
		if (slot != KM_HAZARD_NONE)
			km_slot_drop(&here->region.slots[slot], KM_SLOT_ID_MASK);
		r = km_reliable_refuse(publisher, live);
	}
	return r;
}

static km_always_inline uint64_t load_live(const struct kickmsg_publisher *publisher)
{
	return km_load(L1, acquire, &publisher->handle.place.region.header->live);
}

/* --- publishing ----------------------------------------------------------------------------------- */

/* Commits `slot` to the rings of `live`, where there is room. Errors: -ESTALE. */
static km_always_inline int commit(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const uint64_t targets = live & km_load(P1, relaxed, &here->rings);
	uint64_t failed = 0;

	if (region->geometry.timestamps)
		km_rings_stamp(km_region_sample(region, slot));
	km_rings_describe(publisher, km_region_sample(region, slot), targets, len);
	if (targets) {
		km_hazard_set(&here->record->delivering, slot);
		km_slot_send(&region->slots[slot], targets);
	} else {
		km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
	}
	for (uint64_t left = targets; left; left &= left - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(left);
		struct km_ring *ring = km_region_ring(region, i);

		if (!km_ring_append(region, ring, slot, &here->cursors[i])) {
			failed = km_rings_deliver_rest(here, slot, left, 0);
			break;
		}
		km_waiter_notify(ring);
	}
	km_hazard_clear(&here->record->delivering);
	km_endpoint_count_sent(here->record, 1, len);
	return failed ? -ESTALE : 0;
}

/* Somebody came or went, perhaps, since there was room for `seen`. */
static int publish(struct kickmsg_publisher *publisher, uint64_t seen, uint32_t slot, size_t len)
{
	const uint64_t live = load_live(publisher);
	int r = 1;

	if (__builtin_expect(live != seen, 0))
		r = find_room(publisher, live, slot, len);
	if (r <= 0)
		return r;
	return commit(publisher, live, slot, len);
}

ssize_t km_reliable_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t live = load_live(publisher);
	uint32_t slot;

	if (len > here->region.geometry.max_payload_size)
		return -EMSGSIZE;
	int r = find_room(publisher, live, KM_HAZARD_NONE, len);
	if (r <= 0)
		return r < 0 ? r : kickmsg_send(publisher, data, len);
	if (km_slot_cache_claim_hottest(&here->cache, &here->region, here->id, &slot))
		km_rings_begin_slot(here, slot);
	else
		r = km_rings_claim(publisher, len, &slot);
	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	if (len <= here->region.short_size)
		km_copy_short(km_region_payload(&here->region, slot), data, len);
	else
		memcpy(km_region_payload(&here->region, slot), data, len);
	r = publish(publisher, live, slot, len);
	if (__builtin_expect(here->past != NULL, 0))
		km_handle_settle(&publisher->handle);
	return r < 0 ? r : (ssize_t)len;
}

int km_reliable_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);
	const uint64_t live = load_live(publisher);

	if (!loan || of != here)
		return km_publisher_publish_past(publisher, payload, len);
	if (len > loan->len)
		return -EMSGSIZE;
	int r = find_room(publisher, live, KM_HAZARD_NONE, len);
	if (r == 0)
		return kickmsg_publish(publisher, payload, len);
	if (r == -ENOBUFS)
		return r;
	km_place_end_loan(here, loan);
	if (r > 0)
		r = commit(publisher, live, loan->slot, len);
	else
		km_slot_drop(&here->region.slots[loan->slot], KM_SLOT_ID_MASK);
	km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}

/* --- waiting -------------------------------------------------------------------------------------- */

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
	int64_t end_ns = km_clock_ns() + publisher->spin_ns;

	if (deadline_ns < end_ns)
		end_ns = deadline_ns;
	do {
		for (int i = 0; i < PAUSES_A_LOOK; i++)
			km_pause();
		if (km_publisher_has_room(publisher, false)) {
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

int64_t km_reliable_rest(struct kickmsg_publisher *publisher)
{
	say(publisher, load_live(publisher));
	return km_clock_ns() + (publisher->has_said ? KM_PATIENCE_NS : KM_ROOM_SAY_NS);
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
