/* SPDX-License-Identifier: Apache-2.0 */
/* Many messages at a time through a real broker, with both transports and all kinds of topics. */
#include <pthread.h>

#include "tests/support/broker/flow.h"

#define CAPACITY 16
#define BATCH    10
#define MANY     20000

static struct kickmsg_client *client;
static struct kickmsg_topic_config config;
static int numbers[MANY];
static struct iovec messages[MANY];
static struct kickmsg_sample samples[CAPACITY];

static void setup(int transport)
{
	test_broker_start(&broker, NULL);
	client = flow_client("many");
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.ring_capacity = CAPACITY;
	config.max_borrows = CAPACITY;
	config.max_loans = BATCH;
	for (int i = 0; i < MANY; i++) {
		numbers[i] = i;
		messages[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
	}
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* All that is there, `first` and what follows; each batch is given back. Returns how many. */
static int take_all(struct kickmsg_subscriber *subscriber, int first)
{
	int taken = 0;
	ssize_t count;

	while ((count = kickmsg_receive_many(subscriber, 0, samples, CAPACITY)) > 0) {
		for (ssize_t i = 0; i < count; i++, taken++)
			ck_assert_int_eq(*(const int *)samples[i].data, first + taken);
		ck_assert_int_eq(kickmsg_release_many(samples, (size_t)count), count);
	}
	ck_assert_int_eq(count, -EAGAIN);
	return taken;
}

static bool all_slots_are_free(const struct kickmsg_topic_ref *ref)
{
	struct kickmsg_topic_stats stats;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, ref, &stats), 0);
	return stats.free_slots == stats.pool_size;
}

/* Batches that are longer than a piece, and than the ring; a subscriber comes in between. */
START_TEST(topic_with_several_subscribers)
{
	struct kickmsg_topic_ref ref = { .name = "t" };

	setup(_i);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *a = flow_subscribe(client, "t"),
				  *b = flow_subscribe(client, "t");
	ck_assert_int_eq(kickmsg_send_many(publisher, messages, BATCH), BATCH);
	ck_assert_int_eq(take_all(a, 0), BATCH);
	struct kickmsg_subscriber *c = flow_subscribe(client, "t");
	ck_assert_int_eq(kickmsg_send_many(publisher, messages + BATCH, 200), 200);
	ck_assert_uint_eq(kickmsg_publisher_reached(publisher), 3);
	ck_assert_int_eq(take_all(a, 200 + BATCH - CAPACITY), CAPACITY);
	ck_assert_int_eq(take_all(b, 200 + BATCH - CAPACITY), CAPACITY);
	ck_assert_int_eq(take_all(c, 200 + BATCH - CAPACITY), CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(a), 200 - CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(b), 200 + BATCH - CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(c), 200 - CAPACITY);
	ck_assert(all_slots_are_free(&ref));
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

START_TEST(loans_are_published_together)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct iovec loans[BATCH];

	setup(_i);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < BATCH; i++) {
			ck_assert_int_eq(
				kickmsg_loan(publisher, sizeof(int), &loans[i].iov_base), 0);
			*(int *)loans[i].iov_base = i;
			loans[i].iov_len = sizeof(int);
		}
		ck_assert_int_eq(kickmsg_publish_many(publisher, loans, BATCH), BATCH);
		ck_assert_int_eq(take_all(subscriber, 0), BATCH);
	}
	ck_assert(_i == KICKMSG_TRANSPORT_SHARED || all_slots_are_free(&ref));
	teardown();
}
END_TEST

/* Topics with one of these send messages one by one, though many are sent at a time. */
static const struct {
	uint32_t history, timestamps, max_reliable;
} singles[] = { { .history = 3 }, { .timestamps = 1 }, { .max_reliable = 1 } };
#define SINGLES (int)(sizeof singles / sizeof singles[0])
#define FAILS   4 /* the message of a batch that fails */

/* Messages before the one that fails are sent, it and those behind it aren't. */
START_TEST(messages_that_go_one_by_one_end_where_one_fails)
{
	struct iovec loans[BATCH];

	setup(_i / SINGLES);
	config.max_publishers = 2;
	config.history = singles[_i % SINGLES].history;
	config.timestamps = singles[_i % SINGLES].timestamps;
	config.max_reliable = singles[_i % SINGLES].max_reliable;
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	messages[FAILS].iov_len = config.max_payload_size + 1;
	ck_assert_int_eq(kickmsg_send_many(publisher, messages, BATCH), FAILS);
	ck_assert_int_eq(take_all(subscriber, 0), FAILS);
	ck_assert_int_eq(kickmsg_send_many(publisher, messages + FAILS, BATCH), -EMSGSIZE);
	ck_assert_int_eq(take_all(subscriber, 0), 0);
	for (int i = 0; i < BATCH; i++) {
		ck_assert_int_eq(kickmsg_loan(publisher, sizeof(int), &loans[i].iov_base), 0);
		*(int *)loans[i].iov_base = i;
		loans[i].iov_len = sizeof(int);
	}
	void *lent = loans[FAILS].iov_base;
	loans[FAILS].iov_base = &numbers[FAILS];
	ck_assert_int_eq(kickmsg_publish_many(publisher, loans, BATCH), FAILS);
	ck_assert_int_eq(take_all(subscriber, 0), FAILS);
	ck_assert_int_eq(kickmsg_publish_many(publisher, loans + FAILS, BATCH - FAILS), -EINVAL);
	ck_assert_int_eq(take_all(subscriber, 0), 0);
	loans[FAILS].iov_base = lent;
	ck_assert_int_eq(
		kickmsg_publish_many(publisher, loans + FAILS, BATCH - FAILS), BATCH - FAILS);
	ck_assert_int_eq(take_all(subscriber, FAILS), BATCH - FAILS);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	struct kickmsg_subscriber *late = flow_subscribe(client, "t");
	ck_assert_int_eq(take_all(late, BATCH - (int)config.history), (int)config.history);
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

/* A member that doesn't hear itself, and one that does. */
START_TEST(broadcast_members)
{
	const struct kickmsg_subscribe_options deaf = { .skip_own = 1 };
	struct kickmsg_publisher *publishers[2];
	struct kickmsg_subscriber *subscribers[2];

	setup(_i);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_join_broadcast(client, "c", &config, i ? NULL : &deaf,
					 &publishers[i], &subscribers[i]),
			0);
	ck_assert_int_eq(kickmsg_send_many(publishers[0], messages, BATCH), BATCH);
	ck_assert_int_eq(take_all(subscribers[1], 0), BATCH);
	ck_assert_int_eq(kickmsg_send_many(publishers[1], messages, BATCH), BATCH);
	ck_assert_int_eq(take_all(subscribers[0], 0), BATCH);
	ck_assert_int_eq(take_all(subscribers[1], 0), BATCH);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(kickmsg_subscriber_lost(subscribers[i]), 0);
	teardown();
}
END_TEST

START_TEST(mailbox_of_two_publishers)
{
	struct kickmsg_publisher *publishers[2];
	struct kickmsg_subscriber *subscriber;

	setup(_i);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "m", &config, NULL, &subscriber), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_open_mailbox(client, "many", "m", &publishers[i]), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(kickmsg_send_many(publishers[i % 2], messages + 3 * i, 3), 3);
	ck_assert_int_eq(take_all(subscriber, 0), 15);
	teardown();
}
END_TEST

START_TEST(observer_receives_many)
{
	const struct kickmsg_subscribe_options options = { .observe = 1 };
	struct kickmsg_subscriber *observer;

	setup(KICKMSG_TRANSPORT_SHARED);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	ck_assert_int_eq(kickmsg_subscribe(client, "t", &options, &observer), 0);
	ck_assert_int_eq(kickmsg_send_many(publisher, messages, 50), 50);
	ck_assert_int_eq(take_all(observer, 50 - CAPACITY), CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(observer), 50 - CAPACITY);
	teardown();
}
END_TEST

static void *send_all(void *publisher)
{
	ck_assert_int_eq(kickmsg_send_many(publisher, messages, MANY), MANY);
	return NULL;
}

/* A subscriber that sleeps for the first of what is there, beside a publisher at full speed. */
START_TEST(books_are_exact_against_a_publisher_at_full_speed)
{
	int received = 0, last = -1;
	pthread_t thread;

	setup(_i);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, publisher), 0);
	while (last < MANY - 1) {
		ssize_t count = kickmsg_receive_many(subscriber, -1, samples, CAPACITY);

		ck_assert_int_gt(count, 0);
		for (ssize_t i = 0; i < count; i++) {
			ck_assert_int_gt(*(const int *)samples[i].data, last);
			last = *(const int *)samples[i].data;
		}
		received += (int)count;
		ck_assert_int_eq(kickmsg_release_many(samples, (size_t)count), count);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq((uint64_t)received + kickmsg_subscriber_lost(subscriber), MANY);
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-batches");
	TCase *tc = tcase_create("many");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, topic_with_several_subscribers, 0, 2);
	tcase_add_loop_test(tc, loans_are_published_together, 0, 2);
	tcase_add_loop_test(tc, messages_that_go_one_by_one_end_where_one_fails, 0, 2 * SINGLES);
	tcase_add_loop_test(tc, broadcast_members, 0, 2);
	tcase_add_loop_test(tc, mailbox_of_two_publishers, 0, 2);
	tcase_add_test(tc, observer_receives_many);
	tcase_add_loop_test(tc, books_are_exact_against_a_publisher_at_full_speed, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
