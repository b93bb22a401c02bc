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
struct endpoint {
	const char *client, *topic;
	unsigned ticks, messages;
	bool subscribes;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
};

static struct endpoint endpoints[] = {
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
#define ENDPOINTS (sizeof endpoints / sizeof endpoints[0])

static struct kickmsg_client *clients[ENDPOINTS];
static struct kickmsg_client *client_of(size_t i)
{
	struct kickmsg_client_config config = { .name = endpoints[i].client };

	for (size_t k = 0; k < i; k++)
		if (strcmp(endpoints[k].client, endpoints[i].client) == 0)
			return clients[k];
	must(kickmsg_client_new(&config, &clients[i]), "connect");
	return clients[i];
}

static void join(size_t i)
{
	struct endpoint *endpoint = &endpoints[i];
	struct kickmsg_client *client = client_of(i);
	struct kickmsg_schema schema = { .identity[0] = 1, .name = EVIL, .version = 3 };
	struct kickmsg_topic_config config;

	clients[i] = client;
	kickmsg_topic_config_init(&config);
	config.ring_capacity = 16;
	config.max_payload_size = 1024;
	config.transport = KICKMSG_TRANSPORT_RINGS;
	if (strcmp(endpoint->topic, EVIL) == 0 || strcmp(endpoint->topic, "odom") == 0)
		config.schema = &schema;
	if (endpoint->subscribes)
		must(kickmsg_subscribe(client, endpoint->topic, NULL, &endpoint->subscriber),
			"subscribe");
	else
		must(kickmsg_advertise(client, endpoint->topic, &config, &endpoint->publisher),
			"advertise");
}

static void work(struct endpoint *endpoint)
{
	char text[1024] = { 0 };

	for (unsigned i = 0; i < endpoint->messages; i++) {
		ssize_t r = endpoint->subscribes ? kickmsg_try_receive_copy(
							   endpoint->subscriber, text, sizeof text)
						 : kickmsg_send(endpoint->publisher, text, 100);
		if (r == -EAGAIN)
			return;
	}
}

int main(void)
{
	const struct timespec tick = { 0, TICK_NS };

	until_sigterm();
	for (size_t i = 0; i < ENDPOINTS; i++)
		join(i);
	for (unsigned long at = 0; !ending; at++) {
		for (size_t i = 0; i < ENDPOINTS; i++) {
			if (at % 20 == 0 && clients[i])
				kickmsg_client_dispatch(clients[i]);
			if (at % endpoints[i].ticks == 0)
				work(&endpoints[i]);
		}
		nanosleep(&tick, NULL);
	}
	return EXIT_SUCCESS;
}
