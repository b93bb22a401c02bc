/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eclipse iceoryx by its C binding: chunks lent on both sides, no history, a queue of the most that
 * its build allows, the oldest pushed out. Receives are polled. Where no iox-roudi runs the row is n/a.
 * iox-roudi needs `--monitoring-mode off`: by default it removes a process whose second thread had no
 * CPU for 1.5 s, and pinned processes that poll leave it little. RouDi's chunks of 1 MiB are few by
 * default, so of such messages few are on their way.
 */
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/types.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define QUEUE 256
#define LOCK  "/tmp/iox-unique-roudi.lock" /* that iox-roudi has while it runs, of 2.0 on Linux */

struct iceoryx_end {
	struct worker *worker;
	iox_pub_storage_t publisher_storage;
	iox_sub_storage_t subscriber_storage;
	iox_pub_t publisher;
	iox_sub_t subscriber;
	const void *chunk; /* the chunk that was taken */
};

static bool has_runtime; /* of this process */

static struct iceoryx_end *open_end(
	struct worker *worker, unsigned channel, char *event, size_t size)
{
	struct iceoryx_end *end = peer_end_new(worker, sizeof(*end));
	char name[64];

	end->worker = worker;
	if (worker->shape.block)
		stage_refuse(worker, "it is polled here");
	if (access(LOCK, F_OK) < 0)
		stage_refuse(worker, "no iox-roudi runs");
	if (!has_runtime) {
		snprintf(name, sizeof(name), "kickmsg-bench-%d", (int)getpid());
		iox_set_loglevel(Iceoryx_LogLevel_Error); /* else it writes into the table */
		iox_runtime_init(name);
		has_runtime = true;
	}
	snprintf(event, size, "%s.%u", worker->name, channel);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	char event[64];
	struct iceoryx_end *end = open_end(worker, channel, event, sizeof(event));
	iox_pub_options_t options;

	iox_pub_options_init(&options);
	options.historyCapacity = 0;
	end->publisher = iox_pub_init(&end->publisher_storage, "kickmsg", "bench", event, &options);
	return end;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	char event[64];
	struct iceoryx_end *end = open_end(worker, channel, event, sizeof(event));
	iox_sub_options_t options;

	iox_sub_options_init(&options);
	options.queueCapacity = QUEUE;
	options.historyRequest = 0;
	end->subscriber = iox_sub_init(
		&end->subscriber_storage, "kickmsg", "bench", event, &options);
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct iceoryx_end *end = sender;
	void *payload;

	/* no chunk is free while receivers have them all */
	while (iox_pub_loan_chunk(end->publisher, &payload, size) != AllocationResult_SUCCESS)
		stage_look_for_end(end->worker);
	message_write(payload, size, key);
	iox_pub_publish_chunk(end->publisher, payload);
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct iceoryx_end *end = receiver;

	if (iox_sub_take_chunk(end->subscriber, &end->chunk) != ChunkReceiveResult_SUCCESS)
		return NULL;
	return end->chunk;
}

static void adapter_release(void *receiver)
{
	struct iceoryx_end *end = receiver;

	iox_sub_release_chunk(end->subscriber, end->chunk);
}

static void close_runtime(struct worker *worker)
{
	if (has_runtime)
		iox_runtime_shutdown();
}

LOOPS(iceoryx_round, peer_iceoryx)

const struct adapter peer_iceoryx = {
	.name = "iceoryx",
	.setting = "chunks lent, a queue of 256, polled; needs iox-roudi without monitoring",
	.shapes = PEER_ALL_SHAPES & ~(1 << SHAPE_WAKE),
	.max_size = MESSAGE_MAX,
	.needs_settling = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.close = close_runtime,
	.round = iceoryx_round,
};
