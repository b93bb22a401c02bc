/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsg behind the adapter. In place: loan, write, publish; borrow, look, release. Copied: send,
 * receive_copy; with a shared ring always, since what its subscriber borrows is a copy as well. A
 * receive that blocks is kickmsg_receive(); a stream is held by the receiver's credit, since kickmsg
 * pushes out what is old rather than let a publisher wait. Only with a reliable subscriber it waits, in
 * kickmsg_send_wait() and kickmsg_publish_wait().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/kick.h"
#include "tests/bench/loops.h"

/* A reader that the machine doesn't let run for less than this stays reliable. */
#define STALL_NS INT64_C(10000000000)

struct kick_end {
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	_Alignas(64) unsigned char copy[]; /* of the copying variant */
};

static struct kickmsg_client *client; /* this process' end */

static bool is_reliable(const struct worker *worker)
{
	return worker->adapter == &kick_shared_reliable || worker->adapter == &kick_rings_reliable;
}

static void topic_config(const struct worker *worker, struct kickmsg_topic_config *config)
{
	const struct shape *shape = &worker->shape;
	unsigned ends = (shape->apart ? 1 : shape->receivers) * shape->ends;

	kickmsg_topic_config_init(config);
	config->max_payload_size = shape->size;
	config->max_subscribers = shape->places ? shape->places : ends > 16 ? ends : 16;
	config->max_publishers = shape->apart ? 1 : shape->senders;
	config->pool_size = 256;
	/* a pool of 256 large slots would only cost memory */
	if (shape->size > 4096) {
		config->max_subscribers = shape->places ? shape->places : ends ? ends : 1;
		config->max_borrows = 1;
		config->max_loans = 1;
		config->ring_capacity = shape->size > 65536 ? 4 : 16;
		config->pool_size = 4 * config->ring_capacity;
	}
	if (shape->capacity > 0) {
		config->ring_capacity = shape->capacity;
		config->max_subscribers = ends;
		config->pool_size = 0; /* as many as the limits take */
	}
	config->transport = worker->adapter->variant;
	config->timestamps = worker->adapter == &kick_shared_timed ||
			     worker->adapter == &kick_rings_timed;
	config->max_reliable = is_reliable(worker);
	config->stall_ns = is_reliable(worker) ? STALL_NS : 0;
}

static struct kick_end *new_end(struct worker *worker, unsigned channel, char *topic, size_t size)
{
	size_t bytes = (sizeof(struct kick_end) + worker->shape.size + 63) / 64 * 64;
	struct kick_end *end = aligned_alloc(64, bytes);

	if (!end)
		bench_die("no memory");
	memset(end, 0, bytes);
	if (!client)
		client = kick_client(worker->socket_path);
	snprintf(topic, size, "%s.%u", worker->name, channel);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	struct kickmsg_topic_config config;
	char topic[64];
	struct kick_end *end = new_end(worker, channel, topic, sizeof(topic));

	topic_config(worker, &config);
	end->publisher = kick_publisher(client, topic, &config);
	return end;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	const struct kickmsg_subscribe_options options = {
		.writable = worker->adapter == &kick_shared_rw,
		.reliable = is_reliable(worker),
	};
	char topic[64];
	struct kick_end *end = new_end(worker, channel, topic, sizeof(topic));

	end->subscriber = kick_subscriber_with(client, topic, &options);
	return end;
}

static inline void send_loan(struct kick_end *end, size_t size, uint64_t key, bool waits)
{
	void *payload;
	int r = kickmsg_loan(end->publisher, size, &payload);

	if (r < 0)
		bench_die("loan: %s", kickmsg_strerror(r));
	message_write(payload, size, key);
	r = waits ? kickmsg_publish_wait(end->publisher, payload, size, -1)
		  : kickmsg_publish(end->publisher, payload, size);
	if (r < 0)
		bench_die("publish: %s", kickmsg_strerror(r));
}

static void send_in_place(void *sender, size_t size, uint64_t key)
{
	send_loan(sender, size, key, false);
}

static void send_in_place_waiting(void *sender, size_t size, uint64_t key)
{
	send_loan(sender, size, key, true);
}

static void send_copied_waiting(void *sender, size_t size, uint64_t key)
{
	struct kick_end *end = sender;

	message_write(end->copy, size, key);
	ssize_t r = kickmsg_send_wait(end->publisher, end->copy, size, -1);
	if (r < 0)
		bench_die("send: %s", kickmsg_strerror((int)r));
}

static void send_copied(void *sender, size_t size, uint64_t key)
{
	struct kick_end *end = sender;

	message_write(end->copy, size, key);
	ssize_t r = kickmsg_send(end->publisher, end->copy, size);
	if (r < 0)
		bench_die("send: %s", kickmsg_strerror((int)r));
}

static const void *take_in_place(void *receiver, size_t size, bool block)
{
	struct kick_end *end = receiver;
	int r = block ? kickmsg_receive(end->subscriber, -1, &end->sample)
		      : kickmsg_try_receive(end->subscriber, &end->sample);

	if (r == -EAGAIN)
		return NULL;
	if (r < 0)
		bench_die("receive: %s", kickmsg_strerror(r));
	if (end->sample.len != size)
		bench_die("receive: %zu bytes where %zu are due", end->sample.len, size);
	return end->sample.data;
}

static void release_in_place(void *receiver)
{
	struct kick_end *end = receiver;

	kickmsg_sample_release(&end->sample);
}

static const void *take_copied(void *receiver, size_t size, bool block)
{
	struct kick_end *end = receiver;
	ssize_t r = block ? kickmsg_receive_copy(end->subscriber, end->copy, size, -1)
			  : kickmsg_try_receive_copy(end->subscriber, end->copy, size);

	if (r == -EAGAIN)
		return NULL;
	if (r < 0)
		bench_die("receive: %s", kickmsg_strerror((int)r));
	if ((size_t)r != size)
		bench_die("receive: %zd bytes where %zu are due", r, size);
	return end->copy;
}

static void release_copied(void *receiver)
{
}

static uint64_t lost(void *receiver)
{
	struct kick_end *end = receiver;

	return kickmsg_subscriber_lost(end->subscriber);
}

static void close_client(struct worker *worker)
{
	kickmsg_client_free(client);
}

#define ALL_SHAPES                                                                                 \
	(1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD | 1 << SHAPE_BURST |          \
		1 << SHAPE_WAKE | 1 << SHAPE_PACED)

/* An adapter with its round; `how` is in_place or copied. */
#define KICK(system, transport, how, shown, its_name, ...)                                         \
	LOOPS(system##_round, system)                                                              \
	const struct adapter system = { .name = "kickmsg-" its_name,                               \
		.setting = shown,                                                                  \
		.max_size = MESSAGE_MAX,                                                           \
		.exact = true,                                                                     \
		.variant = KICKMSG_TRANSPORT_##transport,                                          \
		.open_sender = open_sender,                                                        \
		.open_receiver = open_receiver,                                                    \
		.take = take_##how,                                                                \
		.release = release_##how,                                                          \
		.lost = lost,                                                                      \
		.close = close_client,                                                             \
		.round = system##_round,                                                           \
		__VA_ARGS__ };

#define SENDS(by) .shapes = ALL_SHAPES, .send = send_##by
#define WAITS(by) .shapes = 1 << SHAPE_STREAM, .send = send_##by##_waiting, .lossless = true

KICK(kick_rings, RINGS, in_place, "in place", "rings", SENDS(in_place))
KICK(kick_rings_copy, RINGS, copied, "copied in and out", "rings-copy", SENDS(copied))
KICK(kick_shared, SHARED, copied, "one ring, copied in and out", "shared", SENDS(copied))
KICK(kick_shared_rw, SHARED, copied, "the same, mapped writable where it is read", "shared-rw",
	SENDS(copied))
KICK(kick_rings_timed, RINGS, in_place, "in place, with timestamps", "rings-timed", SENDS(in_place))
KICK(kick_shared_timed, SHARED, copied, "one ring, copied, with timestamps", "shared-timed",
	SENDS(copied))
KICK(kick_rings_reliable, RINGS, in_place, "in place, the publisher waits", "rings-reliable",
	WAITS(in_place))
KICK(kick_shared_reliable, SHARED, copied, "one ring, copied, the publisher waits",
	"shared-reliable", WAITS(copied))
