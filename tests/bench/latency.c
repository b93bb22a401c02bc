/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg ping-pongs: each side publishes to the topic that the other one subscribes to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kick.h"
#include "kickmsg.h"
#include "pair.h"

/* --- copied in, looked at in place; polling ------------------------------------------------------ */

static inline void receive_check(struct pair_worker *worker, struct kick_side *side, int timeout_ns)
{
	struct kickmsg_sample sample;
	uint64_t expected = side->received++;
	int r;

	if (timeout_ns == 0) {
		while ((r = kickmsg_try_receive(side->subscriber, &sample)) == -EAGAIN)
			;
	} else {
		r = kickmsg_receive(side->subscriber, timeout_ns, &sample);
	}
	if (r < 0)
		bench_die("receive: %s", kickmsg_strerror(r));
	if (sample.len != worker->load->size ||
		!pair_message_good(sample.data, worker->load->size, expected))
		bench_die("%s: message %llu is wrong", worker->load->name,
			(unsigned long long)expected);
	kickmsg_sample_release(&sample);
	worker->verified++;
}

static inline void send_copied(struct pair_worker *worker, struct kick_side *side)
{
	_Alignas(64) uint64_t words[PAIR_RING_CELL / 8];
	ssize_t r;

	pair_message_write(words, worker->load->size, side->sent++);
	r = kickmsg_send(side->publisher, words, worker->load->size);
	if (r < 0)
		bench_die("send: %s", kickmsg_strerror((int)r));
}

static inline void send_in_place(struct pair_worker *worker, struct kick_side *side)
{
	void *payload;
	int r = kickmsg_loan(side->publisher, worker->load->size, &payload);

	if (r < 0)
		bench_die("loan: %s", kickmsg_strerror(r));
	pair_message_write(payload, worker->load->size, side->sent++);
	r = kickmsg_publish(side->publisher, payload, worker->load->size);
	if (r < 0)
		bench_die("publish: %s", kickmsg_strerror(r));
}

static inline __attribute__((always_inline)) void ping_pong(struct pair_worker *worker,
	struct kick_side *side, unsigned count, struct histogram *times, int timeout_ns,
	void (*send)(struct pair_worker *worker, struct kick_side *side))
{
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		if (worker->side == 1)
			receive_check(worker, side, timeout_ns);
		send(worker, side);
		if (worker->side == 1)
			continue;
		receive_check(worker, side, timeout_ns);
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
}

static void polling_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	ping_pong(worker, state, count, times, 0, send_copied);
}

static void in_place_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	ping_pong(worker, state, count, times, 0, send_in_place);
}

static void blocking_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	ping_pong(worker, state, count, times, -1, send_copied);
}

static void *open_both(struct pair_worker *worker)
{
	return kick_open(worker, KICK_BOTH_WAYS, NULL);
}

static const struct pair_system kick_polling = { open_both, polling_round, kick_close };
static const struct pair_system kick_in_place = { open_both, in_place_round, kick_close };
static const struct pair_system kick_blocking = { open_both, blocking_round, kick_close };

/* --- 1 MiB in place: the same writes and reads, and the same flag back, as the bare buffer --------- */

static void *open_bulk(struct pair_worker *worker)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.max_payload_size = worker->load->size;
	config.max_subscribers = 1;
	config.max_publishers = 1;
	config.max_loans = 1;
	config.max_borrows = 1;
	config.ring_capacity = 4;
	config.pool_size = 16;
	return kick_open(worker, KICK_ONE_WAY, &config);
}

static void bulk_round(struct pair_worker *worker, void *state, unsigned count,
	struct histogram *times, double *ret_rate)
{
	_Atomic uint64_t *answer = &worker->board->line[PAIR_APART / 8];
	struct kick_side *side = state;
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		uint64_t at = ++worker->line_at;
		int r;

		if (worker->side == 1) {
			struct kickmsg_sample sample;

			while ((r = kickmsg_try_receive(side->subscriber, &sample)) == -EAGAIN)
				;
			if (r < 0)
				bench_die("receive: %s", kickmsg_strerror(r));
			if (sample.len != worker->load->size ||
				!pair_message_check(sample.data, sample.len, at))
				bench_die("%s: a message is wrong", worker->load->name);
			worker->verified++;
			kickmsg_sample_release(&sample);
			atomic_store_explicit(answer, at, memory_order_release);
			continue;
		}
		void *payload;

		r = kickmsg_loan(side->publisher, worker->load->size, &payload);
		if (r < 0)
			bench_die("loan: %s", kickmsg_strerror(r));
		pair_bulk_write(payload, worker->load->size, at);
		r = kickmsg_publish(side->publisher, payload, worker->load->size);
		if (r < 0)
			bench_die("publish: %s", kickmsg_strerror(r));
		while (atomic_load_explicit(answer, memory_order_acquire) != at)
			;
		uint64_t end = bench_ticks();
		histogram_add(times, end - start);
		start = end;
	}
}

static const struct pair_system kick_bulk = { open_bulk, bulk_round, kick_close };

static const struct pair_load loads[] = {
	{ "latency-8", "ns", 0.5, 0, 10000, 8, 0, 0, 3,
		{ { "floor", &pair_line, 0 }, { "floor-ring", &pair_ring_copy, 0 },
			{ "kickmsg-rings", &kick_polling, 0 } } },
	{ "latency-64", "ns", 0.5, 0, 10000, 64, 0, 0, 3,
		{ { "floor", &pair_line, 0 }, { "floor-ring", &pair_ring_copy, 0 },
			{ "kickmsg-rings", &kick_polling, 2.6 } } },
	{ "latency-64-zerocopy", "ns", 0.5, 0, 10000, 64, 0, 0, 2,
		{ { "floor", &pair_line, 0 }, { "kickmsg-rings", &kick_in_place, 0 } } },
	{ "latency-1k", "ns", 0.5, 0, 6000, 1024, 0, 0, 3,
		{ { "floor", &pair_ring_copy, 0 }, { "floor-line", &pair_line, 0 },
			{ "kickmsg-rings", &kick_polling, 0 } } },
	{ "latency-1m", "us", 1e-3, 0, 60, PAIR_BULK_SIZE, 0, 0, 2,
		{ { "floor", &pair_bulk, 0 }, { "kickmsg-rings", &kick_bulk, 1.1 } } },
	{ "blocking-64", "us", 0.5e-3, 0, 500, 64, 0, 0, 2,
		{ { "floor", &pair_futex, 0 }, { "kickmsg-rings", &kick_blocking, 1.3 } } },
};

void bench_latency(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(loads[i].name, load) == 0)
			pair_run(bench, &loads[i]);
}
