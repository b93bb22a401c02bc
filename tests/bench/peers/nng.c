/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nng over ipc://: push0 and pull0 one to one and many to one, pub0 and sub0 one to many, with nng_msg,
 * which hands buffers over instead of copying them. Its own threads do the system calls, so receives sleep.
 */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define QUEUE 1024 /* messages; of large ones 16 */

struct nng_end {
	struct worker *worker;
	nng_socket socket;
	nng_msg *message;
};

static bool fans_out(const struct worker *worker)
{
	return worker->shape.receivers * worker->shape.ends != 1;
}

static void *open_end(
	struct worker *worker, unsigned channel, int (*make)(nng_socket *), bool bound)
{
	struct nng_end *end = peer_end_new(worker, sizeof(*end));
	char address[160];
	int r;

	end->worker = worker;
	r = make(&end->socket);
	if (r == 0) {
		int queue = worker->shape.size > 16384 ? 16 : QUEUE;

		/* pub and pull don't have both options, so errors don't matter */
		nng_socket_set_int(end->socket, NNG_OPT_SENDBUF, queue);
		nng_socket_set_int(end->socket, NNG_OPT_RECVBUF, queue);
		nng_socket_set_size(end->socket, NNG_OPT_RECVMAXSZ, 2 * MESSAGE_MAX);
		if (make == nng_sub0_open)
			r = nng_socket_set(end->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	}
	snprintf(address, sizeof(address), "ipc://%s/%s.%u", worker->dir, worker->name, channel);
	if (r == 0)
		r = bound ? nng_listen(end->socket, address, NULL, 0)
			  : nng_dial(end->socket, address, NULL, NNG_FLAG_NONBLOCK);
	if (r != 0)
		stage_refuse(worker, "%s: %s", address, nng_strerror(r));
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	bool fans = fans_out(worker);

	return open_end(worker, channel, fans ? nng_pub0_open : nng_push0_open, fans);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	bool fans = fans_out(worker);

	return open_end(worker, channel, fans ? nng_sub0_open : nng_pull0_open, !fans);
}

static void nng_adapter_send(void *sender, size_t size, uint64_t key)
{
	struct nng_end *end = sender;
	nng_msg *message;
	int r;

	if (nng_msg_alloc(&message, size) != 0)
		bench_die("no memory");
	message_write(nng_msg_body(message), size, key);
	r = nng_sendmsg(end->socket, message, 0);
	if (r != 0)
		stage_refuse(end->worker, "nng_sendmsg: %s", nng_strerror(r));
}

static const void *nng_adapter_take(void *receiver, size_t size, bool block)
{
	struct nng_end *end = receiver;
	int r = nng_recvmsg(end->socket, &end->message, block ? 0 : NNG_FLAG_NONBLOCK);

	if (r == NNG_EAGAIN)
		return NULL;
	if (r != 0)
		stage_refuse(end->worker, "nng_recvmsg: %s", nng_strerror(r));
	if (nng_msg_len(end->message) != size)
		stage_refuse(end->worker, "%zu bytes", nng_msg_len(end->message));
	return nng_msg_body(end->message);
}

static void nng_adapter_release(void *receiver)
{
	struct nng_end *end = receiver;

	nng_msg_free(end->message);
}

LOOPS(nng_round, peer_nng)

const struct adapter peer_nng = {
	.name = "nng",
	.setting = "ipc, push0/pull0 (to many pub0/sub0), sleeps",
	.shapes = PEER_ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.needs_settling = true,
	.sleeps = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = nng_adapter_send,
	.take = nng_adapter_take,
	.release = nng_adapter_release,
	.round = nng_round,
};
