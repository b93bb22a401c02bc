/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic for the page to show, until SIGTERM: a robot's topics, one of them with a subscriber that is too
 * slow, and names and texts that a page mustn't take for its own. Any error ends it with status 1 and a word.
 *
 *   traffic     KICKMSG_SOCKET says where the broker is
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/program.h"

#define TICK_NS 5000000L
#define EVIL    "<img src=x onerror=alert(1)>"

/* A publisher or a subscriber. It works once in so many ticks. */
struct party {
	const char *client, *topic;
	unsigned ticks, messages;
	bool subscribes;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
};

static struct party parties[] = {
	{ "camera", "camera/front", 4, 1, false, NULL, NULL },
	{ "camera", "camera/rear", 4, 1, false, NULL, NULL },
	{ "lidar", "points", 2, 1, false, NULL, NULL },
	{ "odometry", "odom", 1, 2, false, NULL, NULL },
	{ "planner", "plan", 20, 1, false, NULL, NULL },
	{ "planner", "odom", 1, 8, true, NULL, NULL },
	{ "planner", "points", 1, 8, true, NULL, NULL },
	{ "detector", "camera/front", 1, 8, true, NULL, NULL },
	{ "detector", "camera/rear", 1, 8, true, NULL, NULL },
	{ "slow recorder", "odom", 40, 8, true, NULL, NULL },
	{ "slow recorder", "points", 40, 40, true, NULL, NULL },
	{ "motors", "plan", 4, 8, true, NULL, NULL },
	{ EVIL, EVIL, 10, 1, false, NULL, NULL },
	{ EVIL, "plan", 10, 8, true, NULL, NULL },
};
#define PARTIES (sizeof parties / sizeof parties[0])

static struct kickmsg_client *clients[PARTIES];
static struct kickmsg_client *client_of(size_t i)
{
	struct kickmsg_client_config config = { .name = parties[i].client };

	for (size_t k = 0; k < i; k++)
		if (strcmp(parties[k].client, parties[i].client) == 0)
			return clients[k];
	must(kickmsg_client_new(&config, &clients[i]), "connect");
	return clients[i];
}

static void join(size_t i)
{
	struct party *party = &parties[i];
	struct kickmsg_client *client = client_of(i);
	struct kickmsg_schema schema = { .identity[0] = 1, .name = EVIL, .version = 3 };
	struct kickmsg_topic_config config;

	clients[i] = client;
	kickmsg_topic_config_init(&config);
	config.ring_capacity = 16;
	config.max_payload_size = 1024;
	config.transport = KICKMSG_TRANSPORT_RINGS;
	if (strcmp(party->topic, EVIL) == 0 || strcmp(party->topic, "odom") == 0)
		config.schema = &schema;
	if (party->subscribes)
		must(kickmsg_subscribe(client, party->topic, NULL, &party->subscriber),
			"subscribe");
	else
		must(kickmsg_advertise(client, party->topic, &config, &party->publisher),
			"advertise");
}

static void work(struct party *party)
{
	char text[1024] = { 0 };

	for (unsigned i = 0; i < party->messages; i++) {
		ssize_t r = party->subscribes
				    ? kickmsg_try_receive_copy(party->subscriber, text, sizeof text)
				    : kickmsg_send(party->publisher, text, 100);
		if (r == -EAGAIN)
			return;
	}
}

int main(void)
{
	const struct timespec tick = { 0, TICK_NS };

	until_sigterm();
	for (size_t i = 0; i < PARTIES; i++)
		join(i);
	for (unsigned long at = 0; !ending; at++) {
		for (size_t i = 0; i < PARTIES; i++) {
			if (at % 20 == 0 && clients[i])
				kickmsg_client_dispatch(clients[i]);
			if (at % parties[i].ticks == 0)
				work(&parties[i]);
		}
		nanosleep(&tick, NULL);
	}
	return EXIT_SUCCESS;
}
