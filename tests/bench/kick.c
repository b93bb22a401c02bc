/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsg behind the adapter. In place: loan, write, publish; borrow, look, release. Copied: send,
 * receive_copy; with a shared ring always, since what its subscriber borrows is a copy as well. A
 * receive that blocks is kickmsg_receive(); a stream is held by the receiver's credit, since kickmsg
 * pushes out what is old rather than let a publisher wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/kick.h"
#include "tests/bench/loops.h"

struct kick_end {
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	_Alignas(64) unsigned char copy[]; /* of the copying variant */
};

static struct kickmsg_client *client; /* this process' end */

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
	};
	char topic[64];
	struct kick_end *end = new_end(worker, channel, topic, sizeof(topic));

	end->subscriber = kick_subscriber_with(client, topic, &options);
	return end;
}

static void send_in_place(void *sender, size_t size, uint64_t key)
{
	struct kick_end *end = sender;
	void *payload;
	int r = kickmsg_loan(end->publisher, size, &payload);

	if (r < 0)
		bench_die("loan: %s", kickmsg_strerror(r));
	message_write(payload, size, key);
	r = kickmsg_publish(end->publisher, payload, size);
	if (r < 0)
		bench_die("publish: %s", kickmsg_strerror(r));
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

LOOPS(shared_round, kick_shared)
LOOPS(shared_rw_round, kick_shared_rw)
LOOPS(rings_round, kick_rings)
LOOPS(rings_copy_round, kick_rings_copy)
LOOPS(shared_timed_round, kick_shared_timed)
LOOPS(rings_timed_round, kick_rings_timed)

#define ALL_SHAPES                                                                                 \
	(1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD | 1 << SHAPE_BURST |          \
		1 << SHAPE_WAKE | 1 << SHAPE_PACED)

const struct adapter kick_rings = {
	.name = "kickmsg-rings",
	.setting = "in place",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_RINGS,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_in_place,
	.take = take_in_place,
	.release = release_in_place,
	.lost = lost,
	.close = close_client,
	.round = rings_round,
};

const struct adapter kick_rings_copy = {
	.name = "kickmsg-rings-copy",
	.setting = "copied in and out",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_RINGS,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_copied,
	.take = take_copied,
	.release = release_copied,
	.lost = lost,
	.close = close_client,
	.round = rings_copy_round,
};

const struct adapter kick_shared = {
	.name = "kickmsg-shared",
	.setting = "one ring, copied in and out",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_SHARED,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_copied,
	.take = take_copied,
	.release = release_copied,
	.lost = lost,
	.close = close_client,
	.round = shared_round,
};

const struct adapter kick_shared_rw = {
	.name = "kickmsg-shared-rw",
	.setting = "the same, mapped writable where it is read",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_SHARED,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_copied,
	.take = take_copied,
	.release = release_copied,
	.lost = lost,
	.close = close_client,
	.round = shared_rw_round,
};

const struct adapter kick_rings_timed = {
	.name = "kickmsg-rings-timed",
	.setting = "in place, with timestamps",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_RINGS,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_in_place,
	.take = take_in_place,
	.release = release_in_place,
	.lost = lost,
	.close = close_client,
	.round = rings_timed_round,
};

const struct adapter kick_shared_timed = {
	.name = "kickmsg-shared-timed",
	.setting = "one ring, copied, with timestamps",
	.shapes = ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_SHARED,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_copied,
	.take = take_copied,
	.release = release_copied,
	.lost = lost,
	.close = close_client,
	.round = shared_timed_round,
};
