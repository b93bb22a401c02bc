/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a client of a real kickmsgd at every instruction of the library in
 * kickmsg_subscriber_free() and kickmsg_publisher_free(): giving back, unmapping, and the talk with
 * the broker.
 *
 * The victim is publisher and only subscriber of a topic that has place for one; it has a sample, a
 * loan and messages in its ring. Whenever it dies, the broker must give back all of it by itself:
 * then another one can subscribe, and take the whole pool. The library doesn't let its mappings be
 * inherited, so there are no copies of a walker: each point has one of its own.
 *
 *   crash-detach subscriber|publisher
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kickmsg.h"
#include "support/broker.h"
#include "support/crash_step.h"
#include "support/crash_world.h"

enum { POOL = 8, PATIENCE_MS = 30000 };

struct victim {
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	void *loan;
	bool frees_publisher;
};

static struct kickmsg_topic_config config;

/* In the walker, before it is stepped. */
static void prepare(void *arg)
{
	struct victim *victim = arg;

	if (kickmsg_client_new(NULL, &victim->client) < 0 ||
		kickmsg_advertise(victim->client, "detach", &config, &victim->publisher) < 0 ||
		kickmsg_subscribe(victim->client, "detach", NULL, &victim->subscriber) < 0 ||
		kickmsg_send(victim->publisher, "one", 4) < 0 ||
		kickmsg_send(victim->publisher, "two", 4) < 0 ||
		kickmsg_try_receive(victim->subscriber, &victim->sample) < 0 ||
		kickmsg_loan(victim->publisher, 4, &victim->loan) < 0)
		_exit(4);
}

static CRASH_OP void run_free(void *arg)
{
	struct victim *victim = arg;

	if (victim->frees_publisher)
		kickmsg_publisher_free(victim->publisher);
	else
		kickmsg_subscriber_free(victim->subscriber);
}

static uint32_t count_pool(struct kickmsg_publisher *publisher)
{
	void *loans[POOL];
	uint32_t count = 0;

	while (count < POOL && kickmsg_loan(publisher, 4, &loans[count]) == 0)
		count++;
	for (uint32_t i = 0; i < count; i++)
		kickmsg_discard(publisher, loans[i]);
	return count;
}

/* The only place for a subscriber is free, and the whole pool. */
static bool judge(struct kickmsg_client *client, struct kickmsg_publisher *publisher)
{
	struct kickmsg_subscriber *subscriber = NULL;
	char text[8] = "";

	if (!test_wait_until(
		    kickmsg_subscribe(client, "detach", NULL, &subscriber) == 0, PATIENCE_MS))
		return crash_fail("nobody can subscribe any more");
	bool good = test_wait_until(count_pool(publisher) == POOL, PATIENCE_MS) ||
		    crash_fail("%u of %u slots are free", count_pool(publisher), (unsigned)POOL);
	if (good && (kickmsg_send(publisher, "new", 4) != 4 ||
			    kickmsg_try_receive_copy(subscriber, text, sizeof text) != 4 ||
			    strcmp(text, "new") != 0))
		good = crash_fail("the successor gets \"%s\"", text);
	kickmsg_subscriber_free(subscriber);
	return good;
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	struct kickmsg_client *client = NULL;
	struct kickmsg_publisher *publisher = NULL;
	struct test_broker broker;
	bool there = true;
	uint64_t point = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: crash-detach subscriber|publisher\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	kickmsg_topic_config_init(&config);
	config.max_subscribers = 1;
	config.ring_capacity = 2;
	config.pool_size = config.max_loans = POOL;
	config.max_payload_size = 64;
	test_broker_start(&broker, NULL);
	if (kickmsg_client_new(NULL, &client) < 0 ||
		kickmsg_advertise(client, "detach", &config, &publisher) < 0)
		crash_fail("no broker");
	while (there && crash_failures == 0) {
		struct victim victim = { .frees_publisher = strcmp(argv[1], "publisher") == 0 };
		struct crash_walk walk;

		crash_walk_begin(&walk, prepare, run_free, &victim);
		while (there && walk.points <= point)
			there = crash_walk_step(&walk);
		snprintf(crash_where, sizeof crash_where, "detach %s, instruction %lu at %#lx",
			argv[1], walk.points, walk.pc);
		crash_walk_end(&walk);
		judge(client, publisher);
		point = walk.points;
	}
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
	if (!test_broker_alive(&broker))
		crash_fail("the broker is gone");
	test_broker_stop(&broker);
	printf("detach of a %s from a broker: %lu points, %u failures\n", argv[1], point,
		crash_failures);
	return crash_failures > 0 || point == 0;
}
