/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going over to a fresh region: see rejoin.h for when, missed.h for what is counted on the way.
 *
 * A handle and its fresh place are two whole publishers (subscribers). What belongs to a place is
 * exchanged between them; what was the fresh one is the past then:
 *
 *   handle [place A] --fresh--> [place B]      =>      handle [place B] --past--> [place A]
 *
 * (Long, because both roles do it the same way: who changes one half has the other before his eyes.)
 */
#include "move.h"

#include <errno.h>

#include "cleanup.h"
#include "live.h"
#include "missed.h"
#include "own.h"
#include "reconnect.h"
#include "rejoin.h"
#include "segment.h"
#include "shared.h"
#include "waiter.h"

#define MAX_PASTS 4 /* of a subscriber: regions where a publisher has stayed, or died */
#define BUSY_NS   INT64_C(2000000)
#define DOUBT_NS  INT64_C(100000000)

#define EXCHANGE(a, b)                                                                             \
	do {                                                                                       \
		__typeof__(a) exchanged_ = (a);                                                    \
		(a) = (b);                                                                         \
		(b) = exchanged_;                                                                  \
	} while (0)

static void settle_publisher(struct kickmsg_publisher *publisher, bool all);
static void settle_subscriber(struct kickmsg_subscriber *subscriber, bool all);

static void exchange(struct km_attachment *a, struct km_attachment *b)
{
	EXCHANGE(a->connection, b->connection);
	EXCHANGE(a->endpoint_name, b->endpoint_name);
	EXCHANGE(a->inode, b->inode);
	EXCHANGE(a->memory, b->memory);
	EXCHANGE(a->region, b->region);
	EXCHANGE(a->control, b->control);
	EXCHANGE(a->payload, b->payload);
	EXCHANGE(a->control_size, b->control_size);
	EXCHANGE(a->payload_size, b->payload_size);
	EXCHANGE(a->bell, b->bell);
	EXCHANGE(a->bell_size, b->bell_size);
}

void km_move_free(struct km_attachment *place)
{
	struct kickmsg_publisher *publisher = (struct kickmsg_publisher *)place;
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)place;

	if (place->role == KM_ROLE_PUBLISHER) {
		settle_publisher(publisher, true);
		if (publisher->loans)
			km_publisher_deinit(publisher);
	} else {
		settle_subscriber(subscriber, true);
		km_subscriber_deinit(subscriber);
	}
	km_attachment_unmap(place);
	free(place);
}

/* The ring takes no more. Only where the broker is gone: it would take it for damage. */
static void close_ring(const struct kickmsg_subscriber *subscriber)
{
	km_and(L2, release, &subscriber->attachment.region.header->live,
		~(UINT64_C(1) << subscriber->ring_index));
}

void km_move_leave(struct km_attachment *place)
{
	struct kickmsg_publisher *publisher = (struct kickmsg_publisher *)place;
	const struct km_region *region = &place->region;

	if (place->role == KM_ROLE_PUBLISHER) {
		km_publisher_greet(publisher, km_load(P1, relaxed, &publisher->rings));
		km_missed_depart(region);
	} else if (!region->shared && km_load(L1, acquire, &region->header->live) & KM_LIVE_LEFT) {
		close_ring((struct kickmsg_subscriber *)place);
	}
}

void km_move_leave_behind(const struct km_attachment *place)
{
	const struct km_region *region = &place->region;
	_Atomic uint64_t *word = &region->header->live;
	uint64_t live = km_load(L3, seq_cst, word);

	if (region->shared && place->role == KM_ROLE_SUBSCRIBER) {
		if (region->bell) /* else an observer: nobody is to notice it */
			km_missed_say_left(region->bell);
		return;
	}
	while (!(live & KM_LIVE_LEFT) &&
		!km_cas(L3, seq_cst, relaxed, word, &live, live | KM_LIVE_LEFT))
		;
	km_live_wake_all(region);
}

/* --- publishers ----------------------------------------------------------------------------------- */

static void move_publisher(struct kickmsg_publisher *publisher)
{
	struct kickmsg_publisher *old = (struct kickmsg_publisher *)publisher->attachment.fresh;
	const struct km_endpoint *record = publisher->endpoint;

	publisher->attachment.fresh = NULL;
	publisher->sent += km_load(H2, relaxed, &record->messages);
	publisher->failed += km_load(H2, relaxed, &record->failed);
	publisher->evicted += km_load(H2, relaxed, &record->evicted);
	km_move_leave(&publisher->attachment);
	exchange(&publisher->attachment, &old->attachment);
	EXCHANGE(publisher->endpoint, old->endpoint);
	EXCHANGE(publisher->id, old->id);
	EXCHANGE(publisher->loan_count, old->loan_count);
	EXCHANGE(publisher->loans, old->loans);
	publisher->cache = old->cache;
	for (uint32_t i = 0; i < KM_MAX_RINGS; i++) {
		publisher->cursors[i] = old->cursors[i];
		publisher->greeted[i] = 0;
	}
	publisher->live = ~UINT64_C(0); /* look, also after the old place */
	publisher->base = publisher->sequence;
	km_store(P1, relaxed, &publisher->rings,
		km_load(P1, relaxed, &old->rings) & ~km_own_ring(publisher));
	old->past = publisher->past;
	publisher->past = old;
}

bool km_publisher_move(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->attachment.client;

	if (!client || pthread_mutex_trylock(&client->lock) != 0)
		return false;
	if (!publisher->attachment.fresh)
		km_reconnect_poke(client, true);
	bool moves = publisher->attachment.fresh != NULL;
	if (moves)
		move_publisher(publisher);
	pthread_mutex_unlock(&client->lock);
	return moves;
}

static bool is_where_it_belongs(const struct km_attachment *attachment)
{
	const struct kickmsg_client *client = attachment->client;

	return client->link == KM_LINK_UP && attachment->latest == client->connection &&
	       !attachment->fresh;
}

void km_publisher_hurry(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->attachment.client;

	if (!client || pthread_mutex_trylock(&client->lock) != 0)
		return;
	if (!publisher->attachment.fresh)
		km_reconnect_poke(client, true);
	/* when a broker ends, not all of its connections do at once */
	if (!is_where_it_belongs(&publisher->attachment)) {
		publisher->doubt_ns = 0;
	} else if (publisher->doubt_ns == 0) {
		publisher->doubt_ns = km_clock_ns();
	} else if (km_clock_ns() - publisher->doubt_ns > DOUBT_NS) {
		km_missed_deny_left(publisher->attachment.region.bell);
		publisher->doubt_ns = 0;
	}
	pthread_mutex_unlock(&client->lock);
}

static void settle_publisher(struct kickmsg_publisher *publisher, bool all)
{
	for (struct kickmsg_publisher **at = &publisher->past; *at;) {
		struct kickmsg_publisher *past = *at;

		if (past->loan_count > 0 && !all) {
			at = &past->past;
			continue;
		}
		*at = past->past;
		past->past = NULL;
		km_move_free(&past->attachment);
	}
}

void km_publisher_settle(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->attachment.client;

	if (!publisher->past || pthread_mutex_trylock(&client->lock) != 0)
		return;
	settle_publisher(publisher, false);
	pthread_mutex_unlock(&client->lock);
}

/* --- subscribers ---------------------------------------------------------------------------------- */

/* The first position that carries no message. Nobody takes there any more. */
static uint64_t frontier(const struct kickmsg_subscriber *past)
{
	const struct km_region *region = &past->attachment.region;
	uint64_t head = km_load(R2, acquire, &past->ring->head), p = head;

	while (p - head < region->geometry.ring_capacity &&
		km_cell_laps_ahead(km_load(R1, acquire, &past->ring->cells[p & region->cell_mask]),
			p, region->cell_shift) >= 0)
		p++;
	return p;
}

static uint64_t lost_there(const struct kickmsg_subscriber *past)
{
	uint64_t end;

	if (past->attachment.region.shared)
		return km_shared_frontier(&past->attachment.region, past->next, &end) == 0
			       ? end - past->next
			       : 0;
	return frontier(past) - past->next + km_missed_strays(past->ring) +
	       (past->rejoined ? km_missed_count(past->ring) : 0);
}

uint64_t km_subscriber_lost_past(const struct kickmsg_subscriber *subscriber)
{
	const struct kickmsg_subscriber *past = subscriber->past;
	uint64_t lost = subscriber->lost_before;

	if (subscriber->ring && subscriber->rejoined)
		lost += km_missed_count(subscriber->ring);
	for (; past; past = past->past)
		lost += lost_there(past);
	return lost;
}

static bool has_samples(const struct kickmsg_subscriber *past)
{
	for (uint32_t i = 0; i <= past->attachment.region.geometry.max_borrows; i++)
		if (past->holds[i].busy)
			return true;
	return false;
}

static void append_past(struct kickmsg_subscriber *subscriber, struct kickmsg_subscriber *more)
{
	struct kickmsg_subscriber **at = &subscriber->past;

	while (*at)
		at = &(*at)->past;
	*at = more;
}

static void move_subscriber(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_subscriber *old = (struct kickmsg_subscriber *)subscriber->attachment.fresh;

	subscriber->attachment.fresh = NULL;
	subscriber->received += km_load(H2, relaxed, &subscriber->endpoint->messages);
	exchange(&subscriber->attachment, &old->attachment);
	EXCHANGE(subscriber->endpoint, old->endpoint);
	EXCHANGE(subscriber->ring, old->ring);
	EXCHANGE(subscriber->ring_index, old->ring_index);
	EXCHANGE(subscriber->spare, old->spare);
	EXCHANGE(subscriber->next, old->next);
	EXCHANGE(subscriber->holds, old->holds);
	EXCHANGE(subscriber->rejoined, old->rejoined);
	EXCHANGE(subscriber->copies, old->copies);
	EXCHANGE(subscriber->copies_memory, old->copies_memory);
	EXCHANGE(subscriber->copy_stride, old->copy_stride);
	subscriber->offset += old->next - subscriber->next;
	subscriber->closed = false;
	/* the fresh one's: in places that it never came to */
	subscriber->lost_before += subscriber->lost - subscriber->own.overwritten +
				   old->lost_before;
	old->lost_before = 0;
	subscriber->lost = subscriber->own.overwritten = 0;
	if (old->ring) /* its own never came there */
		subscriber->own.last_sequence = UINT64_MAX;
	km_store(P2, relaxed, &subscriber->own.id,
		subscriber->deaf_to ? km_load(P2, relaxed, &old->own.id) : 0);
	km_store(P3, relaxed, &subscriber->prepared, 0);
	append_past(old, subscriber->past);
	subscriber->past = old;
}

/* What a past place is still needed for: samples, then the count of what may still come. */
static void settle_subscriber(struct kickmsg_subscriber *subscriber, bool all)
{
	unsigned kept = 0;

	for (struct kickmsg_subscriber **at = &subscriber->past; *at;) {
		struct kickmsg_subscriber *past = *at;
		bool samples = has_samples(past);

		if (!samples && past->attachment.payload) {
			km_segment_unmap(past->attachment.payload, past->attachment.payload_size);
			past->attachment.payload = NULL;
		}
		if (!all && (samples || (!km_missed_all_departed(&past->attachment.region) &&
						++kept <= MAX_PASTS))) {
			at = &past->past;
			continue;
		}
		*at = past->past;
		past->past = NULL;
		subscriber->lost_before += lost_there(past);
		km_move_free(&past->attachment);
	}
}

void km_move_skip(struct km_attachment *skipped, struct km_attachment *newer)
{
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)newer;

	km_move_leave(skipped);
	if (skipped->role == KM_ROLE_PUBLISHER) {
		km_move_free(skipped);
		return;
	}
	append_past(subscriber, (struct kickmsg_subscriber *)skipped);
	append_past(subscriber, km_steal_ptr(((struct kickmsg_subscriber *)skipped)->past));
	subscriber->lost_before += ((struct kickmsg_subscriber *)skipped)->lost_before;
	settle_subscriber(subscriber, false);
}

bool km_subscriber_move(struct kickmsg_subscriber *subscriber, uint64_t live)
{
	struct kickmsg_client *client = subscriber->attachment.client;

	if (!client || pthread_mutex_trylock(&client->lock) != 0)
		return false;
	if (live & KM_LIVE_LEFT && !subscriber->attachment.fresh)
		km_reconnect_poke(client, true);
	bool moves = subscriber->attachment.fresh != NULL;
	if (moves && subscriber->ring && !subscriber->closed) {
		/* what came until now is still taken */
		close_ring(subscriber);
		subscriber->closed = true;
	} else if (moves) {
		move_subscriber(subscriber);
	}
	settle_subscriber(subscriber, false);
	km_own_forgive(subscriber);
	pthread_mutex_unlock(&client->lock);
	return moves;
}

void km_subscriber_settle(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = subscriber->attachment.client;

	if (!subscriber->past || pthread_mutex_trylock(&client->lock) != 0)
		return;
	settle_subscriber(subscriber, false);
	pthread_mutex_unlock(&client->lock);
}

int km_subscriber_release_past(
	struct kickmsg_subscriber *subscriber, uint32_t hold, uint64_t position)
{
	struct kickmsg_subscriber *past = subscriber->past;

	for (; past; past = past->past) {
		struct km_hold *entry = &past->holds[hold];

		if (hold > past->attachment.region.geometry.max_borrows || !entry->busy ||
			entry->position != position)
			continue;
		entry->busy = false;
		if (past->ring) { /* else a copy */
			km_slot_drop(&past->attachment.region.slots[entry->slot],
				UINT64_C(1) << past->ring_index);
			km_hazard_clear(&past->endpoint->held[hold]);
		}
		km_subscriber_settle(subscriber);
		return 0;
	}
	return -EINVAL;
}

int64_t km_subscriber_rest(
	struct kickmsg_subscriber *subscriber, int64_t deadline_ns, uint64_t *ret_ends)
{
	struct kickmsg_client *client = subscriber->attachment.client;
	const struct km_region *region = &subscriber->attachment.region;
	bool left = km_load(L1, acquire, &region->header->live) & KM_LIVE_LEFT ||
		    (region->bell && km_missed_is_left(region->bell));
	int64_t now;

	*ret_ends = KM_LIVE_QUARANTINED;
	if (!client)
		return deadline_ns;
	/* of a region that is left already, nobody will say so */
	if (!left)
		*ret_ends |= KM_LIVE_LEFT;
	now = km_clock_ns();
	if (now >= subscriber->look_ns || left) {
		subscriber->look_ns = now + BUSY_NS;
		if (pthread_mutex_trylock(&client->lock) == 0) {
			km_reconnect_poke(client, left);
			settle_subscriber(subscriber, false);
			/* parked: no sleep at all */
			subscriber->look_ns = subscriber->attachment.fresh
						      ? 0
						      : now + km_reconnect_pause(client);
			pthread_mutex_unlock(&client->lock);
		}
	}
	return deadline_ns == KM_WAIT_FOREVER || subscriber->look_ns < deadline_ns
		       ? subscriber->look_ns
		       : deadline_ns;
}

/* --- the end ---------------------------------------------------------------------------------------- */

void km_move_end(struct km_attachment *attachment)
{
	struct kickmsg_client *client = attachment->client;
	struct kickmsg_publisher *publisher = (struct kickmsg_publisher *)attachment;
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)attachment;
	bool publishes = attachment->role == KM_ROLE_PUBLISHER;

	if (!client || !(publishes ? (void *)publisher->loans : (void *)subscriber->holds))
		return;
	pthread_mutex_lock(&client->lock);
	if (attachment->connection != client->connection || client->link != KM_LINK_UP)
		km_move_leave(attachment);
	else if (publishes)
		km_publisher_greet(publisher, km_load(P1, relaxed, &publisher->rings));
	if (publishes)
		settle_publisher(publisher, true);
	else
		settle_subscriber(subscriber, true);
	pthread_mutex_unlock(&client->lock);
}
