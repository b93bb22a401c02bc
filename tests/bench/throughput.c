/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flood, one to one: side 0 sends as fast as it can and never waits, side 1 takes what it can and counts what
 * it lost. The figure is what arrived. received + lost = sent is checked in every round.
 */
#include <errno.h>
#include <string.h>

#include "kick.h"

static void flood_send(struct pair_worker *worker, struct kick_side *side, unsigned count)
{
	_Alignas(64) uint64_t words[PAIR_RING_CELL / 8];

	for (unsigned i = 0; i < count; i++) {
		ssize_t r;

		pair_message_write(words, worker->load->size, side->sent++);
		r = kickmsg_send(side->publisher, words, worker->load->size);
		if (r < 0)
			bench_die("send: %s", kickmsg_strerror((int)r));
	}
	atomic_store_explicit(&worker->board->done, side->sent, memory_order_release);
}

static void flood_receive(
	struct pair_worker *worker, struct kick_side *side, unsigned count, double *ret_rate)
{
	uint64_t end_of_round = side->sent + count, start = 0, last = 0, received = 0;
	size_t size = worker->load->size;

	for (;;) {
		struct kickmsg_sample sample;
		bool all_sent = atomic_load_explicit(&worker->board->done, memory_order_acquire) ==
				end_of_round;
		int r = kickmsg_try_receive(side->subscriber, &sample);

		if (r == -EAGAIN && all_sent)
			break;
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			bench_die("receive: %s", kickmsg_strerror(r));
		if (sample.len != size ||
			!pair_message_good(sample.data, size, sample.publisher_sequence - 1))
			bench_die("%s: a message is wrong", worker->load->name);
		kickmsg_sample_release(&sample);
		last = bench_ticks();
		if (received++ == 0)
			start = last;
	}
	uint64_t lost = kickmsg_subscriber_lost(side->subscriber);

	side->received += received;
	side->sent = end_of_round;
	if (side->received + lost != end_of_round)
		bench_die("%s: received %llu + lost %llu != sent %llu", worker->load->name,
			(unsigned long long)side->received, (unsigned long long)lost,
			(unsigned long long)end_of_round);
	worker->verified += received;
	*ret_rate = last > start ? (double)(received - 1) * 1e3 /
					   ((double)(last - start) * bench_ns_per_tick())
				 : 0;
	/* the last system of the load is this one */
	struct pair_result *result = &worker->board->results[worker->load->system_count - 1];

	result->sent = side->sent;
	result->received = side->received;
	result->lost = lost;
}

static void flood_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	if (worker->side == 0)
		flood_send(worker, state, count);
	else
		flood_receive(worker, state, count, ret_rate);
}

static void *open_one_way(struct pair_worker *worker)
{
	return kick_open(worker, KICK_ONE_WAY, NULL);
}

static const struct pair_system kick_flood = { open_one_way, flood_round, kick_close };

static const struct pair_load loads[] = {
	{ "throughput-64", "M/s", 0, 1, 60000, 64, 0, 0, 2,
		{ { "floor", &pair_ring_flood, 0 }, { "kickmsg-rings", &kick_flood, 0 } } },
};

void bench_throughput(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(loads[i].name, load) == 0)
			pair_run(bench, &loads[i]);
}
