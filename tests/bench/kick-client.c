/* SPDX-License-Identifier: Apache-2.0 */
/* Makes clients, publishers and subscribers, or ends the process: see kick.h. */
#include "tests/bench/kick.h"

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
	return kick_subscriber_with(client, topic, NULL);
}

struct kickmsg_subscriber *kick_subscriber_with(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options)
{
	struct kickmsg_subscriber *subscriber;
	int r = kickmsg_subscribe(client, topic, options, &subscriber);

	if (r < 0)
		bench_die("subscribe to %s: %s (%s)", topic, kickmsg_strerror(r),
			kickmsg_client_last_error(client));
	return subscriber;
}
