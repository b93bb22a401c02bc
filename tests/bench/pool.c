/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost of a send when almost all slots of a pool are somebody's. They are held as loans of
 * other publishers; the sent message is taken at once, so the same number of slots is free at each
 * send.
 *
 *   pool-hot   the same slots are free all the time: the publisher's own, which it tries first
 *   pool-walk  others each time, anywhere in the pool: it must look for them
 *
 * All is in one process, so that no other CPU has the slots' words: what looking at them costs at
 * least.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/kick.h"

#define POOL_MAX 256 /* slots */
#define HELD_MAX 8   /* loans of a holder */
#define MESSAGE  64
#define WARM_UP  512 /* sends, to renew the publisher's memory */
#define SENDS    64  /* loans, at least */

struct pool {
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_publisher *holders[POOL_MAX]; /* each publisher has max_loans of held[] */
	void *held[POOL_MAX];                        /* null: the loan isn't held */
	unsigned order[POOL_MAX];                    /* shuffled indexes of held[] */
	uint64_t sequence;
	uint64_t verified;
};

static const struct {
	const char *system;
	unsigned free; /* slots */
} amounts[] = {
	{ "floor", POOL_MAX },
	{ "half-free", POOL_MAX / 2 },
	{ "8-free", 8 },
	{ "2-free", 2 },
	{ "1-free", 1 },
};

#define AMOUNT_COUNT (sizeof(amounts) / sizeof(amounts[0]))

static void open_pool(struct pool *pool, struct kickmsg_client *client)
{
	memset(pool, 0, sizeof(*pool));
	kickmsg_topic_config_init(&pool->config);
	pool->config.max_payload_size = MESSAGE;
	pool->config.pool_size = POOL_MAX;
	pool->config.max_loans = HELD_MAX;
	pool->config.max_publishers = POOL_MAX / HELD_MAX + 1;
	pool->publisher = kick_publisher(client, "pool", &pool->config);
	pool->subscriber = kick_subscriber(client, "pool");
	for (unsigned i = 0; i < POOL_MAX; i++) {
		pool->order[i] = i;
		if (i % pool->config.max_loans == 0)
			pool->holders[i / pool->config.max_loans] = kick_publisher(
				client, "pool", &pool->config);
	}
}

static struct kickmsg_publisher *holder_of(const struct pool *pool, unsigned index)
{
	return pool->holders[index / pool->config.max_loans];
}

/* Holds all slots but `count`, which are random. */
static void hold_all_but(struct pool *pool, unsigned count)
{
	for (unsigned i = 0; i < POOL_MAX; i++) {
		int r = pool->held[i] ? 0
				      : kickmsg_loan(holder_of(pool, i), MESSAGE, &pool->held[i]);

		if (r < 0)
			bench_die("loan %u of %u: %s", i, POOL_MAX, kickmsg_strerror(r));
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned other = i + (unsigned)random() % (POOL_MAX - i);
		unsigned chosen = pool->order[other];

		pool->order[other] = pool->order[i];
		pool->order[i] = chosen;
		if (kickmsg_discard(holder_of(pool, chosen), pool->held[chosen]) < 0)
			bench_die("loan %u isn't lent", chosen);
		pool->held[chosen] = NULL;
	}
}

/* Measures the ticks of a send. */
static uint64_t send_one(struct pool *pool)
{
	uint64_t words[MESSAGE / 8], key = message_key(0, pool->sequence++), start, ticks;
	struct kickmsg_sample sample;
	ssize_t sent;
	int r;

	message_write(words, sizeof(words), key);
	start = bench_ticks();
	sent = kickmsg_send(pool->publisher, words, sizeof(words));
	ticks = bench_ticks() - start;
	if (sent < 0)
		bench_die("send: %s", kickmsg_strerror((int)sent));
	r = kickmsg_try_receive(pool->subscriber, &sample);
	if (r < 0 || !message_good(sample.data, sizeof(words), key))
		bench_die("receive: %s", r < 0 ? kickmsg_strerror(r) : "not what was sent");
	kickmsg_sample_release(&sample);
	pool->verified++;
	return ticks;
}

/* Measures the ns of a send. If `walk`, other slots are held before each send. */
static double one_round(struct pool *pool, unsigned free, bool walk, double seconds)
{
	int64_t end = bench_now_ns() + (int64_t)(seconds * 1e9);
	uint64_t ticks = 0, count = 0;

	hold_all_but(pool, free);
	for (unsigned i = 0; i < WARM_UP + SENDS || bench_now_ns() < end; i++) {
		if (i == WARM_UP)
			ticks = count = 0;
		if (walk && free < POOL_MAX)
			hold_all_but(pool, free);
		ticks += send_one(pool);
		count++;
	}
	return (double)ticks * bench_ns_per_tick() / (double)count;
}

static void measure(struct bench *bench, struct pool *pool, const char *load, bool walk)
{
	static double values[AMOUNT_COUNT][BENCH_MAX_ROUNDS];
	unsigned rounds = bench->scale.rounds;

	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < AMOUNT_COUNT; i++)
			values[i][round] = one_round(
				pool, amounts[i].free, walk, bench->scale.round_seconds);
	for (size_t i = 0; i < AMOUNT_COUNT; i++) {
		struct bench_row *row = bench_row_new(
			&bench->report, load, amounts[i].system, "ns");
		double ratios[BENCH_MAX_ROUNDS];

		for (unsigned round = 0; round < rounds; round++)
			ratios[round] = values[i][round] / values[0][round];
		bench_row_values(row, values[i], rounds);
		row->ratio = bench_median(ratios, rounds);
		snprintf(row->note, sizeof(row->note), "a send, %u of %u slots free%s",
			amounts[i].free, POOL_MAX,
			amounts[i].free == POOL_MAX ? ""
			: walk                      ? ", others each time"
						    : ", its own");
	}
}

void bench_pool(struct bench *bench, const char *load)
{
	struct kickmsg_client *client = kick_client(bench->socket_path);
	static struct pool pool;
	char name[32];

	open_pool(&pool, client);
	snprintf(name, sizeof(name), "%s-hot", load);
	measure(bench, &pool, name, false);
	snprintf(name, sizeof(name), "%s-walk", load);
	measure(bench, &pool, name, true);
	bench->report.verified += pool.verified;
	kickmsg_client_free(client);
}
