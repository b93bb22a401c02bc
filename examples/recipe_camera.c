/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A camera with three consumers, in place: kickmsg-recipes(7). The pool has a slot for each frame that
 * can be anywhere at once, so the camera never waits, whoever stands still.
 */
#include <kickmsg.h>
#include <stdio.h>
#include <string.h>

#include "output.h"

enum { CONSUMERS = 3, QUEUE = 2, HELD = 1, BEING_FILLED = 1, FRAMES = 100 };

#define FRAME_SIZE (640 * 480)

static struct kickmsg_subscriber *consumers[CONSUMERS];

static int advertise(struct kickmsg_client *client, struct kickmsg_publisher **ret)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_sizing sizing;

	kickmsg_topic_config_init(&config);
	config.max_payload_size = FRAME_SIZE;
	config.max_publishers = 1;
	config.max_subscribers = CONSUMERS;
	config.ring_capacity = QUEUE;
	config.max_borrows = HELD;
	config.max_loans = BEING_FILLED;
	/* pool_size 0: what this needs */
	int r = kickmsg_topic_config_check(&config, &sizing);
	if (r < 0)
		return r;
	printf("%d queued + %d consumers x %d held + %d being filled = %d; the pool has %d\n",
		QUEUE, CONSUMERS, HELD, BEING_FILLED, QUEUE + CONSUMERS * HELD + BEING_FILLED,
		(int)sizing.needed_pool);
	return kickmsg_advertise(client, "camera", &config, ret);
}

static int shoot(struct kickmsg_publisher *camera, int number)
{
	void *frame;
	int r = kickmsg_loan(camera, FRAME_SIZE, &frame);

	if (r < 0)
		return r;
	memset(frame, number, FRAME_SIZE);
	r = kickmsg_publish(camera, frame, FRAME_SIZE);
	return r < 0 ? r : 0;
}

/* The first one stands still. */
static int consume(int number)
{
	struct kickmsg_sample sample;
	int r = 0;

	for (int i = 1; i < CONSUMERS && r == 0; i++) {
		r = kickmsg_try_receive(consumers[i], &sample);
		if (r < 0)
			break;
		if (*(const unsigned char *)sample.data != number)
			r = -EPROTO;
		kickmsg_sample_release(&sample);
	}
	return r;
}

int main(void)
{
	struct kickmsg_client *client = NULL;
	struct kickmsg_publisher *camera;
	int r;

	output_begin();
	r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = advertise(client, &camera);
	for (int i = 0; r == 0 && i < CONSUMERS; i++)
		r = kickmsg_subscribe(client, "camera", NULL, &consumers[i]);
	for (int i = 0; r == 0 && i < FRAMES; i++) {
		r = shoot(camera, i);
		if (r == 0)
			r = consume(i);
	}
	if (r == 0)
		printf("%d frames; the consumer that stood still lost %d, the others %d and %d\n",
			FRAMES, (int)kickmsg_subscriber_lost(consumers[0]),
			(int)kickmsg_subscriber_lost(consumers[1]),
			(int)kickmsg_subscriber_lost(consumers[2]));
	else
		fprintf(stderr, "recipe_camera: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return output_end("recipe_camera", r < 0);
}
