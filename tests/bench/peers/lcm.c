/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LCM over its udpm provider, multicast that stays on this host (ttl 0), with the receive buffer that
 * its manual advises. A message is what a handler is called with, and is copied out of there. Its own
 * thread reads the socket, so receives sleep. It may lose: streams are held by credit.
 */
#include <lcm/lcm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define SLEEP_MS 100

struct lcm_end {
	struct worker *worker;
	lcm_t *lcm;
	char channel[64];
	uint32_t got; /* bytes; 0: nothing yet */
	_Alignas(64) unsigned char message[];
};

static struct lcm_end *open_end(struct worker *worker, unsigned channel)
{
	struct lcm_end *end = peer_end_new(worker, sizeof(*end));

	end->worker = worker;
	end->lcm = lcm_create("udpm://239.255.76.67:7667?ttl=0&recv_buf_size=2097152");
	if (!end->lcm)
		stage_refuse(worker, "lcm_create fails: is there a multicast route?");
	snprintf(end->channel, sizeof(end->channel), "%s.%u", worker->name, channel);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	return open_end(worker, channel);
}

static void handle(const lcm_recv_buf_t *buffer, const char *channel, void *userdata)
{
	struct lcm_end *end = userdata;

	if (buffer->data_size == end->worker->shape.size)
		memcpy(end->message, buffer->data, buffer->data_size);
	end->got = buffer->data_size;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	struct lcm_end *end = open_end(worker, channel);
	lcm_subscription_t *subscription = lcm_subscribe(end->lcm, end->channel, handle, end);

	if (!subscription)
		stage_refuse(worker, "lcm_subscribe fails");
	lcm_subscription_set_queue_capacity(subscription, 4096);
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct lcm_end *end = sender;

	message_write(end->message, size, key);
	if (lcm_publish(end->lcm, end->channel, end->message, (unsigned)size) != 0)
		stage_refuse(end->worker, "lcm_publish fails");
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct lcm_end *end = receiver;

	end->got = 0;
	/* the call also returns for messages on the same address that aren't ours */
	if (lcm_handle_timeout(end->lcm, block ? SLEEP_MS : 0) <= 0 || end->got == 0)
		return NULL;
	if (end->got != size)
		stage_refuse(end->worker, "%u bytes", end->got);
	return end->message;
}

static void adapter_release(void *receiver)
{
}

LOOPS(lcm_round, peer_lcm)

const struct adapter peer_lcm = {
	.name = "lcm",
	.setting = "udpm, ttl 0, 2 MiB of receive buffer, sleeps",
	.shapes = PEER_ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.needs_settling = true,
	.sleeps = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.round = lcm_round,
};
