/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues: the largest that an unprivileged process gets without asking (10 messages of
 * 8 KiB); polled without waiting where a load polls. A message goes to one reader: no fan-out.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <time.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define QUEUE_LENGTH 10
#define MAX_MESSAGE  8192

struct mq_end {
	struct worker *worker;
	mqd_t queue;
	_Alignas(64) unsigned char message[];
};

static void name_of(const struct worker *worker, unsigned channel, char *name, size_t size)
{
	snprintf(name, size, "/%s.%u", worker->name, channel);
}

static struct mq_end *open_end(struct worker *worker, unsigned channel, int flags)
{
	struct mq_end *end = peer_end_new(worker, sizeof(*end));
	struct mq_attr attributes = {
		.mq_maxmsg = QUEUE_LENGTH,
		.mq_msgsize = (long)worker->shape.size,
	};
	char name[80];

	name_of(worker, channel, name, sizeof(name));
	end->worker = worker;
	end->queue = mq_open(name, flags | O_CREAT | O_CLOEXEC, 0600, &attributes);
	if (end->queue == (mqd_t)-1)
		stage_refuse(worker, "mq_open: error %d", errno);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	return open_end(worker, channel, O_WRONLY);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	return open_end(worker, channel, O_RDONLY | (worker->shape.block ? 0 : O_NONBLOCK));
}

static void queue_send(void *sender, size_t size, uint64_t key)
{
	struct mq_end *end = sender;

	message_write(end->message, size, key);
	if (mq_send(end->queue, (char *)end->message, size, 0) < 0)
		stage_refuse(end->worker, "mq_send: error %d", errno);
}

static const void *queue_take(void *receiver, size_t size, bool block)
{
	struct mq_end *end = receiver;
	ssize_t got = mq_receive(end->queue, (char *)end->message, size, NULL);

	if (got == (ssize_t)size)
		return end->message;
	if (got >= 0 || errno != EAGAIN)
		stage_refuse(end->worker, "mq_receive: %zd bytes, error %d", got, errno);
	return NULL;
}

static void queue_release(void *receiver)
{
}

static void queue_close(struct worker *worker)
{
	char name[80];

	for (unsigned channel = 0; channel < 2; channel++) {
		name_of(worker, channel, name, sizeof(name));
		mq_unlink(name);
	}
}

LOOPS(queue_round, peer_mq)

const struct adapter peer_mq = {
	.name = "posix-mq",
	.setting = "10 messages of at most 8 KiB",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD,
	.max_size = MAX_MESSAGE,
	.lossless = true,
	.exact = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = queue_send,
	.take = queue_take,
	.release = queue_release,
	.close = queue_close,
	.round = queue_round,
};
