/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by nng over ipc://: one at a time by req0 and rep0, many in flight by the same two as raw sockets, which
 * leave the header of a message to their user. The rest is as in nng.c.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define QUEUE       1024        /* messages */
#define REQUEST_BIT 0x80000000u /* ends a header */

struct nng_call_end {
	struct worker *worker;
	nng_socket socket;
	nng_msg *message;
	bool is_raw;
	/* A raw rep0's: says whose the request is that was taken last. */
	unsigned char from[64];
	size_t from_size;
};

static struct nng_call_end *end; /* this process' end */

static bool serves(const struct worker *worker)
{
	return worker->index >= worker->shape.senders;
}

static void open_end(struct worker *worker)
{
	char address[160];
	int r;

	end = peer_end_new(worker, sizeof(*end));
	end->worker = worker;
	end->is_raw = worker->shape.kind == SHAPE_CALLS;
	snprintf(address, sizeof(address), "ipc://%s/%s", worker->dir, worker->name);
	if (end->is_raw)
		r = serves(worker) ? nng_rep0_open_raw(&end->socket)
				   : nng_req0_open_raw(&end->socket);
	else
		r = serves(worker) ? nng_rep0_open(&end->socket) : nng_req0_open(&end->socket);
	if (r == 0 && end->is_raw) {
		nng_socket_set_int(end->socket, NNG_OPT_SENDBUF, QUEUE);
		nng_socket_set_int(end->socket, NNG_OPT_RECVBUF, QUEUE);
	}
	if (r == 0)
		r = serves(worker) ? nng_listen(end->socket, address, NULL, 0)
				   : nng_dial(end->socket, address, NULL, 0);
	if (r != 0)
		stage_refuse(worker, "%s: %s", address, nng_strerror(r));
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

static int write_header(nng_msg *message)
{
	if (!end->is_raw)
		return 0;
	return serves(end->worker) ? nng_msg_header_append(message, end->from, end->from_size)
				   : nng_msg_header_append_u32(message, REQUEST_BIT);
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	nng_msg *message;
	int r;

	if (nng_msg_alloc(&message, size) != 0 || write_header(message) != 0)
		bench_die("no memory");
	message_write(nng_msg_body(message), size, key);
	r = nng_sendmsg(end->socket, message, 0);
	if (r != 0)
		stage_refuse(end->worker, "nng_sendmsg: %s", nng_strerror(r));
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	int r = nng_recvmsg(end->socket, &end->message, block ? 0 : NNG_FLAG_NONBLOCK);

	if (r == NNG_EAGAIN)
		return NULL;
	if (r != 0)
		stage_refuse(end->worker, "nng_recvmsg: %s", nng_strerror(r));
	if (nng_msg_len(end->message) != size)
		stage_refuse(end->worker, "%zu bytes", nng_msg_len(end->message));
	end->from_size = nng_msg_header_len(end->message);
	if (end->from_size > sizeof(end->from))
		stage_refuse(end->worker, "a header of %zu bytes", end->from_size);
	memcpy(end->from, nng_msg_header(end->message), end->from_size);
	return nng_msg_body(end->message);
}

static void adapter_release(void *receiver)
{
	nng_msg_free(end->message);
}

LOOPS(call_round, peer_nng_call)

const struct adapter peer_nng_call = {
	.name = "nng-call",
	.setting = "ipc, req0/rep0 (many in flight raw ones), sleeps",
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
