/* SPDX-License-Identifier: Apache-2.0 */
/* The last value for those who come later: kickmsg-recipes(7). The publisher may be gone by then. */
#include <kickmsg.h>
#include <stdio.h>

#include "output.h"

static int gain;

/* The topic of a next broker is empty, where nobody has kept that of the one before. So a publisher that stays
 * says its value again. */
static void on_event(void *userdata, const struct kickmsg_event *event)
{
	if (event->kind == KICKMSG_EVENT_REJOINED && event->publisher)
		kickmsg_send(event->publisher, &gain, sizeof gain);
}

static int set(struct kickmsg_client *client)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;

	kickmsg_topic_config_latched(&config);
	config.max_payload_size = sizeof gain;
	int r = kickmsg_advertise(client, "gain", &config, &publisher);
	if (r < 0)
		return r;
	ssize_t n = kickmsg_send(publisher, &gain, sizeof gain);
	kickmsg_publisher_free(publisher);
	return n < 0 ? (int)n : 0;
}

static int get(struct kickmsg_client *client, int *ret)
{
	struct kickmsg_subscriber *subscriber;
	int r = kickmsg_subscribe(client, "gain", NULL, &subscriber);

	if (r < 0)
		return r;
	ssize_t n = kickmsg_try_receive_copy(subscriber, ret, sizeof *ret);
	kickmsg_subscriber_free(subscriber);
	return n < 0 ? (int)n : 0;
}

int main(void)
{
	const struct kickmsg_client_config config = { .on_event = on_event };
	struct kickmsg_client *client = NULL;
	int got = 0;

	output_begin();
	int r = kickmsg_client_new(&config, &client);
	for (gain = 10; r == 0 && gain <= 30; gain += 10)
		r = set(client);
	if (r == 0)
		r = get(client, &got);
	if (r == 0)
		r = kickmsg_unlink_topic(client, "gain"); /* it is persistent */
	if (r == 0)
		printf("the gain is %d\n", got);
	else
		fprintf(stderr, "recipe_latched: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return output_end("recipe_latched", r < 0);
}
