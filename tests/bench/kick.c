/* SPDX-License-Identifier: Apache-2.0 */
/* Setting up a worker's clients: see kick.h. */
#include <stdio.h>
#include <stdlib.h>

#include "kick.h"

struct kickmsg_client *kick_client(const char *socket_path)
{
	struct kickmsg_client_config config = { .socket_path = socket_path };
	struct kickmsg_client *client;
	int r = kickmsg_client_new(&config, &client);

	if (r < 0)
		bench_die("connect to %s: %s", socket_path, kickmsg_strerror(r));
	return client;
}

struct kickmsg_publisher *kick_publisher(
	struct kickmsg_client *client, const char *topic, const struct kickmsg_topic_config *config)
{
	struct kickmsg_publisher *publisher;
	int r = kickmsg_advertise(client, topic, config, &publisher);

	if (r < 0)
		bench_die("advertise %s: %s (%s)", topic, kickmsg_strerror(r),
			kickmsg_client_last_error(client));
	return publisher;
}

struct kickmsg_subscriber *kick_subscriber(struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_subscriber *subscriber;
	int r = kickmsg_subscribe(client, topic, NULL, &subscriber);

	if (r < 0)
		bench_die("subscribe to %s: %s (%s)", topic, kickmsg_strerror(r),
			kickmsg_client_last_error(client));
	return subscriber;
}

struct kick_side *kick_open(
	struct pair_worker *worker, enum kick_ways ways, const struct kickmsg_topic_config *config)
{
	unsigned count = ways == KICK_FANOUT ? worker->load->subscribers : 1;
	struct kick_side *side = calloc(1, sizeof(*side));
	char topic[64];

	if (!side)
		bench_die("no memory");
	side->client = kick_client(worker->socket_path);
	snprintf(topic, sizeof(topic), "%s.%u", worker->load->name, worker->side);
	if (ways == KICK_BOTH_WAYS || worker->side == 0)
		side->publisher = kick_publisher(side->client, topic, config);
	pair_meet(worker);
	snprintf(topic, sizeof(topic), "%s.%u", worker->load->name, 1 - worker->side);
	if (ways == KICK_BOTH_WAYS || worker->side == 1)
		for (unsigned i = 0; i < count; i++)
			side->subscribers[i] = kick_subscriber(side->client, topic);
	side->subscriber = side->subscribers[0];
	pair_meet(worker);
	return side;
}

void kick_close(struct pair_worker *worker, void *state)
{
	struct kick_side *side = state;

	kickmsg_client_free(side->client);
	free(side);
}
