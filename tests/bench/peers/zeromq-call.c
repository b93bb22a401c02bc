/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by ZeroMQ over ipc://: one at a time by REQ and REP, many in flight by DEALER and ROUTER. The rest is
 * as in zeromq.c.
 */
#include <errno.h>
#include <stdio.h>
#include <zmq.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define MARK 4096 /* messages that a queue takes */

struct zmq_call_end {
	struct worker *worker;
	void *socket;
	zmq_msg_t message;
	/* A ROUTER's: the address of the request that was taken last. */
	zmq_msg_t from;
	bool routes;
};

static struct zmq_call_end *end; /* this process' end */

static bool serves(const struct worker *worker)
{
	return worker->index >= worker->shape.senders;
}

static int type_of(const struct worker *worker)
{
	if (worker->shape.kind == SHAPE_PING_PONG)
		return serves(worker) ? ZMQ_REP : ZMQ_REQ;
	return serves(worker) ? ZMQ_ROUTER : ZMQ_DEALER;
}

static void open_end(struct worker *worker)
{
	int mark = MARK, none = 0;
	char address[160];

	end = peer_end_new(worker, sizeof(*end));
	end->worker = worker;
	end->routes = type_of(worker) == ZMQ_ROUTER;
	end->socket = zmq_socket(zmq_ctx_new(), type_of(worker));
	if (!end->socket)
		stage_refuse(worker, "zmq_socket: %s", zmq_strerror(errno));
	zmq_setsockopt(end->socket, ZMQ_SNDHWM, &mark, sizeof(mark));
	zmq_setsockopt(end->socket, ZMQ_RCVHWM, &mark, sizeof(mark));
	zmq_setsockopt(end->socket, ZMQ_LINGER, &none, sizeof(none));
	snprintf(address, sizeof(address), "ipc://%s/%s", worker->dir, worker->name);
	if ((serves(worker) ? zmq_bind(end->socket, address) : zmq_connect(end->socket, address)) <
		0)
		stage_refuse(worker, "%s: %s", address, zmq_strerror(errno));
}

/* Servers open first. */
static void *open_server(struct worker *worker, unsigned channel)
{
	if (serves(worker))
		open_end(worker);
	return end;
}

static void *open_caller(struct worker *worker, unsigned channel, unsigned index)
{
	if (!serves(worker))
		open_end(worker);
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	if (end->routes && zmq_msg_send(&end->from, end->socket, ZMQ_SNDMORE) < 0)
		stage_refuse(end->worker, "zmq_msg_send: %s", zmq_strerror(errno));
	if (zmq_msg_init_size(&end->message, size) < 0)
		bench_die("no memory");
	message_write(zmq_msg_data(&end->message), size, key);
	if (zmq_msg_send(&end->message, end->socket, 0) < 0)
		stage_refuse(end->worker, "zmq_msg_send: %s", zmq_strerror(errno));
}

/* Takes a message. False: there is none. */
static bool receive_part(zmq_msg_t *ret, bool block)
{
	zmq_msg_init(ret);
	if (zmq_msg_recv(ret, end->socket, block ? 0 : ZMQ_DONTWAIT) >= 0)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		stage_refuse(end->worker, "zmq_msg_recv: %s", zmq_strerror(errno));
	zmq_msg_close(ret);
	return false;
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	if (end->routes && !receive_part(&end->from, block))
		return NULL;
	if (!receive_part(&end->message, block || end->routes))
		return NULL;
	if (zmq_msg_size(&end->message) != size)
		stage_refuse(end->worker, "%zu bytes", zmq_msg_size(&end->message));
	return zmq_msg_data(&end->message);
}

static void adapter_release(void *receiver)
{
	zmq_msg_close(&end->message);
}

LOOPS(call_round, peer_zeromq_call)

const struct adapter peer_zeromq_call = {
	.name = "zeromq-call",
	.setting = "ipc, REQ/REP (many in flight DEALER/ROUTER), sleeps",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_CALLS,
	.max_size = MESSAGE_MAX,
	.sleeps = true,
	.peer = true,
	.open_sender = open_server,
	.open_receiver = open_caller,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.round = call_round,
};
