/* SPDX-License-Identifier: Apache-2.0 */
/* Topics with history: what newcomers get, with private rings (0) and a shared one (1).
 *
 * The file is long because each way to come late has a case, over one fixture. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "common/memory/layout.h"
#include "tests/support/broker/told.h"

#define CAPACITY  8
#define HISTORY   3
#define NEWCOMERS 300
#define MEBIBYTE  (UINT64_C(1) << 20)
#define LARGE     16

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_topic_config config;

static void setup(int transport)
{
	test_broker_start(&broker, NULL);
	client = flow_client("history");
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.ring_capacity = CAPACITY;
	config.history = HISTORY;
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static void send_from_to(int from, int to)
{
	for (int value = from; value <= to; value++)
		flow_send_int(publisher, value);
}

static struct kickmsg_subscriber *come(uint32_t history)
{
	struct kickmsg_subscribe_options options = { .history = history };
	struct kickmsg_subscriber *ret;

	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, &options, &ret), 0);
	return ret;
}

static void receives_from_to(struct kickmsg_subscriber *subscriber, int from, int to)
{
	for (int value = from; value <= to; value++)
		ck_assert_int_eq(flow_receive_int(subscriber), value);
	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
}

static bool is_healthy(void *userdata)
{
	return flow_is_healthy("t");
}

static bool publisher_is_gone(void *userdata)
{
	return flow_health("t").publishers == 0 && flow_is_healthy("t");
}

static bool somebody_sleeps(void *userdata)
{
	return flow_health("t").rings_sleeping > 0;
}

static int echo(char *ret, size_t size, const char *history, const char *count)
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket,
		"echo", "t", "--hex", "-t", "0.1", "-n", count, history ? "--history" : NULL,
		history, NULL };

	return test_run(argv, ret, size);
}

static struct kickmsg_topic_stats stats(void)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_stats ret;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &ret), 0);
	return ret;
}

/* STATS of the only subscriber say these numbers. */
static void expect_ring(uint64_t received, uint64_t lost, uint64_t waiting)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_ring_stats ring;
	uint64_t cursor = 0;

	ck_assert_int_eq(kickmsg_topic_ring_stats(client, &ref, &cursor, &ring, 1), 1);
	ck_assert_uint_eq(ring.received, received);
	ck_assert_uint_eq(ring.lost, lost);
	ck_assert_uint_eq(ring.waiting, waiting);
	ck_assert_uint_eq(ring.written, received + lost + waiting);
}

START_TEST(newcomers_get_what_the_config_says)
{
	setup(_i);
	publisher = flow_advertise(client, "t", &config);
	send_from_to(1, 5);
	struct kickmsg_subscriber *first = come(0), *none = come(KICKMSG_HISTORY_NONE);
	struct kickmsg_subscriber *fewer = come(1), *more = come(4);
	send_from_to(6, 7);
	receives_from_to(first, 3, 7);
	receives_from_to(none, 6, 7);
	receives_from_to(fewer, 5, 7);
	/* a shared ring has what it has; private rings have what they were told to keep */
	receives_from_to(more, _i ? 2 : 3, 7);
	ck_assert_uint_eq(kickmsg_subscriber_lost(first), 0);
	ck_assert_uint_eq(stats().lost, 0);
	teardown();
}
END_TEST

START_TEST(what_a_slow_newcomer_loses_is_counted)
{
	setup(_i);
	publisher = flow_advertise(client, "t", &config);
	send_from_to(1, 5);
	struct kickmsg_subscriber *subscriber = come(0);
	send_from_to(6, 40);
	/* a subscriber of private rings finds what it has lost when it looks */
	expect_ring(0, (_i ? HISTORY : 0) + 35 - CAPACITY, CAPACITY);
	receives_from_to(subscriber, 33, 40);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), HISTORY + 35 - CAPACITY);
	ck_assert_uint_eq(stats().lost, HISTORY + 35 - CAPACITY);
	expect_ring(8, HISTORY + 35 - CAPACITY, 0);
	teardown();
}
END_TEST

/* The publisher is killed, and for a while nobody is there at all. */
START_TEST(last_value_outlives_its_publisher)
{
	setup(_i);
	kickmsg_topic_config_latched(&config);
	config.transport = (uint32_t)_i;
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct kickmsg_client *own = flow_client("latched");

		publisher = flow_advertise(own, "t", &config);
		send_from_to(1, 30);
		ck_assert_int_eq(write(ends[1], "", 1), 1);
		for (;;)
			pause();
	}
	char byte;
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(test_wait_for(publisher_is_gone, NULL, FLOW_WAIT_MS));
	for (int i = 0; i < 3; i++) {
		struct kickmsg_subscriber *subscriber = come(0);

		receives_from_to(subscriber, 30, 30);
		kickmsg_subscriber_free(subscriber);
	}
	/* with a new publisher as well */
	publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *subscriber = come(0);
	send_from_to(31, 31);
	receives_from_to(subscriber, 30, 31);
	close(ends[0]);
	close(ends[1]);
	teardown();
}
END_TEST

static void say_again(void *userdata, const struct kickmsg_event *event)
{
	int *value = userdata;

	if (event->kind != KICKMSG_EVENT_REJOINED || !event->publisher)
		return;
	flow_send_int(event->publisher, *value);
	*value = 0;
}

/* Nobody has kept the region of the broker before. The publisher says its value again when it is told. */
START_TEST(fresh_region_has_what_is_said_again)
{
	int value = 7;

	setup(_i);
	kickmsg_topic_config_latched(&config);
	config.transport = (uint32_t)_i;
	struct kickmsg_client_config says = {
		.socket_path = broker.socket, .on_event = say_again, .userdata = &value
	};
	struct kickmsg_client *saying, *early = told_client("early");
	ck_assert_int_eq(kickmsg_client_new(&says, &saying), 0);
	publisher = flow_advertise(saying, TOPIC, &config);
	send_from_to(1, 7);
	struct kickmsg_subscriber *before = flow_subscribe(early, TOPIC);
	receives_from_to(before, 7, 7);
	send_from_to(8, 8);
	value = 8;
	restart();
	dispatch_until(early, 3);
	/* the topic is there, and its publisher hasn't come back yet */
	kickmsg_client_free(client);
	client = flow_client("newcomer");
	struct kickmsg_subscriber *first = come(0);
	ck_assert_int_eq(flow_receive_int(first), -EAGAIN);
	ck_assert(test_wait_until(
		(kickmsg_client_dispatch(saying), value == 0 && has_all(client, 1, 2)),
		FLOW_WAIT_MS));
	struct kickmsg_subscriber *second = come(0);
	receives_from_to(second, 8, 8);
	receives_from_to(first, 8, 8);
	/* from the region before, and once more: it is another message */
	ck_assert_int_eq(flow_receive_int(before), 8);
	receives_from_to(before, 8, 8);
	ck_assert_uint_eq(kickmsg_subscriber_lost(before), 0);
	send_from_to(9, 9);
	receives_from_to(before, 9, 9);
	receives_from_to(first, 9, 9);
	receives_from_to(second, 9, 9);
	kickmsg_client_free(saying);
	kickmsg_client_free(early);
	teardown();
}
END_TEST

/* With private rings they are read where they were written, however many come: no slot is taken. */
START_TEST(large_history_takes_no_slots)
{
	struct kickmsg_subscriber *subscribers[3];
	struct kickmsg_sample sample[LARGE];
	void *loans[LARGE];

	setup(0);
	config.ring_capacity = config.history = LARGE;
	config.max_payload_size = MEBIBYTE;
	config.max_subscribers = 3;
	config.max_publishers = 1;
	config.max_borrows = LARGE;
	publisher = flow_advertise(client, "t", &config);
	for (int i = 0; i < LARGE; i++) {
		ck_assert_int_eq(kickmsg_loan(publisher, MEBIBYTE, &loans[i]), 0);
		memset(loans[i], 'a' + i, MEBIBYTE);
		ck_assert_int_eq(kickmsg_publish(publisher, loans[i], MEBIBYTE), 0);
	}
	uint64_t free_slots = stats().free_slots;
	for (int k = 0; k < 3; k++) {
		subscribers[k] = come(0);
		for (int i = 0; i < LARGE; i++) {
			ck_assert_int_eq(kickmsg_try_receive(subscribers[k], &sample[i]), 0);
			ck_assert_uint_eq(sample[i].len, MEBIBYTE);
			ck_assert_int_eq(memcmp(sample[i].data, loans[i], MEBIBYTE), 0);
		}
		ck_assert_uint_eq(stats().free_slots, free_slots);
		ck_assert_int_eq(kickmsg_release_many(sample, LARGE), LARGE);
	}
	teardown();
}
END_TEST

static atomic_bool stops;

static void *send_on(void *argument)
{
	for (int value = *(int *)argument; !stops; value++)
		if (kickmsg_send(publisher, &value, sizeof value) != sizeof value)
			return argument;
	return NULL;
}

/* Each message once, in order, and no hole that isn't counted, while the publisher goes on. */
START_TEST(newcomers_miss_nothing_between_history_and_ring)
{
	pthread_t thread;
	void *failed;
	int next = 101;

	setup(_i);
	config.ring_capacity = 1024;
	publisher = flow_advertise(client, "t", &config);
	send_from_to(1, 100);
	stops = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, send_on, &next), 0);
	for (int i = 0; i < NEWCOMERS; i++) {
		struct kickmsg_subscriber *subscriber = come(0);
		int value, last = 0;
		uint64_t holes = 0;

		for (int k = 0; k < 20; k++) {
			ck_assert_int_eq(kickmsg_receive_copy(subscriber, &value, sizeof value, -1),
				sizeof value);
			ck_assert_int_gt(value, last);
			holes += last ? (uint64_t)(value - last - 1) : 0;
			last = value;
		}
		ck_assert_uint_le(holes, kickmsg_subscriber_lost(subscriber));
		kickmsg_subscriber_free(subscriber);
	}
	stops = true;
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	ck_assert(test_wait_for(is_healthy, NULL, FLOW_WAIT_MS));
	/* what is left in slots is what is kept */
	ck_assert_uint_ge(stats().free_slots + (_i ? 1024 : 2048), stats().pool_size);
	teardown();
}
END_TEST

START_TEST(sleeping_newcomer_is_woken_by_the_first_message)
{
	setup(_i);
	publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *subscriber = come(0);
	pid_t pid = fork();
	if (pid == 0) { /* once the parent sleeps */
		struct kickmsg_client *own = flow_client("other");

		publisher = flow_advertise(own, "t", &config);
		ck_assert(_i || test_wait_for(somebody_sleeps, NULL, FLOW_WAIT_MS));
		send_from_to(7, 7);
		kickmsg_client_free(own);
		_exit(0);
	}
	int value;
	ck_assert_int_eq(
		kickmsg_receive_copy(subscriber, &value, sizeof value, INT64_C(10000000000)),
		sizeof value);
	ck_assert_int_eq(value, 7);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	teardown();
}
END_TEST

START_TEST(config_with_another_history_is_refused)
{
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_publisher *other;
	char refused[64];

	setup(_i);
	publisher = flow_advertise(client, "t", &config);
	config.history = 2;
	ck_assert_int_eq(kickmsg_advertise(client, "t", &config, &other), -EEXIST);
	ck_assert(flow_said(client, "history = 3, not 2"));
	config.history = CAPACITY + 1;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "history");
	ck_assert_int_eq(kickmsg_advertise(client, "u", &config, &other), -EINVAL);
	ck_assert(flow_said(client, "history is 9; it must be 0 to 8"));
	config.history = CAPACITY;
	config.max_subscribers = KM_MAX_RINGS;
	snprintf(refused, sizeof refused, "max_subscribers is %d; it must be 1 to %d", KM_MAX_RINGS,
		KM_MAX_RINGS - 1);
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), _i ? 0 : -EINVAL);
	ck_assert_int_eq(kickmsg_advertise(client, "u", &config, &other), _i ? 0 : -EINVAL);
	ck_assert(_i || flow_said(client, refused));
	teardown();
}
END_TEST

START_TEST(kickmsgctl_echoes_history)
{
	char out[4096];

	setup(_i);
	publisher = flow_advertise(client, "t", &config);
	send_from_to('a', 'e');
	ck_assert_int_eq(echo(out, sizeof out, NULL, "3"), 0);
	ck_assert_ptr_nonnull(strstr(out, "63 00 00 00"));
	ck_assert_int_eq(echo(out, sizeof out, "1", "1"), 0);
	ck_assert_ptr_nonnull(strstr(out, "65 00 00 00"));
	ck_assert_ptr_null(strstr(out, "64 00 00 00"));
	ck_assert_int_eq(echo(out, sizeof out, "0", "1"), 1);
	teardown();
}
END_TEST

/* A member that doesn't hear itself doesn't hear what it said before it subscribed either. */
START_TEST(channel_member_skips_its_own_history)
{
	struct kickmsg_subscribe_options options = { .skip_own = 1 };
	struct kickmsg_publisher *own, *other;
	struct kickmsg_subscriber *one, *two;
	struct kickmsg_client *second;

	setup(0);
	second = flow_client("second");
	ck_assert_int_eq(kickmsg_join_broadcast(client, "c", &config, &options, &own, &one), 0);
	flow_send_int(own, 1);
	flow_send_int(own, 2);
	ck_assert_int_eq(kickmsg_join_broadcast(second, "c", &config, &options, &other, &two), 0);
	flow_send_int(other, 3);
	flow_send_int(own, 4);
	ck_assert_int_eq(flow_receive_int(two), 1);
	ck_assert_int_eq(flow_receive_int(two), 2);
	receives_from_to(two, 4, 4);
	receives_from_to(one, 3, 3);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-history");
	TCase *tc = tcase_create("history");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, newcomers_get_what_the_config_says, 0, 2);
	tcase_add_loop_test(tc, what_a_slow_newcomer_loses_is_counted, 0, 2);
	tcase_add_loop_test(tc, last_value_outlives_its_publisher, 0, 2);
	tcase_add_loop_test(tc, fresh_region_has_what_is_said_again, 0, 2);
	tcase_add_test(tc, large_history_takes_no_slots);
	tcase_add_loop_test(tc, newcomers_miss_nothing_between_history_and_ring, 0, 2);
	tcase_add_loop_test(tc, sleeping_newcomer_is_woken_by_the_first_message, 0, 2);
	tcase_add_loop_test(tc, config_with_another_history_is_refused, 0, 2);
	tcase_add_loop_test(tc, kickmsgctl_echoes_history, 0, 2);
	tcase_add_test(tc, channel_member_skips_its_own_history);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
