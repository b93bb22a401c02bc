/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsg's calls with many messages at a time, behind the adapter of single ones: what is sent is
 * kept until there are MANY, and what was received together is given out one by one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/kick.h"
#include "tests/bench/loops.h"

#define MANY 32

struct many_end {
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct iovec messages[MANY];
	struct kickmsg_sample samples[MANY];
	size_t there; /* messages to be sent, or samples that were received */
	size_t taken; /* of the samples */
	_Alignas(64) unsigned char buffers[];
};

static struct kickmsg_client *client; /* this process' end */

static void topic_config(const struct worker *worker, struct kickmsg_topic_config *config)
{
	kickmsg_topic_config_init(config);
	config->max_payload_size = worker->shape.size;
	config->max_publishers = worker->shape.senders;
	config->max_subscribers = 1;
	config->max_loans = MANY;
	config->max_borrows = MANY;
	config->ring_capacity = worker->shape.capacity;
	config->transport = worker->adapter->variant;
}

static struct many_end *new_end(struct worker *worker, unsigned channel, char *topic, size_t size)
{
	struct many_end *end = aligned_alloc(
		64, sizeof(struct many_end) + MANY * worker->shape.size);

	if (!end)
		bench_die("no memory");
	end->there = end->taken = 0;
	for (size_t i = 0; i < MANY; i++)
		end->messages[i] = (struct iovec){ end->buffers + i * worker->shape.size,
			worker->shape.size };
	if (!client)
		client = kick_client(worker->socket_path);
	snprintf(topic, size, "%s.%u", worker->name, channel);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	struct kickmsg_topic_config config;
	char topic[64];
	struct many_end *end = new_end(worker, channel, topic, sizeof(topic));

	topic_config(worker, &config);
	end->publisher = kick_publisher(client, topic, &config);
	return end;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	char topic[64];
	struct many_end *end = new_end(worker, channel, topic, sizeof(topic));

	end->subscriber = kick_subscriber(client, topic);
	return end;
}

static void flush(void *sender)
{
	struct many_end *end = sender;
	ssize_t r = kickmsg_send_many(end->publisher, end->messages, end->there);

	if (r != (ssize_t)end->there)
		bench_die("send_many: %s", r < 0 ? kickmsg_strerror((int)r) : "not all");
	end->there = 0;
}

static void send_many(void *sender, size_t size, uint64_t key)
{
	struct many_end *end = sender;

	message_write(end->messages[end->there++].iov_base, size, key);
	if (end->there == MANY)
		flush(sender);
}

static const void *take_many(void *receiver, size_t size, bool block)
{
	struct many_end *end = receiver;

	if (end->taken == end->there) {
		ssize_t r = kickmsg_receive_many(
			end->subscriber, block ? -1 : 0, end->samples, MANY);

		if (r == -EAGAIN)
			return NULL;
		if (r < 0)
			bench_die("receive_many: %s", kickmsg_strerror((int)r));
		end->there = (size_t)r;
		end->taken = 0;
	}
	if (end->samples[end->taken].len != size)
		bench_die("receive_many: another length");
	return end->samples[end->taken].data;
}

static void release_many(void *receiver)
{
	struct many_end *end = receiver;

	if (++end->taken == end->there)
		kickmsg_release_many(end->samples, end->there);
}

static uint64_t lost(void *receiver)
{
	struct many_end *end = receiver;

	return kickmsg_subscriber_lost(end->subscriber);
}

static void close_client(struct worker *worker)
{
	kickmsg_client_free(client);
}

LOOPS(rings_round, kick_rings_many)
LOOPS(shared_round, kick_shared_many)

const struct adapter kick_rings_many = {
	.name = "kickmsg-rings-many",
	.setting = "32 at a time, copied in, in place",
	.shapes = 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_RINGS,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_many,
	.flush = flush,
	.take = take_many,
	.release = release_many,
	.lost = lost,
	.close = close_client,
	.round = rings_round,
};

const struct adapter kick_shared_many = {
	.name = "kickmsg-shared-many",
	.setting = "32 at a time, copied in and out",
	.shapes = 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD,
	.max_size = MESSAGE_MAX,
	.exact = true,
	.variant = KICKMSG_TRANSPORT_SHARED,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = send_many,
	.flush = flush,
	.take = take_many,
	.release = release_many,
	.lost = lost,
	.close = close_client,
	.round = shared_round,
};
