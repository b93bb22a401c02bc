/* SPDX-License-Identifier: Apache-2.0 */
/* Topics with history whose broker ends: the next one takes them over, or nobody does. With private
 * rings (0) and a shared one (1). */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/told.h"

#define CAPACITY 8
#define HISTORY  3
#define RESTARTS 4
#define FIRST    11 /* message of the thread */

static struct test_manager manager;
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_topic_config config;

static void make_config(int transport)
{
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.ring_capacity = CAPACITY;
	config.history = HISTORY;
	config.max_borrows = 2;
}

/* Makes a manager, whose brokers take over from each other. */
static void setup(int transport)
{
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	client = flow_client("history");
	make_config(transport);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}

static void send_from_to(int from, int to)
{
	for (int value = from; value <= to; value++)
		flow_send_int(publisher, value);
}

static void receives_from_to(struct kickmsg_subscriber *subscriber, int from, int to)
{
	for (int value = from; value <= to; value++)
		ck_assert_int_eq(flow_receive_int(subscriber), value);
	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
}

/* A newcomer gets these, and goes. */
static void newcomer_gets(int from, int to)
{
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);

	receives_from_to(subscriber, from, to);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	kickmsg_subscriber_free(subscriber);
}

/* One subscriber is in the middle of its history, and holds a message of it. */
START_TEST(history_goes_on_with_the_next_broker)
{
	struct kickmsg_sample held;

	if (test_skip_emulated("history_goes_on_with_the_next_broker", TEST_LACKS_PEEKING))
		return;
	setup(_i);
	publisher = flow_advertise(client, TOPIC, &config);
	send_from_to(1, 5);
	struct kickmsg_subscriber *early = flow_subscribe(client, TOPIC);
	ck_assert_int_eq(kickmsg_try_receive(early, &held), 0);
	test_manager_kill(&manager, SIGKILL);
	send_from_to(6, 7);
	test_manager_resume(&manager);
	newcomer_gets(5, 7);
	receives_from_to(early, 4, 7);
	/* these messages push the earlier ones out, of the topic's history too */
	send_from_to(8, 40);
	ck_assert_int_eq(*(const int *)held.data, 3);
	ck_assert_int_eq(kickmsg_sample_release(&held), 0);
	receives_from_to(early, 41 - CAPACITY, 40);
	ck_assert_uint_eq(kickmsg_subscriber_lost(early), 40 - 7 - CAPACITY);
	newcomer_gets(38, 40);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	newcomer_gets(38, 40);
	ck_assert(test_wait_until(flow_is_healthy(TOPIC), FLOW_WAIT_MS));
	teardown();
}
END_TEST

/* The publisher is killed while there is no broker. Then nobody is there at all, and the broker ends again. */
START_TEST(last_value_outlives_publisher_and_brokers)
{
	int ends[2];
	char byte;

	if (test_skip_emulated("last_value_outlives_publisher_and_brokers", TEST_LACKS_PEEKING))
		return;
	setup(_i);
	kickmsg_topic_config_latched(&config);
	config.transport = (uint32_t)_i;
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		publisher = flow_advertise(flow_client("latched"), TOPIC, &config);
		send_from_to(1, 30);
		ck_assert_int_eq(write(ends[1], "", 1), 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	test_manager_kill(&manager, SIGKILL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(has_all(client, 0, 0) && flow_is_healthy(TOPIC), FLOW_WAIT_MS));
	newcomer_gets(30, 30);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	newcomer_gets(30, 30);
	publisher = flow_advertise(client, TOPIC, &config);
	send_from_to(31, 31);
	newcomer_gets(31, 31);
	close(ends[0]);
	close(ends[1]);
	teardown();
}
END_TEST

static atomic_bool stops;

static void *send_on(void *argument)
{
	for (int value = FIRST; !stops; value++)
		if (kickmsg_send(publisher, &value, sizeof value) != sizeof value)
			return argument;
	return NULL;
}

/* Brokers come and go while the publisher goes on. Newcomers of each get each message once, in order, and no
 * hole that isn't counted. */
START_TEST(newcomers_of_each_broker_miss_nothing)
{
	pthread_t thread;
	void *failed;

	if (test_skip_emulated("newcomers_of_each_broker_miss_nothing", TEST_LACKS_PEEKING))
		return;
	setup(_i);
	config.ring_capacity = 1024;
	publisher = flow_advertise(client, TOPIC, &config);
	send_from_to(1, FIRST - 1);
	stops = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, send_on, publisher), 0);
	for (int i = 0; i < RESTARTS; i++) {
		struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
		int value, last = 0;
		uint64_t holes = 0;

		for (int k = 0; k < 40; k++) {
			if (k == 20) {
				test_manager_kill(&manager, SIGKILL);
				test_manager_resume(&manager);
			}
			ck_assert_int_eq(kickmsg_receive_copy(subscriber, &value, sizeof value, -1),
				sizeof value);
			ck_assert_int_gt(value, k > 0 ? last : 0);
			holes += k > 0 ? (uint64_t)(value - last - 1) : 0;
			last = value;
		}
		ck_assert_uint_le(holes, kickmsg_subscriber_lost(subscriber));
		kickmsg_subscriber_free(subscriber);
	}
	stops = true;
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	ck_assert(test_wait_until(flow_is_healthy(TOPIC), FLOW_WAIT_MS));
	teardown();
}
END_TEST

/* Nobody takes over. A subscriber that hasn't begun with its history yet gets all of it, and what came by its
 * ring, before it goes over. */
START_TEST(history_is_read_before_the_fresh_region)
{
	test_broker_start(&broker, NULL);
	make_config(_i);
	client = told_client("history");
	publisher = flow_advertise(client, TOPIC, &config);
	send_from_to(1, 5);
	struct kickmsg_subscriber *early = flow_subscribe(client, TOPIC);
	send_from_to(6, 6);
	restart();
	dispatch_until(client, 4); /* d r and both */
	ck_assert_str_eq(told.text, "drJJ");
	send_from_to(7, 8);
	receives_from_to(early, 3, 8);
	ck_assert_uint_eq(kickmsg_subscriber_lost(early), 0);
	newcomer_gets(7, 8);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-history-moves");
	TCase *tc = tcase_create("moves");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, history_goes_on_with_the_next_broker, 0, 2);
	tcase_add_loop_test(tc, last_value_outlives_publisher_and_brokers, 0, 2);
	tcase_add_loop_test(tc, newcomers_of_each_broker_miss_nothing, 0, 2);
	tcase_add_loop_test(tc, history_is_read_before_the_fresh_region, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
