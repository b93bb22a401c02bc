/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry of many to one: kickmsg-recipes(7). Any number of publishers write into the one ring that all
 * share, and a publisher's own numbers tell what of it was lost.
 */
#include <kickmsg.h>
#include <stdio.h>

#include "output.h"

enum { SENSORS = 100, READINGS = 10 };

static int run(struct kickmsg_client *client, int *ret_received, int *ret_lost)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *sensors[SENSORS];
	struct kickmsg_subscriber *collector;
	double value;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_publishers = SENSORS;
	config.max_subscribers = 4;
	config.ring_capacity = 1024; /* all that comes while the collector is elsewhere */
	config.max_payload_size = sizeof value;
	int r = kickmsg_subscribe_or_create(client, "telemetry", &config, NULL, &collector);
	for (int i = 0; r == 0 && i < SENSORS; i++)
		r = kickmsg_advertise(client, "telemetry", &config, &sensors[i]);
	for (int i = 0; r == 0 && i < SENSORS * READINGS; i++) {
		value = i;
		ssize_t n = kickmsg_send(sensors[i % SENSORS], &value, sizeof value);
		r = n < 0 ? (int)n : 0;
	}
	while (r == 0 && kickmsg_try_receive_copy(collector, &value, sizeof value) >= 0)
		++*ret_received;
	if (r == 0)
		*ret_lost = (int)kickmsg_subscriber_lost(collector);
	return r;
}

int main(void)
{
	struct kickmsg_client *client = NULL;
	int received = 0, lost = 0;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = run(client, &received, &lost);
	if (r == 0)
		printf("%d sensors, %d readings received, %d lost\n", SENSORS, received, lost);
	else
		fprintf(stderr, "recipe_telemetry: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return output_end("recipe_telemetry", r < 0);
}
