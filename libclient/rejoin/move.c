/* SPDX-License-Identifier: Apache-2.0 */
/* Going over to a fresh region: see move.h. */
#include "libclient/rejoin/move.h"
#include "common/clock.h"

#include <assert.h>

#include "common/cleanup.h"
#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "libclient/client/reconnect.h"
#include "libclient/rejoin/own.h"
#include "libclient/rejoin/past.h"
#include "libclient/wait/ready.h"
#include "libclient/wait/room.h"

#define BUSY_NS  INT64_C(2000000)
#define DOUBT_NS INT64_C(100000000)

/* Swaps the places. Returns the handle's old place, whose past is still its own. */
static struct km_place *swap(struct km_handle *handle)
{
	struct km_place *fresh = handle->fresh, old = handle->place;

	handle->place = *fresh;
	*fresh = old;
	handle->fresh = NULL;
	return fresh;
}

/* Settles the past. Needs the lock. No past place is unmapped where another thread may be ending a
 * sleep. */
static void settle(struct km_handle *handle)
{
	if (handle->place.role == KM_ROLE_SUBSCRIBER &&
		km_interrupt_is_busy(&((struct kickmsg_subscriber *)handle)->interrupt))
		return;
	km_past_settle(&handle->place, false);
}

/* --- publishers ------------------------------------------------------------------------ */

static void move_publisher(struct kickmsg_publisher *publisher)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_endpoint *record = here->record;

	publisher->sent += km_load(H2, relaxed, &record->messages);
	publisher->bytes += km_load(H2, relaxed, &record->bytes);
	publisher->failed += km_load(H2, relaxed, &record->failed);
	publisher->no_room += km_load(H2, relaxed, &record->no_room);
	publisher->evicted += km_load(H2, relaxed, &record->evicted);
	km_past_leave(here, publisher->sequence);
	struct km_place *old = swap(&publisher->handle);
	km_room_ready_move(publisher);
	here->only = old->only = KM_ONLY_NONE;
	/* the next message looks around, also after the old place */
	here->live = ~UINT64_C(0);
	here->base = publisher->sequence;
	km_store(P1, relaxed, &here->rings,
		km_load(P1, relaxed, &here->rings) & ~km_own_ring(publisher));
	here->past = old;
}

bool km_publisher_move(struct kickmsg_publisher *publisher)
{
	KM_KEEP_ERRNO;
	struct kickmsg_client *client = publisher->handle.client;

	if (!client || !km_client_trylock(client))
		return false;
	if (!publisher->handle.fresh)
		km_reconnect_poke(client, true);
	bool moves = publisher->handle.fresh != NULL;
	if (moves)
		move_publisher(publisher);
	km_client_unlock(client);
	return moves;
}

bool km_handle_is_at_home(const struct km_handle *handle)
{
	const struct kickmsg_client *client = handle->client;

	return client->link == KM_LINK_UP && handle->latest == client->connection && !handle->fresh;
}

void km_publisher_hurry(struct kickmsg_publisher *publisher)
{
	KM_KEEP_ERRNO;
	struct kickmsg_client *client = publisher->handle.client;

	if (!client || !km_client_trylock(client))
		return;
	if (!publisher->handle.fresh)
		km_reconnect_poke(client, true);
	/* a broker's connections don't all end at the same moment */
	if (!km_handle_is_at_home(&publisher->handle)) {
		publisher->doubt_ns = 0;
	} else if (publisher->doubt_ns == 0) {
		publisher->doubt_ns = km_clock_ns();
	} else if (km_clock_ns() - publisher->doubt_ns > DOUBT_NS) {
		km_bell_deny_left(publisher->handle.place.region.bell);
		publisher->doubt_ns = 0;
	}
	km_client_unlock(client);
}

/* --- subscribers ----------------------------------------------------------------------- */

static void append(struct km_place *place, struct km_place *older)
{
	while (place->past)
		place = place->past;
	place->past = older;
}

static void move_subscriber(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	/* the message would be a sample of another place then */
	assert(!subscriber->has_pending);
	subscriber->received += km_load(H2, relaxed, &here->record->messages);
	struct km_place *old = swap(&subscriber->handle);
	here->region.path |= old->region.path & KM_PATH_NEWEST;
	here->offset = old->offset + old->next - here->next;
	/* here->lost_before already has the losses of fresh places that the subscriber never came
	 * to. */
	here->lost_before += old->lost_before + old->lost - old->own_lost;
	/* A private ring never had the subscriber's own messages, so their count begins anew. */
	if (old->ring)
		subscriber->own_sequence = UINT64_MAX;
	if (!subscriber->deaf_to)
		km_store(P2, relaxed, &here->own_id, 0);
	km_store(P3, relaxed, &subscriber->prepared, subscriber->ready ? KM_HAS_READY : 0);
	km_ready_move(subscriber);
	/* a publisher that is still there waits for this reader no more */
	if (old->region.shared)
		km_past_leave(old, 0);
	/* newest first: the old place, the places that the subscriber never came to, and those
	 * before */
	struct km_place *older = old->past;
	old->past = here->past;
	append(old, older);
	here->past = old;
}

bool km_subscriber_move(struct kickmsg_subscriber *subscriber, uint64_t live)
{
	KM_KEEP_ERRNO;
	struct km_handle *handle = &subscriber->handle;
	struct kickmsg_client *client = handle->client;

	if (!client || !km_client_trylock(client))
		return false;
	if (live & KM_LIVE_LEFT && !handle->fresh)
		km_reconnect_poke(client, true);
	bool moves = handle->fresh != NULL;
	if (moves && handle->place.ring && !handle->place.closed) {
		/* messages that came until now are still taken */
		km_past_close_ring(&handle->place);
		handle->place.closed = true;
	} else if (moves) {
		move_subscriber(subscriber);
	}
	settle(handle);
	km_own_forgive(subscriber);
	km_client_unlock(client);
	return moves;
}

int64_t km_subscriber_rest(
	struct kickmsg_subscriber *subscriber, int64_t deadline_ns, uint64_t *ret_ends)
{
	KM_KEEP_ERRNO;
	struct km_handle *handle = &subscriber->handle;
	struct kickmsg_client *client = handle->client;
	bool left = km_place_is_left(&handle->place);
	int64_t now;

	*ret_ends = KM_LIVE_QUARANTINED;
	if (!client)
		return deadline_ns;
	/* in a region that is left already nobody wakes a sleeper for this */
	if (!left)
		*ret_ends |= KM_LIVE_LEFT;
	now = km_clock_ns();
	if (now >= subscriber->look_ns || left) {
		subscriber->look_ns = now + BUSY_NS;
		if (km_client_trylock(client)) {
			km_reconnect_poke(client, left);
			settle(handle);
			/* a fresh place is there: no sleep at all */
			subscriber->look_ns = handle->fresh ? 0 : now + km_reconnect_pause(client);
			km_client_unlock(client);
		}
	}
	return subscriber->look_ns < deadline_ns ? subscriber->look_ns : deadline_ns;
}

/* --- both ------------------------------------------------------------------------------ */

void km_handle_settle(struct km_handle *handle)
{
	KM_KEEP_ERRNO;
	struct kickmsg_client *client = handle->client;

	if (!handle->place.past || pthread_mutex_trylock(&client->lock) != 0)
		return;
	settle(handle);
	pthread_mutex_unlock(&client->lock);
}

void km_handle_end(struct km_handle *handle)
{
	struct kickmsg_client *client = handle->client;
	struct km_place *here = &handle->place;
	bool publishes = here->role == KM_ROLE_PUBLISHER;
	uint64_t sequence = publishes ? ((struct kickmsg_publisher *)handle)->sequence : 0;

	if (!client || !(publishes ? (void *)here->loans : (void *)here->holds))
		return;
	pthread_mutex_lock(&client->lock);
	if (here->connection != client->connection || client->link != KM_LINK_UP)
		km_past_leave(here, sequence);
	else if (publishes)
		km_place_greet(here, sequence, km_load(P1, relaxed, &here->rings));
	km_past_settle(here, true);
	pthread_mutex_unlock(&client->lock);
}
