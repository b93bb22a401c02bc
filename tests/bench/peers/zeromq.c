/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZeroMQ over ipc://: PUSH and PULL one to one and many to one, PUB and SUB one to many. Messages are written
 * into zmq_msg_t and looked at there, which saves the copy of zmq_send() and zmq_recv(). Its own I/O
 * thread does the system calls, so receives sleep: polling would take that thread's CPU.
 */
#include <errno.h>
#include <stdio.h>
#include <zmq.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define MARK 4096 /* messages that a queue takes, at most 64 MiB */

struct zmq_end {
	struct worker *worker;
	void *socket;
	zmq_msg_t message;
};

static void *context; /* this process' end */

static bool fans_out(const struct worker *worker)
{
	return worker->shape.receivers * worker->shape.ends != 1;
}

static void *open_end(struct worker *worker, unsigned channel, int type, bool bound)
{
	struct zmq_end *end = peer_end_new(worker, sizeof(*end));
	int mark = worker->shape.size > 16384 ? 64 : MARK, none = 0, r;
	char address[160];

	if (!context)
		context = zmq_ctx_new();
	end->worker = worker;
	end->socket = zmq_socket(context, type);
	if (!end->socket)
		stage_refuse(worker, "zmq_socket: %s", zmq_strerror(errno));
	zmq_setsockopt(end->socket, ZMQ_SNDHWM, &mark, sizeof(mark));
	zmq_setsockopt(end->socket, ZMQ_RCVHWM, &mark, sizeof(mark));
	zmq_setsockopt(end->socket, ZMQ_LINGER, &none, sizeof(none));
	if (type == ZMQ_SUB)
		zmq_setsockopt(end->socket, ZMQ_SUBSCRIBE, "", 0);
	snprintf(address, sizeof(address), "ipc://%s/%s.%u", worker->dir, worker->name, channel);
	r = bound ? zmq_bind(end->socket, address) : zmq_connect(end->socket, address);
	if (r < 0)
		stage_refuse(worker, "%s: %s", address, zmq_strerror(errno));
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	bool fans = fans_out(worker);

	return open_end(worker, channel, fans ? ZMQ_PUB : ZMQ_PUSH, fans);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	bool fans = fans_out(worker);

	return open_end(worker, channel, fans ? ZMQ_SUB : ZMQ_PULL, !fans);
}

static void zeromq_send(void *sender, size_t size, uint64_t key)
{
	struct zmq_end *end = sender;

	if (zmq_msg_init_size(&end->message, size) < 0)
		bench_die("no memory");
	message_write(zmq_msg_data(&end->message), size, key);
	if (zmq_msg_send(&end->message, end->socket, 0) < 0)
		stage_refuse(end->worker, "zmq_msg_send: %s", zmq_strerror(errno));
}

static const void *zeromq_take(void *receiver, size_t size, bool block)
{
	struct zmq_end *end = receiver;

	zmq_msg_init(&end->message);
	if (zmq_msg_recv(&end->message, end->socket, block ? 0 : ZMQ_DONTWAIT) < 0) {
		zmq_msg_close(&end->message);
		if (errno != EAGAIN && errno != EINTR)
			stage_refuse(end->worker, "zmq_msg_recv: %s", zmq_strerror(errno));
		return NULL;
	}
	if (zmq_msg_size(&end->message) != size)
		stage_refuse(end->worker, "%zu bytes", zmq_msg_size(&end->message));
	return zmq_msg_data(&end->message);
}

static void zeromq_release(void *receiver)
{
	struct zmq_end *end = receiver;

	zmq_msg_close(&end->message);
}

LOOPS(zeromq_round, peer_zeromq)

const struct adapter peer_zeromq = {
	.name = "zeromq",
	.setting = "ipc, PUSH/PULL (to many PUB/SUB), sleeps",
	.shapes = PEER_ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.needs_settling = true,
	.sleeps = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = zeromq_send,
	.take = zeromq_take,
	.release = zeromq_release,
	.round = zeromq_round,
};
