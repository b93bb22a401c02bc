/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls behind the adapter: workers that send are callers, the last one serves. A caller's message is a
 * request and what it takes is the reply; the server takes requests, and what it sends is the reply to the
 * one that it took last.
 */
#include <errno.h>
#include <stdlib.h>

#include "libclient/kickmsg-service.h"
#include "tests/bench/kick.h"
#include "tests/bench/loops.h"

#define OPEN_NS INT64_C(10000000000)

struct call_end {
	struct kickmsg_server *server;
	struct kickmsg_caller *caller;
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	int64_t timeout_ns; /* number of a call; -1: none */
	_Alignas(64) unsigned char copy[MESSAGE_MAX];
};

static struct kickmsg_client *client; /* this process' end */
static struct call_end *end;

static bool serves(const struct worker *worker)
{
	return worker->index >= worker->shape.senders;
}

/* The server makes the service before any caller opens it. */
static void *open_server(struct worker *worker, unsigned channel)
{
	struct kickmsg_service_config config;

	end = aligned_alloc(64, sizeof(*end));
	if (!end)
		bench_die("no memory");
	*end = (struct call_end){ .timeout_ns = worker->adapter == &kick_call_timed ? OPEN_NS
										    : -1 };
	client = kick_client(worker->socket_path);
	if (!serves(worker))
		return end;
	kickmsg_service_config_init(&config);
	config.max_calls = SHAPE_CALLS_WINDOW;
	config.max_request_size = config.max_reply_size = worker->shape.size;
	config.transport = worker->adapter->variant;
	if (kickmsg_serve(client, worker->name, &config, &end->server) < 0)
		bench_die("serve: %s", kickmsg_client_last_error(client));
	return end;
}

/* A server answers newcomers until all callers are there. */
static void *open_caller(struct worker *worker, unsigned channel, unsigned index)
{
	const struct kickmsg_caller_options options = { .wait_ns = OPEN_NS };
	_Atomic uint32_t *there = &worker->stage->taken;

	if (!serves(worker)) {
		if (kickmsg_open_service(client, worker->name, &options, &end->caller) < 0)
			bench_die("open: %s", kickmsg_client_last_error(client));
		atomic_fetch_add(there, 1);
		return end;
	}
	while (atomic_load(there) < worker->shape.senders)
		if (kickmsg_take_request(end->server, 100000, &end->request) == 0)
			bench_die("a request before its time");
	atomic_store(there, 0);
	return end;
}

static void send_copied(void *sender, size_t size, uint64_t key)
{
	uint64_t id;
	int r;

	message_write(end->copy, size, key);
	r = end->server ? kickmsg_reply(&end->request, end->copy, size)
			: kickmsg_call_begin(end->caller, end->copy, size, end->timeout_ns, &id);
	if (r < 0)
		bench_die("%s: %s", end->server ? "reply" : "call", kickmsg_strerror(r));
}

static void send_in_place(void *sender, size_t size, uint64_t key)
{
	void *room;
	uint64_t id;
	int r = end->server ? kickmsg_reply_loan(&end->request, size, &room)
			    : kickmsg_call_loan(end->caller, size, &room);

	if (r < 0)
		bench_die("loan: %s", kickmsg_strerror(r));
	message_write(room, size, key);
	r = end->server ? kickmsg_reply_publish(&end->request, room, size, 0)
			: kickmsg_call_publish(end->caller, room, size, end->timeout_ns, &id);
	if (r < 0)
		bench_die("%s: %s", end->server ? "reply" : "call", kickmsg_strerror(r));
}

static const void *take(void *receiver, size_t size, bool block)
{
	const int64_t timeout_ns = block ? -1 : 0;
	int r = end->server ? kickmsg_take_request(end->server, timeout_ns, &end->request)
			    : kickmsg_take_reply(end->caller, timeout_ns, &end->reply);

	if (r == -EAGAIN)
		return NULL;
	if (r == 0 && !end->server)
		r = end->reply.error;
	if (r < 0)
		bench_die("take: %s", kickmsg_strerror(r));
	if ((end->server ? end->request.len : end->reply.len) != size)
		bench_die("not %zu bytes", size);
	return end->server ? end->request.data : end->reply.data;
}

/* A server's request is released with its reply. */
static void release(void *receiver)
{
	if (!end->server)
		kickmsg_reply_release(&end->reply);
}

static void close_client(struct worker *worker)
{
	kickmsg_client_free(client);
}

LOOPS(call_round, kick_call)
LOOPS(timed_round, kick_call_timed)
LOOPS(rings_round, kick_call_rings)

#define KICK_CALL(label, text, transport, sends, rounds)                                           \
	{                                                                                          \
		.name = label, .setting = text, .shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_CALLS, \
		.max_size = MESSAGE_MAX, .exact = true, .variant = transport,                      \
		.open_sender = open_server, .open_receiver = open_caller, .send = sends,           \
		.take = take, .release = release, .close = close_client, .round = rounds           \
	}

const struct adapter kick_call = KICK_CALL(
	"kickmsg-call", "copied in and out", KICKMSG_TRANSPORT_SHARED, send_copied, call_round);
const struct adapter kick_call_timed = KICK_CALL("kickmsg-call-timed", "the same with a deadline",
	KICKMSG_TRANSPORT_SHARED, send_copied, timed_round);
const struct adapter kick_call_rings = KICK_CALL(
	"kickmsg-call-rings", "in place", KICKMSG_TRANSPORT_RINGS, send_in_place, rings_round);
