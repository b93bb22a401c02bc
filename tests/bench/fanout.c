/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one publish costs its publisher: bursts of half a ring, timed; then side 1 takes everything
 * through each of its subscribers, untimed. So the publisher finds lines that another CPU has used, as in
 * life, but never a full ring and never a sleeper. fanout-N: N live subscribers of 16 (48 where N needs
 * it); places-N: one live subscriber of N places.
 */
#include <errno.h>
#include <string.h>

#include "kick.h"

#define BURST (PAIR_RING_CELLS / 2)

static void *open_fanout(struct pair_worker *worker)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.max_subscribers = worker->load->max_subscribers;
	config.ring_capacity = PAIR_RING_CELLS;
	config.pool_size = 256;
	return kick_open(worker, KICK_FANOUT, &config);
}

static void burst_send(struct pair_worker *worker, struct kick_side *side, struct histogram *times)
{
	_Alignas(64) uint64_t words[PAIR_RING_CELL / 8];
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t r;

		pair_message_write(words, worker->load->size, side->sent++);
		r = kickmsg_send(side->publisher, words, worker->load->size);
		if (r < 0)
			bench_die("send: %s", kickmsg_strerror((int)r));
	}
	histogram_add(times, bench_ticks() - start);
}

static void burst_take(struct pair_worker *worker, struct kick_side *side)
{
	for (unsigned s = 0; s < worker->load->subscribers; s++) {
		for (unsigned i = 0; i < BURST; i++) {
			struct kickmsg_sample sample;
			int r = kickmsg_try_receive(side->subscribers[s], &sample);

			if (r < 0)
				bench_die("receive: %s", kickmsg_strerror(r));
			if (!pair_message_check(
				    sample.data, worker->load->size, side->received + i))
				bench_die("%s: a message is wrong", worker->load->name);
			kickmsg_sample_release(&sample);
			worker->verified++;
		}
	}
	side->received += BURST;
}

static void fanout_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	for (unsigned burst = 0; burst < count / BURST + 1; burst++) {
		if (worker->side == 0)
			burst_send(worker, state, times);
		pair_meet(worker);
		if (worker->side == 1)
			burst_take(worker, state);
		pair_meet(worker);
	}
}

static const struct pair_system kick_fanout = { open_fanout, fanout_round, kick_close };

#define FANOUT(name, live, places)                                                                 \
	{                                                                                          \
		name, "ns", 1.0 / BURST, 0, 200 * BURST, 64, live, places, 2,                      \
		{                                                                                  \
			{ "floor", &pair_ring_burst, 0 }, { "kickmsg-rings", &kick_fanout, 0 },    \
		}                                                                                  \
	}

static const struct pair_load loads[] = {
	FANOUT("fanout-0", 0, 16),
	FANOUT("fanout-1", 1, 16),
	FANOUT("fanout-4", 4, 16),
	FANOUT("fanout-15", 15, 16),
	FANOUT("places-1", 1, 1),
	FANOUT("places-16", 1, 16),
	FANOUT("places-48", 1, 48),
};

void bench_fanout(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(loads[i].name, load) == 0)
			pair_run(bench, &loads[i]);
}
