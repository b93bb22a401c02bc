/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a channel that don't hear themselves: see own.h. */
#include "libclient/rejoin/own.h"

/* --- the pair ------------------------------------------------------------------------------------- */

static uint64_t all_rings(const struct kickmsg_publisher *publisher)
{
	return (UINT64_C(1) << publisher->handle.place.region.ring_count) - 1;
}

void km_publisher_skip(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = publisher->handle.client;
	const struct km_place *place = &subscriber->handle.place;

	pthread_mutex_lock(&client->lock);
	publisher->own = subscriber;
	subscriber->deaf_to = publisher;
	if (place->ring)
		km_store(P1, relaxed, &publisher->handle.place.rings,
			all_rings(publisher) & place->others);
	km_store(P4, relaxed, &publisher->unheard, 1);
	km_store(P4, relaxed, &subscriber->is_deaf, 1);
	km_own_tell_id(subscriber);
	pthread_mutex_unlock(&client->lock);
}

static void unpair(struct kickmsg_publisher *publisher)
{
	publisher->own->deaf_to = NULL;
	km_store(P4, relaxed, &publisher->own->is_deaf, 0);
	km_store(P2, relaxed, &publisher->own->handle.place.own_id, 0);
	publisher->own = NULL;
	km_store(P4, relaxed, &publisher->unheard, 0);
	km_store(P1, relaxed, &publisher->handle.place.rings, all_rings(publisher));
}

void km_publisher_unpair(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->handle.client;

	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	if (publisher->own)
		unpair(publisher);
	pthread_mutex_unlock(&client->lock);
}

void km_subscriber_unpair(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = subscriber->handle.client;

	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	if (subscriber->deaf_to)
		unpair(subscriber->deaf_to);
	pthread_mutex_unlock(&client->lock);
}

/* --- in a fresh region ------------------------------------------------------------------------------ */

/* The place of a handle in the region of `there`, if it is in it or will be: the present one or the
 * fresh one. */
static const struct km_place *place_in(const struct km_handle *handle, const struct km_place *there)
{
	if (km_place_is_in(there, &handle->place))
		return &handle->place;
	return km_place_is_in(there, handle->fresh) ? handle->fresh : NULL;
}

uint64_t km_own_ring(const struct kickmsg_publisher *publisher)
{
	const struct km_place *here = &publisher->handle.place;
	const struct km_place *own = publisher->own ? place_in(&publisher->own->handle, here)
						    : NULL;

	return own && !own->region.shared ? ~own->others : 0;
}

/* The id by which a publisher is known in the region of `there`. */
#define NOBODY UINT32_MAX

static uint32_t id_there(const struct kickmsg_publisher *publisher, const struct km_place *there)
{
	const struct km_handle *handle = &publisher->handle;

	if (km_place_is_in(there, handle->fresh))
		return handle->fresh->id;
	for (const struct km_place *place = &handle->place; place; place = place->past)
		if (km_place_is_in(there, place))
			return place->id;
	return NOBODY;
}

static void tell_id(const struct kickmsg_publisher *publisher, struct km_place *place)
{
	uint32_t id = id_there(publisher, place);

	/* a publisher that has left keeps its id there */
	if ((place->region.shared || place->region.kept) &&
		(id != NOBODY || km_load(P2, relaxed, &place->own_id) == 0))
		km_store(P2, relaxed, &place->own_id, id);
}

void km_own_tell_id(struct kickmsg_subscriber *subscriber)
{
	if (!subscriber->deaf_to)
		return;
	tell_id(subscriber->deaf_to, &subscriber->handle.place);
	if (subscriber->handle.fresh)
		tell_id(subscriber->deaf_to, subscriber->handle.fresh);
}

void km_own_forgive(struct kickmsg_subscriber *subscriber)
{
	const struct kickmsg_publisher *publisher = subscriber->deaf_to;
	struct km_place *here = &subscriber->handle.place;
	const struct km_place *place = here;

	if (!publisher)
		return;
	while (place && !km_place_is_in(&publisher->handle.place, place))
		place = place->past;
	if (!place || !place->region.shared)
		return;
	/* the last message that the subscriber can't meet any more */
	uint64_t sequence = publisher->handle.place.base;
	if (place != here)
		sequence += km_load(H2, relaxed, &publisher->handle.place.record->messages);
	if (subscriber->own_sequence == UINT64_MAX)
		subscriber->own_sequence = sequence;
	if (sequence <= subscriber->own_sequence)
		return;
	here->lost_before -= sequence - subscriber->own_sequence;
	subscriber->own_sequence = sequence;
}
