/* SPDX-License-Identifier: Apache-2.0 */
/* Fast DDS behind the adapter: see fastdds_shim.cpp for how it is set. Receives wait for its own thread. */
#include <stdio.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/fastdds_shim.h"
#include "tests/bench/peers/peers.h"

#define DOMAINS       200
#define LOAN_TRIES    20000
#define LOAN_PAUSE_US 50
#define DEPTH         128 /* samples that a history keeps; of large ones 16 */

struct fastdds_end {
	struct worker *worker;
	void *endpoint;
};

/* Stages of other systems and runs must not be discovered. */
static unsigned domain_of(const struct worker *worker)
{
	unsigned hash = 0;

	for (const char *c = worker->name; *c; c++)
		hash = hash * 31 + (unsigned char)*c;
	return 1 + hash % DOMAINS;
}

static struct fastdds_end *open_end(struct worker *worker, unsigned channel,
	void *(*make)(unsigned domain, const char *topic, size_t size, int depth))
{
	struct fastdds_end *end = peer_end_new(worker, sizeof(*end));
	char topic[64];

	snprintf(topic, sizeof(topic), "%s.%u", worker->name, channel);
	end->worker = worker;
	end->endpoint = make(domain_of(worker), topic, worker->shape.size,
		worker->shape.size > 16384 ? 16 : DEPTH);
	if (!end->endpoint)
		stage_refuse(worker, "no participant, topic or endpoint");
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	return open_end(worker, channel, fastdds_writer_new);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	return open_end(worker, channel, fastdds_reader_new);
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct fastdds_end *end = sender;
	void *sample;

	/* all samples may be out until the library's threads have heard of those that were taken */
	for (unsigned i = 0; !(sample = fastdds_loan(end->endpoint)); i++) {
		if (i == LOAN_TRIES)
			stage_refuse(end->worker, "no sample is lent");
		usleep(LOAN_PAUSE_US);
	}
	message_write(sample, size, key);
	if (fastdds_write(end->endpoint, sample) < 0)
		stage_refuse(end->worker, "write fails");
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct fastdds_end *end = receiver;

	return fastdds_take(end->endpoint, block);
}

static void adapter_release(void *receiver)
{
	struct fastdds_end *end = receiver;

	fastdds_release(end->endpoint);
}

static void adapter_close(struct worker *worker)
{
	fastdds_end();
}

LOOPS(fastdds_round, peer_fastdds)

const struct adapter peer_fastdds = {
	.name = "fastdds",
	.setting = "data sharing, lent samples, reliable, sleeps",
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
	.close = adapter_close,
	.round = fastdds_round,
};
