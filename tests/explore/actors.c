/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishers and subscribers: see actors.h. Compiled as one piece with the product's sources,
 * against the explorer's atomics.
 *
 * The file is long because it has an actor for each kind of endpoint.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring/futex.h"
#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/wait/ready.h"
#include "libclient/wait/room.h"
#include "tests/explore/cast.h"

/* --- calls that do nothing here: no actor forks or reconnects --- */

int km_inherit_register(void)
{
	return 0;
}

unsigned km_inherit_forks(void)
{
	return 0;
}

bool km_handle_is_inherited(const struct km_handle *handle)
{
	return false;
}

bool km_publisher_move(struct kickmsg_publisher *publisher)
{
	return false;
}

void km_handle_settle(struct km_handle *handle)
{
}

void km_publisher_hurry(struct kickmsg_publisher *publisher)
{
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		actor_publisher((int)i)->told += publishers[i] == publisher;
}

bool km_subscriber_move(struct kickmsg_subscriber *subscriber, uint64_t live)
{
	return false;
}

uint64_t km_past_lost(const struct km_place *place)
{
	return 0;
}

int64_t km_subscriber_rest(
	struct kickmsg_subscriber *subscriber, int64_t deadline_ns, uint64_t *ret_ends)
{
	*ret_ends = KM_LIVE_QUARANTINED;
	for (uint32_t i = 0; world.leaving && i < world.shape.subscribers; i++) {
		struct world_endpoint *endpoint = actor_subscriber((int)i);

		if (subscribers[i] != subscriber)
			continue;
		endpoint->knows_left = km_bell_is_left(subscriber->handle.place.region.bell);
		if (!endpoint->knows_left)
			*ret_ends |= KM_LIVE_LEFT;
	}
	return deadline_ns;
}

bool km_client_trylock(struct kickmsg_client *client)
{
	return false;
}

bool km_client_trylock_alone(struct kickmsg_client *client)
{
	return false;
}

bool km_handle_is_at_home(const struct km_handle *handle)
{
	return false;
}

void km_client_unlock(struct kickmsg_client *client)
{
}

void km_reconnect_poke(struct kickmsg_client *client, bool left)
{
}

int km_client_say_stalled(struct kickmsg_client *client, uint64_t endpoint)
{
	return 0;
}

int kickmsg_client_get_fd(const struct kickmsg_client *client)
{
	return -EOPNOTSUPP;
}

int kickmsg_subscriber_get_fd(struct kickmsg_subscriber *subscriber)
{
	return subscriber->ready ? subscriber->ready->watched.fd : -EOPNOTSUPP;
}

int kickmsg_publisher_get_fd(struct kickmsg_publisher *publisher)
{
	return -EOPNOTSUPP;
}

static int poll_and_receive(int index, struct kickmsg_sample *ret)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	struct kickmsg_subscriber *subscriber = subscribers[index];
	int r;

	while ((r = kickmsg_try_receive(subscriber, ret)) == -EAGAIN) {
		endpoint->polls = true;
		world_poll(subscriber->ready->watched.fd);
		endpoint->polls = false;
		ex_call(CALL_LIMIT);
	}
	return r;
}

/* --- publishers --- */

uint64_t km_clock_publish_ns(void)
{
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		if (world.endpoints[i].thread == ex.current)
			return world.endpoints[i].publishing + 1;
	ex_fail("explorer: a time for one that is no publisher");
	return 0;
}

static void discard(int index, void *payload)
{
	actor_publisher(index)->loan = 0;
	ex_call(CALL_LIMIT);
	int r = kickmsg_discard(publishers[index], payload);
	if (r < 0)
		ex_fail("kickmsg_discard: %d", r);
}

/* Writes a message. A reader of a shared ring may read these bytes meanwhile, so they are
 * written as the library writes them. */
static void write_words(void *payload, uint64_t message)
{
	const uint64_t words[2] = { message, ~message };

	if (world.shape.shared) {
		km_shared_write(payload, words, world_size());
		return;
	}
	km_plain_write(payload, sizeof words);
	memcpy(payload, words, sizeof words);
}

void actor_publish(int index, void *payload)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	struct kickmsg_publisher *publisher = publishers[index];
	uint32_t sequence = (uint32_t)publisher->sequence + 1;
	uint64_t message = (uint64_t)index << 32 | sequence;
	struct kickmsg_publisher_stats stats;

	write_words(payload, message);
	ex_call(CALL_LIMIT);
	endpoint->loan = 0;
	endpoint->publishing = message;
	int r = kickmsg_publish(publisher, payload, world_size());
	if (r == -ESTALE && world.giving_up)
		return;
	if (r == -ENOBUFS && world.shape.reliable) {
		discard(index, payload);
		return;
	}
	if (r < 0)
		ex_fail("kickmsg_publish: %d", r);
	endpoint->finished = sequence;
	kickmsg_publisher_get_stats(publisher, &stats);
	if (stats.sent != sequence)
		ex_fail("numbers: publisher %d sent %u, its statistics say %lu", index, sequence,
			stats.sent);
	world_check_sleepers();
}

/* A publisher with a descriptor sends once the descriptor is readable. */
static void send_polling(int index)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	struct kickmsg_publisher *publisher = publishers[index];
	uint32_t sequence = (uint32_t)publisher->sequence + 1;
	uint64_t message = (uint64_t)index << 32 | sequence, words[2] = { message, ~message };
	ssize_t r;

	endpoint->publishing = message;
	ex_call(2 * CALL_LIMIT);
	while ((r = kickmsg_send(publisher, words, world_size())) == -ENOBUFS) {
		world_poll(publisher->ready->watched.fd);
		ex_call(2 * CALL_LIMIT);
	}
	if (r < 0 && !(r == -EAGAIN && ex.old_reads > 0))
		ex_fail("kickmsg_send: %zd", r);
	if (r > 0)
		endpoint->finished = sequence;
	world_check_sleepers();
}

void actor_send(int index)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	struct kickmsg_publisher *publisher = publishers[index];
	uint32_t sequence = (uint32_t)publisher->sequence + 1;
	uint64_t message = (uint64_t)index << 32 | sequence, words[2] = { message, ~message };
	bool said_left = world.said_left;
	unsigned told = endpoint->told;

	ex_call(CALL_LIMIT);
	endpoint->publishing = message;
	ssize_t r = kickmsg_send(publisher, words, world_size());
	if (r == -EAGAIN && (world.tight || ex.old_reads > 0))
		return;
	if (r == -ENOBUFS && world.shape.reliable)
		return;
	if (r < 0)
		ex_fail("kickmsg_send: %zd", r);
	if (said_left && endpoint->told == told)
		ex_fail("left: publisher %d isn't told that subscribers have left", index);
	endpoint->finished = sequence;
	world_check_sleepers();
}

/* The publisher waits for room, again for as long as there is none. */
static void send_waiting(int index, bool lends)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	struct kickmsg_publisher *publisher = publishers[index];
	uint32_t sequence = (uint32_t)publisher->sequence + 1;
	uint64_t message = (uint64_t)index << 32 | sequence, words[2] = { message, ~message };

	void *payload;

	if (lends && !actor_lend(index, &payload))
		return;
	if (lends)
		write_words(payload, message);
	endpoint->loan = 0;
	ex_call(4 * CALL_LIMIT);
	endpoint->publishing = message;
	ssize_t r = lends ? kickmsg_publish_wait(publisher, payload, world_size(), -1)
			  : kickmsg_send_wait(publisher, words, world_size(), -1);
	if (r == -ESTALE && world.giving_up)
		return;
	if (r < 0 && !(r == -EAGAIN && ex.old_reads > 0))
		ex_fail("kickmsg_send_wait: %zd", r);
	if (r > 0 || (lends && r == 0))
		endpoint->finished = sequence;
	world_check_sleepers();
}

bool actor_lend(int index, void **ret_payload)
{
	struct kickmsg_publisher *publisher = publishers[index];

	ex_call(CALL_LIMIT);
	int r = kickmsg_loan(publisher, world_size(), ret_payload);
	/* a search for a free slot may see old words: the pool may seem empty for a while */
	if (r < 0 && !(r == -EAGAIN && (world.tight || ex.old_reads > 0)) &&
		!(r == -ESTALE && world.giving_up))
		ex_fail("kickmsg_loan: %d", r);
	if (r < 0)
		return false;
	actor_publisher(index)->loan = world_slot_of_payload(*ret_payload) + 1;
	return true;
}

/* Sends all messages of the publisher in one call. */
static void send_many(const struct actor *actor)
{
	struct world_endpoint *endpoint = actor_publisher(actor->index);
	struct kickmsg_publisher *publisher = publishers[actor->index];
	uint64_t next = (uint64_t)actor->index << 32 | ((uint32_t)publisher->sequence + 1);
	uint64_t words[WORLD_MAX_CAPACITY][2];
	struct iovec messages[WORLD_MAX_CAPACITY];
	bool lends = actor->flags & ACTOR_LOANS;
	int count = 0;

	for (; count < actor->count; count++) {
		uint64_t message = next + (uint32_t)count;

		words[count][0] = message;
		words[count][1] = ~message;
		messages[count] = (struct iovec){ words[count], world_size() };
		if (lends && !actor_lend(actor->index, &messages[count].iov_base))
			break;
		if (lends)
			write_words(messages[count].iov_base, message);
	}
	endpoint->loan = 0;
	endpoint->publishing = next;
	ex_call(2 * (unsigned)actor->count * CALL_LIMIT);
	ssize_t r = lends ? kickmsg_publish_many(publisher, messages, (size_t)count)
			  : kickmsg_send_many(publisher, messages, (size_t)count);
	if (r != count && !(r >= 0 && world.tight) &&
		!(ex.old_reads > 0 && (r >= 0 || r == -EAGAIN)))
		ex_fail("kickmsg_%s_many: %zd of %d", lends ? "publish" : "send", r, count);
	endpoint->finished = (uint32_t)publisher->sequence;
	world_check_sleepers();
}

static bool id_is_free(void *argument)
{
	return actor_publisher(0)->settled;
}

static void check_sent(int index)
{
	struct kickmsg_publisher_stats stats;

	kickmsg_publisher_get_stats(publishers[index], &stats);
	if (stats.sent != publishers[index]->sequence || stats.loans > 0)
		ex_fail("publisher %d says that it sent %lu of %lu, and has %u loans", index,
			stats.sent, publishers[index]->sequence, stats.loans);
}

static void wait_for_peers(const struct actor *actor)
{
	int r = kickmsg_publisher_wait_matched(
		publishers[actor->index], (uint32_t)actor->count, -1);

	if (r != 0)
		ex_fail("kickmsg_publisher_wait_matched: %d", r);
	world.matched = true;
	/* each peer that the broker tells of has been counted before */
	struct km_seen seen = km_seen_look(
		&publishers[actor->index]->handle.place.region, KM_ROLE_PUBLISHER);
	if (seen.peers < seen.changes || seen.left || seen.died || seen.fate || seen.given_up)
		ex_fail("news: %u changes, %u peers are seen", seen.changes, seen.peers);
	if (kickmsg_subscriber_get_matched(subscribers[0]) != 0)
		ex_fail("matched: publishers that nobody let in");
}

void actor_publisher_body(void *argument)
{
	const struct actor *actor = argument;
	void *payload, *other;

	if (actor->flags & (ACTOR_CALLS | ACTOR_SERVES)) {
		actor_serve(actor);
		return;
	}

	if (actor->flags & ACTOR_MATCHES) {
		wait_for_peers(actor);
		return;
	}

	if (actor->flags & ACTOR_AFTER_REUSE) {
		ex_wait(id_is_free, NULL);
		ex_control();
		actor_publisher(actor->index)->present = true;
	}
	if (actor->flags & ACTOR_COMES) {
		ex_control();
		actor_publisher(actor->index)->present = true;
	}
	if (actor->flags & ACTOR_MANY)
		send_many(actor);
	for (int i = 0; i < actor->count && !(actor->flags & ACTOR_MANY); i++) {
		if (actor->flags & ACTOR_WAITS) {
			if (actor->flags & ACTOR_POLLS)
				send_polling(actor->index);
			else
				send_waiting(actor->index, actor->flags & ACTOR_LOANS);
			continue;
		}
		if (world.shape.shared && !(actor->flags & ACTOR_LOANS)) {
			actor_send(actor->index);
			continue;
		}
		if (!actor_lend(actor->index, &payload))
			continue;
		if (actor->flags & ACTOR_TWO_LOANS && i + 1 < actor->count &&
			actor_lend(actor->index, &other)) {
			actor_publish(actor->index, other);
			i++;
		}
		if (actor->flags & ACTOR_DISCARDS && i % 2 == 0)
			discard(actor->index, payload);
		else
			actor_publish(actor->index, payload);
	}
	check_sent(actor->index);
}

/* --- subscribers --- */

static void check_content(int index, const struct kickmsg_sample *sample, uint64_t message)
{
	const uint64_t *words = sample->data;
	const uint64_t wanted[2] = { message, ~message };

	km_plain_read(sample->data, 16);
	if (memcmp(words, wanted, world_size()) != 0)
		ex_fail("torn: subscriber %d reads %lx at %lu, %lx was published", index, words[0],
			sample->ring_pos, message);
}

static void check_time(int index, const struct kickmsg_sample *sample, uint64_t message)
{
	const uint64_t wanted = world.calls         ? actor_tag_of(message)
				: world.shape.timed ? message + 1
						    : 0;

	if (sample->publish_ns != wanted)
		ex_fail("foreign time: subscriber %d got message %lx with time %lx", index, message,
			sample->publish_ns);
}

/* Checks that each publisher's messages come once and in their order. */
static void check_order(struct world_endpoint *endpoint, uint64_t message)
{
	uint32_t publisher = (uint32_t)(message >> 32), sequence = (uint32_t)message;

	if (publisher >= world.shape.publishers)
		ex_fail("torn: ring %u's subscriber got %lx, which nobody published",
			endpoint->ring, message);
	if (sequence <= endpoint->last[publisher])
		ex_fail("order: ring %u's subscriber got %u.%u after %u.%u", endpoint->ring,
			publisher, sequence, publisher, endpoint->last[publisher]);
	endpoint->last[publisher] = sequence;
	endpoint->received++;
}

/* A subscriber gets the messages of a publisher that leaves it out by its history alone. */
static void check_heard(const struct world_endpoint *endpoint, uint64_t message)
{
	const struct km_ring *ring = km_region_ring(world.region, endpoint->ring);
	uint64_t position = world.region->kept_capacity + (uint32_t)message - 1;

	if (position >= (ring->kept_behind & KM_KEPT_POSITION))
		ex_fail("foreign: ring %u's subscriber got %lx, which isn't for it", endpoint->ring,
			message);
}

uint64_t actor_check_received(int index, const struct kickmsg_sample *sample)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	/* with history the message may come from the kept ring */
	uint64_t message = world.shape.shared    ? world_committed(sample->ring_pos)
			   : world.shape.history ? *(const uint64_t *)sample->data
						 : endpoint->taken;
	int slot = world_slot_of_payload(sample->data);

	for (int k = 0; k < 4; k++)
		if (endpoint->holds[k] == 0) {
			endpoint->holds[k] = slot + 1;
			break;
		}
	check_content(index, sample, message);
	check_time(index, sample, message);
	check_order(endpoint, message);
	if (world.shape.history && actors_scenario->actors[0].flags & ACTOR_UNHEARD)
		check_heard(endpoint, message);
	if (sample->publisher_sequence != (uint32_t)message || sample->len != world_size() ||
		sample->publisher_id != actor_publisher((int)(message >> 32))->id)
		ex_fail("torn: subscriber %d got message %lx with header %lu, %lu, %u", index,
			message, sample->publisher_sequence, sample->len, sample->publisher_id);
	return message;
}

void actor_give_back(int index, struct kickmsg_sample *sample, uint64_t message)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	int slot = world_slot_of_payload(sample->data);

	check_content(index, sample, message);
	for (int k = 0; k < 4; k++)
		if (endpoint->holds[k] == slot + 1)
			endpoint->holds[k] = 0;
	ex_call(CALL_LIMIT);
	int r = kickmsg_sample_release(sample);
	if (r < 0)
		ex_fail("kickmsg_sample_release: %d", r);
}

static void note_interruption(struct world_endpoint *endpoint)
{
	if (++endpoint->interrupted > endpoint->asked)
		ex_fail("interruption: a wait ends the %u. time, it was asked to %u times",
			endpoint->interrupted, endpoint->asked);
}

static bool receive(const struct actor *actor, struct kickmsg_sample *ret)
{
	struct kickmsg_subscriber *subscriber = subscribers[actor->index];

	ex_call(CALL_LIMIT);
	if (actor->flags & ACTOR_MOVES)
		km_ready_move(subscriber);
	int r = actor->flags & ACTOR_SLEEPS  ? kickmsg_receive(subscriber, -1, ret)
		: actor->flags & ACTOR_POLLS ? poll_and_receive(actor->index, ret)
					     : kickmsg_try_receive(subscriber, ret);
	if (r == -EINTR && actor->flags & ACTOR_INTERRUPTED) {
		note_interruption(actor_subscriber(actor->index));
		return false;
	}
	if (r == -ENOLINK) {
		if (world.region->header->reliable)
			ex_fail("demoted: subscriber %d is told so and isn't", actor->index);
		return false;
	}
	if (r < 0 && r != -EAGAIN && !(r == -ESTALE && world.giving_up))
		ex_fail("kickmsg_receive: %d", r);
	return r == 0;
}

/* Checks a subscriber's numbers while others are at work: it counts no more lost than were sent,
 * and no more waiting than fit into its ring. */
static void check_numbers(int index)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	uint32_t ring = world.shape.shared ? 0 : endpoint->ring;
	struct kickmsg_subscriber_stats stats;

	kickmsg_subscriber_get_stats(subscribers[index], &stats);
	if (stats.received != endpoint->received || stats.waiting > world.shape.capacity ||
		stats.received + stats.lost > world.frontier[ring] - endpoint->start)
		ex_fail("loss count: subscriber %d: %lu received, %lu lost, %lu wait; it took %lu",
			index, stats.received, stats.lost, stats.waiting, endpoint->received);
}

static void receive_copy(const struct actor *actor)
{
	uint64_t words[8] = { 0 };

	ex_call(CALL_LIMIT);
	struct kickmsg_subscriber *subscriber = subscribers[actor->index];
	struct kickmsg_sample sample = { 0 };
	ssize_t r = world.shape.timed
			    ? kickmsg_receive_into(subscriber, words, sizeof words, 0, &sample)
			    : kickmsg_try_receive_copy(subscriber, words, sizeof words);
	if (r == -EAGAIN)
		return;
	if (world.shape.timed && r == 0)
		r = (ssize_t)sample.len;
	uint64_t message = world.shape.shared
				   ? world_committed(
					     subscribers[actor->index]->handle.place.next - 1)
				   : words[0];
	const uint64_t wanted[2] = { message, ~message };
	if (r != (int)world_size() || memcmp(words, wanted, world_size()) != 0)
		ex_fail("torn: subscriber %d copied %lx.%lx, %zd bytes", actor->index, words[0],
			words[1], r);
	check_time(actor->index, &sample, message);
	check_order(actor_subscriber(actor->index), words[0]);
	check_numbers(actor->index);
}

static void receive_many(const struct actor *actor)
{
	struct world_endpoint *endpoint = actor_subscriber(actor->index);
	struct kickmsg_sample samples[WORLD_MAX_CAPACITY];
	uint64_t messages[WORLD_MAX_CAPACITY];

	endpoint->took_count = 0;
	ex_call(2 * WORLD_MAX_CAPACITY * CALL_LIMIT);
	ssize_t r = kickmsg_receive_many(subscribers[actor->index],
		actor->flags & ACTOR_SLEEPS ? -1 : 0, samples, WORLD_MAX_CAPACITY);
	if (r == -EAGAIN)
		return;
	if (r <= 0)
		ex_fail("kickmsg_receive_many: %zd", r);
	for (ssize_t i = 0; i < r; i++) {
		endpoint->taken = endpoint->took[i];
		messages[i] = actor_check_received(actor->index, &samples[i]);
	}
	for (ssize_t i = 0; i < r; i++)
		check_content(actor->index, &samples[i], messages[i]);
	memset(endpoint->holds, 0, sizeof endpoint->holds);
	ex_call(2 * WORLD_MAX_CAPACITY * CALL_LIMIT);
	if (kickmsg_release_many(samples, (size_t)r) != r)
		ex_fail("kickmsg_release_many");
}

static bool is_joined(void *argument)
{
	return ((struct world_endpoint *)argument)->joined;
}

static void leave(struct world_endpoint *endpoint)
{
	ex_control();
	endpoint->left = true;
	world.leaves++;
}

/* Waits `count` times: each wait ends with a message or with an interruption. */
static void wait_for_all(const struct actor *actor)
{
	struct kickmsg_sample sample;
	void *ready[WORLD_MAX_RINGS];

	for (int done = 0; done < actor->count;) {
		ex_call(2 * CALL_LIMIT);
		actor_subscriber(0)->polls = actor->flags & ACTOR_POLLS;
		int r = kickmsg_waitset_wait(actor_set, -1, ready, WORLD_MAX_RINGS);

		actor_subscriber(0)->polls = false;
		if (r == -EINTR) {
			note_interruption(actor_subscriber(0));
			done++;
			continue;
		}
		if (r <= 0)
			ex_fail("kickmsg_waitset_wait: %d", r);
		for (int i = 0; i < r; i++) {
			int index = (int)((struct kickmsg_subscriber **)ready[i] - subscribers);

			ex_call(CALL_LIMIT);
			int got = kickmsg_try_receive(subscribers[index], &sample);
			if (got == -EAGAIN && ex.old_reads > 0)
				continue;
			if (got < 0)
				ex_fail("wait set: subscriber %d is ready, its receive says %d",
					index, got);
			actor_give_back(index, &sample, actor_check_received(index, &sample));
			done++;
		}
	}
}

void actor_subscriber_body(void *argument)
{
	const struct actor *actor = argument;

	if (actor->flags & ACTOR_SETS) {
		wait_for_all(actor);
		return;
	}
	if (actor->flags & ACTOR_CALLS) {
		actor_call(actor);
		return;
	}
	if (actor->flags & ACTOR_SERVES) {
		actor_poll(actor);
		return;
	}
	struct world_endpoint *endpoint = actor_subscriber(actor->index);
	struct kickmsg_sample sample, kept = { 0 };
	uint64_t message, kept_message = 0;

	if (actor->flags & ACTOR_ASKS) {
		ex_control();
		endpoint->asks = true;
	}
	if (actor->flags & ACTOR_JOINS) {
		ex_wait(is_joined, endpoint);
		ex_control();
		if (world.region->kept || world.shape.reliable)
			ex_memory_tell(ex.current);
		km_place_subscribe(&subscribers[actor->index]->handle.place, endpoint->record,
			endpoint->ring, endpoint->start);
		km_place_look_back(&subscribers[actor->index]->handle.place, world.shape.history);
		endpoint->subscriber = subscribers[actor->index];
		ex_call(CALL_LIMIT);
	}
	for (int i = 0; i < actor->count; i++) {
		if (actor->flags & ACTOR_MANY) {
			receive_many(actor);
			continue;
		}
		if (actor->flags & ACTOR_COPIES) {
			receive_copy(actor);
			continue;
		}
		if (!receive(actor, &sample))
			continue;
		message = actor_check_received(actor->index, &sample);
		if (actor->flags & ACTOR_LEAVES_HOLDING) {
			leave(endpoint);
			actor_give_back(actor->index, &sample, message);
			return;
		}
		if (kept.data)
			actor_give_back(actor->index, &kept, kept_message);
		kept.data = NULL;
		if (actor->flags & ACTOR_KEEPS && i + 1 < actor->count) {
			kept = sample;
			kept_message = message;
		} else {
			actor_give_back(actor->index, &sample, message);
		}
	}
	if (kept.data)
		actor_give_back(actor->index, &kept, kept_message);
	/* libclient/rejoin/move.c does so: the region that was left may be unmapped now */
	if (actor->flags & ACTOR_INTERRUPTED &&
		!km_interrupt_is_busy(&subscribers[actor->index]->interrupt))
		world.unmapped = true;
	if (actor->flags & ACTOR_SAYS_LEFT) {
		ex_control();
		ex_call(CALL_LIMIT);
		km_bell_say_left(world.region->bell);
		world.said_left = true;
		world_check_sleepers();
	}
	if (actor->flags & ACTOR_LEAVES) {
		km_place_end(&subscribers[actor->index]->handle.place);
		leave(endpoint);
	}
}

/* --- actors beside publishers and subscribers --- */

void actor_watcher_body(void *argument)
{
	ex_call(4 * CALL_LIMIT);
	world.thread(world.thread_argument);
}

void actor_interrupter_body(void *argument)
{
	const struct actor *actor = argument;

	for (int i = 0; i < actor->count; i++) {
		ex_call(CALL_LIMIT);
		actor_subscriber(actor->index)->asked++;
		if (actor->flags & ACTOR_SETS)
			kickmsg_waitset_interrupt(actor_set);
		else if (actor->flags & ACTOR_CALLS)
			actor_interrupt_call(actor->index);
		else
			kickmsg_subscriber_interrupt(subscribers[actor->index]);
	}
}
