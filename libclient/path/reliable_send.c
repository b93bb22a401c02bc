/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing where subscribers may be reliable ones: see reliable.h and common/shared/room.h. The steps of
 * a message are those of rings_send.c, with one before them: a look for room in each reliable ring. The
 * look's result holds until the commit, however long that takes.
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

static km_always_inline uint64_t load_live(const struct kickmsg_publisher *publisher)
{
	return km_load(L1, acquire, &publisher->handle.place.region.header->live);
}

/* Does the broker know of the place? One that has hung up on the client may have no second place for its
 * publisher, which has its first one still. Needs the lock. */
static bool is_known(const struct km_handle *handle, uint64_t live)
{
	return km_handle_is_at_home(handle) ||
	       (handle->client->link == KM_LINK_UP && !handle->fresh && !(live & KM_LIVE_LEFT));
}

/* Tells the broker, or lets it be told once the connection is there again. While another thread's call waits
 * for its answer that thread has the turn, and not the lock. */
static bool tell(struct kickmsg_publisher *publisher, int64_t now, uint64_t live)
{
	const struct km_handle *handle = &publisher->handle;
	struct kickmsg_client *client = handle->client;
	const bool has_turn = km_client_trylock(client);
	bool told = true;

	if (!has_turn && !km_client_trylock_alone(client))
		return false;
	publisher->said_ns = now;
	if (has_turn)
		km_reconnect_poke(client, live & KM_LIVE_LEFT);
	if (is_known(handle, live))
		told = km_client_say_stalled(client, handle->place.endpoint) == 0;
	if (has_turn)
		km_client_unlock(client);
	else
		pthread_mutex_unlock(&client->lock);
	return told;
}

static void say(struct kickmsg_publisher *publisher, uint64_t live)
{
	KM_KEEP_ERRNO;
	const int64_t now = publisher->handle.client ? km_clock_ns() : 0;

	publisher->has_said = !publisher->handle.client;
	if (!publisher->has_said && now - publisher->said_ns >= KM_ROOM_SAY_NS)
		publisher->has_said = tell(publisher, now, live);
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

int64_t km_reliable_rest(struct kickmsg_publisher *publisher)
{
	say(publisher, load_live(publisher));
	return km_clock_ns() + (publisher->has_said ? KM_PATIENCE_NS : KM_ROOM_SAY_NS);
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
	km_rings_aim(here, targets);
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

/* --- the usual case ------------------------------------------------------------------------------- */

static km_noinline bool look_for_room(struct km_place *place)
{
	return km_room_is_there(
		&place->region, (uint32_t)__builtin_ctzll(place->only), place->only_cursor);
}

/* With `live` as it is: km_rings_post() can publish a message, and there is room for it. The look for room and
 * the message's targets have one look at `live`, so whoever comes behind it gets the next message. */
static km_always_inline bool is_usual(struct km_place *place, uint64_t live)
{
	const struct km_region *region = &place->region;

	return km_rings_is_usual(place, live) &&
	       (km_room_is_known(region, place->only_cursor) ||
		       !(place->only & km_load(E1, relaxed, &region->header->reliable)) ||
		       look_for_room(place));
}

/* The twin of km_reliable_send(), for all cases. */
static km_noinline ssize_t send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t live = load_live(publisher);
	uint32_t slot;

	if (len > here->region.geometry.max_payload_size)
		return -EMSGSIZE;
	int r = find_room(publisher, live, KM_HAZARD_NONE, len);
	if (r <= 0)
		return r < 0 ? r : kickmsg_send(publisher, data, len);
	r = km_rings_claim(publisher, len, &slot);
	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	if (len > 0)
		memcpy(km_region_payload(&here->region, slot), data, len);
	r = publish(publisher, live, slot, len);
	if (__builtin_expect(here->past != NULL, 0))
		km_handle_settle(&publisher->handle);
	return r < 0 ? r : (ssize_t)len;
}

/* The rest of km_reliable_send(). */
static km_noinline ssize_t send_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted)
{
	int r = km_rings_post_rest(publisher, slot, len, posted);

	return r < 0 ? r : (ssize_t)len;
}

/* The usual case, whose twin is send_anyhow(): a message of up to a line. Room is looked for before a
 * slot is claimed, so that a message which finds none takes none. */
ssize_t km_reliable_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	uint32_t slot;
	int r = 0;

	if (len > region->short_size || here->past || !is_usual(here, load_live(publisher)))
		return send_anyhow(publisher, data, len);
	if (km_slot_cache_claim_hottest(&here->cache, region, here->id, &slot))
		km_rings_begin_slot(here, slot);
	else
		r = km_rings_claim(publisher, len, &slot);
	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	struct km_sample_header *sample = km_region_sample(region, slot);
	km_copy_short(sample + 1, data, len);
	if (__builtin_expect(region->geometry.timestamps, 0))
		km_rings_stamp(sample);
	enum km_posted posted = km_rings_post(publisher, slot, sample, len);
	if (__builtin_expect(posted != KM_POSTED, 0))
		return send_rest(publisher, slot, len, posted);
	return (ssize_t)len;
}

/* The twin of km_reliable_publish(), for all cases. */
static km_noinline int publish_anyhow(
	struct kickmsg_publisher *publisher, void *payload, size_t len)
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

/* The rest of km_reliable_publish(). */
static km_noinline int publish_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted)
{
	int r = km_rings_post_rest(publisher, slot, len, posted);

	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}

/* The usual case, whose twin is publish_anyhow(): the only loan, of a publisher with one place. */
int km_reliable_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	struct km_loan *loan = here->loans;

	if (loan->payload != payload || !payload || len > loan->len || here->past ||
		!is_usual(here, load_live(publisher)))
		return publish_anyhow(publisher, payload, len);
	struct km_sample_header *sample = (struct km_sample_header *)payload - 1;
	const uint32_t slot = loan->slot;
	km_place_end_loan(here, loan);
	if (__builtin_expect(here->region.geometry.timestamps, 0))
		km_rings_stamp(sample);
	enum km_posted posted = km_rings_post(publisher, slot, sample, len);
	if (__builtin_expect(posted != KM_POSTED, 0))
		return publish_rest(publisher, slot, len, posted);
	return 1;
}
