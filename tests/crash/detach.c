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
 *   crash-detach subscriber|publisher [shared|sole]
 *
 * shared: of a topic with a shared ring, whose privileged publisher the victim is, and somebody else
 * publishes as well; sole: nobody else can, until the victim's place is free. There the points are the
 * instructions after which something outside of the victim differs (the region, or a system call was
 * made): all that lies between is gone with it. A second subscriber gets each message once.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/broker.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/crash_world.h"

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
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher; /* shared: there after the victim */
static struct kickmsg_subscriber *watcher;  /* shared ring alone */

/* Runs in the walker, before it is stepped. */
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

/* Steps to the next instruction of the library; with a shared ring, to the next one that changes
 * something outside. False: there is none. */
static bool step(struct crash_walk *walk)
{
	static unsigned char *then;
	const struct km_region *region = watcher ? &watcher->handle.place.region : NULL;
	const uint64_t calls = walk->calls;
	bool there, same = true;

	if (!region)
		return crash_walk_step(walk);
	then = realloc(then, region->control_size);
	memcpy(then, region->header, region->control_size);
	do {
		there = crash_walk_step(walk);
		/* the broker changes nothing before the victim's first call to it */
		if (walk->calls == 0)
			same = memcmp(then, region->header, region->control_size) == 0;
	} while (there && same && walk->calls == calls);
	return there;
}

static uint32_t count_pool(void)
{
	void *loans[POOL];
	uint32_t count = 0;

	while (count < POOL && kickmsg_loan(publisher, 4, &loans[count]) == 0)
		count++;
	for (uint32_t i = 0; i < count; i++)
		kickmsg_discard(publisher, loans[i]);
	return count;
}

static bool gets(struct kickmsg_subscriber *subscriber, const char *who, const char *what)
{
	char text[8] = "";
	ssize_t r = kickmsg_try_receive_copy(subscriber, text, sizeof text);

	return (r == 4 && strcmp(text, what) == 0) ||
	       crash_fail("the %s gets \"%s\" (%zd), not \"%s\"", who, text, r, what);
}

/* Shared ring: checks that a sole publisher's place is free, or that the publisher that is left
 * is privileged. */
static bool judge_heir(void)
{
	const struct km_region *region = &watcher->handle.place.region;

	if (!publisher &&
		!test_wait_until(
			kickmsg_advertise(client, "detach", &config, &publisher) == 0, PATIENCE_MS))
		return crash_fail("nobody can publish any more");
	return test_wait_until(
		       region->header->privileged == publisher->handle.place.id, PATIENCE_MS) ||
	       crash_fail("%u is privileged, not %u", region->header->privileged,
		       publisher->handle.place.id);
}

/* Shared ring: checks that each message came, once. */
static bool judge_watcher(void)
{
	return gets(watcher, "watcher", "one") && gets(watcher, "watcher", "two") &&
	       gets(watcher, "watcher", "new") &&
	       (kickmsg_subscriber_lost(watcher) == 0 || crash_fail("the watcher lost some"));
}

/* Checks that the victim's place as a subscriber is free, and the whole pool. */
static bool judge(void)
{
	struct kickmsg_subscriber *subscriber = NULL;

	if (watcher && !judge_heir())
		return false;
	if (!test_wait_until(
		    kickmsg_subscribe(client, "detach", NULL, &subscriber) == 0, PATIENCE_MS))
		return crash_fail("nobody can subscribe any more");
	bool good = test_wait_until(count_pool() == POOL, PATIENCE_MS) ||
		    crash_fail("%u of %u slots are free", count_pool(), (unsigned)POOL);
	good = good && (kickmsg_send(publisher, "new", 4) == 4 || crash_fail("no send"));
	good = good && gets(subscriber, "successor", "new") && (!watcher || judge_watcher());
	kickmsg_subscriber_free(subscriber);
	return good;
}

/* Kills a victim at the point. False: there is no such point. */
static bool try_point(const char *what, uint64_t point)
{
	struct victim victim = { .frees_publisher = strcmp(what, "publisher") == 0 };
	struct crash_walk walk;
	bool there = true;

	crash_walk_begin(&walk, prepare, run_free, &victim);
	if (watcher && crash_transport == CRASH_SHARED &&
		kickmsg_advertise(client, "detach", &config, &publisher) < 0)
		crash_fail("no second publisher");
	for (uint64_t i = 0; there && i <= point; i++)
		there = step(&walk);
	snprintf(crash_where, sizeof crash_where, "detach %s, instruction %lu at %#lx", what,
		walk.points, walk.pc);
	crash_walk_end(&walk);
	judge();
	if (watcher) {
		kickmsg_publisher_free(publisher);
		publisher = NULL;
	}
	return there;
}

static void set_up(struct test_broker *broker)
{
	kickmsg_topic_config_init(&config);
	config.max_subscribers = 1;
	config.ring_capacity = 2;
	config.pool_size = config.max_loans = POOL;
	config.max_payload_size = 64;
	if (crash_transport != CRASH_RINGS) {
		config.transport = KICKMSG_TRANSPORT_SHARED;
		config.max_publishers = crash_transport == CRASH_SOLE ? 1 : 2;
		config.max_subscribers = 2;
		config.ring_capacity = 4;
	}
	test_broker_start(broker, NULL);
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = crash_transport == CRASH_RINGS
			    ? kickmsg_advertise(client, "detach", &config, &publisher)
			    : kickmsg_subscribe_or_create(
				      client, "detach", &config, NULL, &watcher);
	if (r < 0)
		crash_fail("no broker: %d", r);
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	struct test_broker broker;
	uint64_t point = 0;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: crash-detach subscriber|publisher [shared|sole]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	if (argc > 2)
		crash_transport = crash_transport_of(argv[2]);
	set_up(&broker);
	while (crash_failures == 0 && try_point(argv[1], point))
		point++;
	kickmsg_publisher_free(publisher);
	kickmsg_subscriber_free(watcher);
	kickmsg_client_free(client);
	if (!test_broker_alive(&broker))
		crash_fail("the broker is gone");
	test_broker_stop(&broker);
	printf("detach of a %s from a broker%s%s: %lu points, %u failures\n", argv[1],
		argc > 2 ? ", " : "", argc > 2 ? argv[2] : "", point, crash_failures);
	return crash_failures > 0 || point == 0;
}
