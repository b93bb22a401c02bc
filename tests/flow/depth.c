/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers that want the newest messages alone, with both transports: the others are lost, and
 * counted. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/support/broker/flow.h"

#define CAPACITY 4
#define POOL     32
#define MANY     20000

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static struct kickmsg_topic_config config;

static int subscribe(uint32_t depth)
{
	struct kickmsg_subscribe_options options = { .depth = depth };

	return kickmsg_subscribe(client, "t", &options, &subscriber);
}

static void setup(int transport)
{
	test_broker_start(&broker, NULL);
	client = flow_client("depth");
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.ring_capacity = CAPACITY;
	config.pool_size = POOL;
	publisher = flow_advertise(client, "t", &config);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static void send_up_to(int last)
{
	static int next;

	if (last == 0)
		next = 1;
	while (next <= last)
		flow_send_int(publisher, next++);
}

static bool all_slots_are_free(void)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_stats stats;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	return stats.free_slots == POOL;
}

START_TEST(receive_depth_1_gives_the_latest)
{
	struct kickmsg_sample sample;

	setup(_i);
	ck_assert_int_eq(subscribe(1), 0);
	send_up_to(0);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), -EAGAIN);
	send_up_to(3);
	ck_assert_int_eq(kickmsg_receive(subscriber, -1, &sample), 0);
	ck_assert_int_eq(*(const int *)sample.data, 3);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 2);
	send_up_to(10); /* more than the ring has room for */
	ck_assert_int_eq(flow_receive_int(subscriber), 10);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 8);
	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	ck_assert(all_slots_are_free());
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

START_TEST(receive_depth_3_gives_three_in_order)
{
	struct kickmsg_subscriber_stats stats;

	setup(_i);
	ck_assert_int_eq(subscribe(3), 0);
	send_up_to(0);
	send_up_to(2);
	ck_assert_int_eq(flow_receive_int(subscriber), 1); /* fewer than three: all */
	send_up_to(9);
	for (int i = 7; i <= 9; i++)
		ck_assert_int_eq(flow_receive_int(subscriber), i);
	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
	kickmsg_subscriber_get_stats(subscriber, &stats);
	ck_assert_uint_eq(stats.received, 4);
	ck_assert_uint_eq(stats.lost, 5);
	teardown();
}
END_TEST

START_TEST(subscribe_deeper_than_the_ring_is_refused)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;

	setup(_i);
	ck_assert_int_eq(subscribe(CAPACITY), 0);
	kickmsg_subscriber_free(subscriber);
	ck_assert_int_eq(subscribe(CAPACITY + 1), -EINVAL);
	ck_assert(flow_said(client, "ring_capacity is 4"));
	ck_assert(test_wait_until(
		kickmsg_topic_get_info(client, &ref, &info) == 0 && info.subscribers == 0,
		FLOW_WAIT_MS));
	teardown();
}
END_TEST

/* A message that was too long for the caller's buffer is still there for a larger one. */
START_TEST(pending_message_comes_first)
{
	char byte;

	setup(_i);
	ck_assert_int_eq(subscribe(1), 0);
	send_up_to(0);
	send_up_to(2);
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &byte, 1), -EMSGSIZE);
	ck_assert_int_eq(flow_receive_int(subscriber), 2);
	send_up_to(4);
	ck_assert_int_eq(flow_receive_int(subscriber), 4);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 2);
	teardown();
}
END_TEST

static void *send_many(void *unused)
{
	send_up_to(0);
	send_up_to(MANY);
	return NULL;
}

START_TEST(books_are_exact_against_a_publisher_at_full_speed)
{
	struct kickmsg_subscriber_stats stats;
	pthread_t thread;
	int last = 0;

	setup(_i);
	ck_assert_int_eq(subscribe(2), 0);
	pthread_create(&thread, NULL, send_many, NULL);
	while (last < MANY) {
		int value;
		ssize_t n = kickmsg_receive_copy(subscriber, &value, sizeof value, -1);

		ck_assert_int_eq(n, sizeof value);
		ck_assert_int_gt(value, last);
		last = value;
	}
	pthread_join(thread, NULL);
	kickmsg_subscriber_get_stats(subscriber, &stats);
	ck_assert_uint_eq(stats.received + stats.lost, MANY);
	ck_assert(all_slots_are_free());
	teardown();
}
END_TEST

/* --- a camera and a slow consumer ----------------------------------------------------------- */

static _Atomic int sent; /* the last frame that was sent */
static _Atomic bool camera_ends;

static void *be_a_camera(void *unused)
{
	for (int frame = 1; !camera_ends; frame++) {
		flow_send_int(publisher, frame);
		sent = frame;
	}
	return NULL;
}

/* A camera's subscriber with depth 1 gets a frame that is less than a period older than the newest
 * one: the next frame hadn't been sent when the consumer asked. How slow the consumer is makes no
 * difference. */
START_TEST(slow_consumer_of_a_camera_gets_no_old_frame)
{
	pthread_t camera;

	setup(_i);
	ck_assert_int_eq(subscribe(1), 0);
	pthread_create(&camera, NULL, be_a_camera, NULL);
	for (int i = 0; i < 1000; i++) {
		struct kickmsg_sample sample;
		const int before = sent;

		ck_assert_int_eq(kickmsg_receive(subscriber, -1, &sample), 0);
		ck_assert_int_ge(*(const int *)sample.data, before);
		/* the consumer holds the frame while the ring goes by */
		while (sent < before + 3 * CAPACITY)
			sched_yield();
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	camera_ends = true;
	pthread_join(camera, NULL);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-depth");
	TCase *tc = tcase_create("depth");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, receive_depth_1_gives_the_latest, 0, 2);
	tcase_add_loop_test(tc, receive_depth_3_gives_three_in_order, 0, 2);
	tcase_add_loop_test(tc, subscribe_deeper_than_the_ring_is_refused, 0, 2);
	tcase_add_loop_test(tc, pending_message_comes_first, 0, 2);
	tcase_add_loop_test(tc, books_are_exact_against_a_publisher_at_full_speed, 0, 2);
	tcase_add_loop_test(tc, slow_consumer_of_a_camera_gets_no_old_frame, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
