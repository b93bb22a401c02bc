/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A newcomer gets the last 16 messages of 1 MiB. Its floor is a newcomer to the same topic without history.
 * The two are taken in turns.
 *
 *   history-attach   the subscribe
 *   history-take     until it holds the 16 messages: of the floor those that were sent since by its ring.
 *                    Either has not touched their pages before, so both meet as many page faults.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/kick.h"

#define HISTORY   16
#define BYTES     MESSAGE_MAX
#define POOL      40
#define MAX_TURNS 1000
#define GOAL      1.2

enum side { WITHOUT, WITH, SIDES };
enum part { ATTACH, TAKE, PARTS };

static const char *const topics[SIDES] = { "history.none", "history.16" };

struct stand {
	struct kickmsg_client *publishing, *subscribing;
	struct kickmsg_publisher *publishers[SIDES];
	double took[PARTS][SIDES][MAX_TURNS]; /* us */
};

/* Sends the history's messages. Only the two ends of each are written. */
static void send_all(struct kickmsg_publisher *publisher)
{
	for (uint64_t i = 0; i < HISTORY; i++) {
		const size_t last = BYTES / sizeof(uint64_t) - 1;
		void *payload;
		int r = kickmsg_loan(publisher, BYTES, &payload);

		if (r == 0) {
			((uint64_t *)payload)[0] = i;
			((uint64_t *)payload)[last] = i + last;
			r = kickmsg_publish(publisher, payload, BYTES);
		}
		if (r < 0)
			bench_die("history: %s", kickmsg_strerror(r));
	}
}

/* Makes a side's topic. Both topics have one shape and size; only one has history. */
static struct kickmsg_publisher *start(struct stand *stand, enum side side)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.max_payload_size = BYTES;
	config.ring_capacity = HISTORY;
	config.max_borrows = HISTORY;
	config.max_subscribers = 2;
	config.max_publishers = 1;
	config.pool_size = POOL;
	config.history = side == WITH ? HISTORY : 0;
	return kick_publisher(stand->publishing, topics[side], &config);
}

/* Waits until the broker is done with the last subscriber, whose end would else be in the next
 * one's time. */
static void let_rest(struct stand *stand, enum side side)
{
	struct kickmsg_topic_ref ref = { .name = topics[side] };
	struct kickmsg_topic_info info;
	int64_t end = bench_now_ns() + INT64_C(1000000000);

	while (kickmsg_topic_get_info(stand->subscribing, &ref, &info) == 0 && info.subscribers > 0)
		if (bench_now_ns() > end)
			bench_die("the broker still has a subscriber of %s", topics[side]);
}

static void check(struct bench *bench, struct kickmsg_sample *samples, int count)
{
	if (count != HISTORY)
		bench_die("history: %d messages", count);
	for (int i = 0; i < count; i++) {
		if (samples[i].len != BYTES ||
			!message_good_ends(samples[i].data, BYTES, (uint64_t)i))
			bench_die("history: message %d is wrong", i);
		kickmsg_sample_release(&samples[i]);
		bench->report.verified++;
	}
}

static void take_turn(struct bench *bench, struct stand *stand, enum side side, unsigned turn)
{
	const double us = bench_ns_per_tick() / 1e3;
	struct kickmsg_sample samples[HISTORY];
	int count = 0;
	uint64_t begun = bench_ticks();
	struct kickmsg_subscriber *subscriber = kick_subscriber(stand->subscribing, topics[side]);
	uint64_t attached = bench_ticks();

	if (side == WITHOUT)
		send_all(stand->publishers[side]);
	uint64_t sent = bench_ticks();
	while (count < HISTORY && kickmsg_try_receive(subscriber, &samples[count]) == 0)
		count++;
	uint64_t taken = bench_ticks();
	stand->took[ATTACH][side][turn] = (double)(attached - begun) * us;
	stand->took[TAKE][side][turn] = (double)(taken - sent) * us;
	check(bench, samples, count);
	kickmsg_subscriber_free(subscriber);
	let_rest(stand, side);
}

static void add_rows(struct bench *bench, const char *load, double took[SIDES][MAX_TURNS],
	unsigned count, const double *probes)
{
	double ratios[MAX_TURNS];

	for (unsigned i = 0; i < count; i++)
		ratios[i] = took[WITH][i] / took[WITHOUT][i];
	for (unsigned side = 0; side < SIDES; side++) {
		struct bench_row *row = bench_row_new(
			&bench->report, load, side == WITH ? "kickmsg-rings" : "floor", "us");

		bench_row_values(row, took[side], count);
		row->ratio = side == WITH ? bench_median(ratios, count) : 1;
		row->goal = side == WITH ? GOAL : 0;
		row->noisy = stage_probes_differ(probes[0], probes[1]);
		bench_median(took[side], count); /* sorts them */
		row->p99 = took[side][count * 99 / 100];
		bench_row_note(row, "%s; line %.0f/%.0f ns",
			side == WITH ? "history of 16 of 1 MiB, in place" : "without history",
			probes[0], probes[1]);
	}
}

void bench_history(struct bench *bench, const char *load)
{
	struct stand *stand = calloc(1, sizeof(*stand));
	unsigned count = bench->scale.attaches < MAX_TURNS ? bench->scale.attaches : MAX_TURNS;
	double probes[2] = { stage_probe(bench) };

	if (!stand)
		bench_die("no memory");
	stand->publishing = kick_client(bench->socket_path);
	stand->subscribing = kick_client(bench->socket_path);
	for (unsigned side = 0; side < SIDES; side++) {
		stand->publishers[side] = start(stand, side);
		send_all(stand->publishers[side]);
		take_turn(bench, stand, side, 0); /* the first one meets cold memory */
	}
	for (unsigned i = 0; i < count; i++)
		for (unsigned side = 0; side < SIDES; side++)
			take_turn(bench, stand, side, i);
	probes[1] = stage_probe(bench);
	kickmsg_client_free(stand->subscribing);
	kickmsg_client_free(stand->publishing);
	add_rows(bench, "history-attach", stand->took[ATTACH], count, probes);
	add_rows(bench, "history-take", stand->took[TAKE], count, probes);
	free(stand);
}
