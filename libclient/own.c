/* SPDX-License-Identifier: Apache-2.0 */
/* Who doesn't hear himself: see own.h. */
#include "own.h"

#include "control.h"

/* --- the pair ------------------------------------------------------------------------------------- */

static uint64_t all_rings(const struct kickmsg_publisher *publisher)
{
	return (UINT64_C(1) << publisher->attachment.region.ring_count) - 1;
}

void km_publisher_skip(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = publisher->attachment.client;

	pthread_mutex_lock(&client->lock);
	publisher->own = subscriber;
	subscriber->deaf_to = publisher;
	if (subscriber->ring)
		km_store(P1, relaxed, &publisher->rings,
			all_rings(publisher) & ~(UINT64_C(1) << subscriber->ring_index));
	km_own_tell_id(subscriber);
	pthread_mutex_unlock(&client->lock);
}

static void unpair(struct kickmsg_publisher *publisher)
{
	publisher->own->deaf_to = NULL;
	km_store(P2, relaxed, &publisher->own->own.id, 0);
	publisher->own = NULL;
	km_store(P1, relaxed, &publisher->rings, all_rings(publisher));
}

void km_publisher_unpair(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->attachment.client;

	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	if (publisher->own)
		unpair(publisher);
	pthread_mutex_unlock(&client->lock);
}

void km_subscriber_unpair(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = subscriber->attachment.client;

	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	if (subscriber->deaf_to)
		unpair(subscriber->deaf_to);
	pthread_mutex_unlock(&client->lock);
}

/* --- in a fresh region ------------------------------------------------------------------------------ */

uint64_t km_own_ring(const struct kickmsg_publisher *publisher)
{
	const struct kickmsg_subscriber *own = publisher->own;
	const struct km_attachment *place;

	if (!own)
		return 0;
	for (place = &own->attachment; place; place = place->fresh)
		if (place->inode == publisher->attachment.inode && !place->region.shared)
			return UINT64_C(1)
			       << ((const struct kickmsg_subscriber *)place)->ring_index;
	return 0;
}

/* The id by which a publisher is known in the region of `place`. */
#define NOBODY UINT32_MAX

static uint32_t id_there(
	const struct kickmsg_publisher *publisher, const struct km_attachment *place)
{
	const struct km_attachment *fresh = publisher->attachment.fresh;

	if (fresh && fresh->inode == place->inode)
		return ((const struct kickmsg_publisher *)fresh)->id;
	for (; publisher; publisher = publisher->past)
		if (publisher->attachment.inode == place->inode)
			return publisher->id;
	return NOBODY;
}

void km_own_tell_id(struct kickmsg_subscriber *subscriber)
{
	struct km_attachment *place = &subscriber->attachment;

	if (!subscriber->deaf_to)
		return;
	for (; place; place = place->fresh) {
		_Atomic uint32_t *known = &((struct kickmsg_subscriber *)place)->own.id;
		uint32_t id = id_there(subscriber->deaf_to, place);

		/* who has left keeps its name there */
		if (place->region.shared && (id != NOBODY || km_load(P2, relaxed, known) == 0))
			km_store(P2, relaxed, known, id);
	}
}

void km_own_forgive(struct kickmsg_subscriber *subscriber)
{
	const struct kickmsg_publisher *publisher = subscriber->deaf_to;
	const struct kickmsg_subscriber *place = subscriber;
	struct km_own_messages *own = &subscriber->own;

	if (!publisher)
		return;
	while (place && place->attachment.inode != publisher->attachment.inode)
		place = place->past;
	if (!place || !place->attachment.region.shared)
		return;
	uint64_t sequence = publisher->base; /* the last one that it can't meet any more */
	if (place != subscriber)
		sequence += km_load(H2, relaxed, &publisher->endpoint->messages);
	if (own->last_sequence == UINT64_MAX)
		own->last_sequence = sequence;
	if (sequence <= own->last_sequence)
		return;
	subscriber->lost_before -= sequence - own->last_sequence;
	own->last_sequence = sequence;
}
