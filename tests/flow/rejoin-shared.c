/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics with a shared ring, through the death of a broker whose regions nobody keeps. Only they
 * have history, observers, members that pass over their own messages, a sole publisher, and
 * subscribers that can't write the word by which a region is left. flow-reconnect has the cases of
 * both transports.
 *
 * The file is long because each state that a broker's death can meet has a case, over one fixture.
 */
#include <sys/mman.h>

#include "common/ring/lost.h"
#include "common/shared/bell.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/told.h"

#define CAPACITY 64

static struct kickmsg_topic_config config;

static void setup(void)
{
	test_broker_start(&broker, NULL);
	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.ring_capacity = CAPACITY;
}

static void teardown(void)
{
	flow_stop();
}

/* Waits until a client without an event handler has all its places with the broker that is
 * there. */
static void come_back(struct kickmsg_client *client, uint32_t publishers, uint32_t subscribers)
{
	struct kickmsg_topic_ref ref = { .name = TOPIC };
	struct kickmsg_topic_info info;

	ck_assert(test_wait_until(
		(kickmsg_client_dispatch(client),
			kickmsg_topic_get_info(client, &ref, &info) == 0 &&
				info.publishers == publishers && info.subscribers == subscribers),
		FLOW_WAIT_MS));
}

static void send_ints(struct kickmsg_publisher *publisher, int from, int count)
{
	for (int i = from; i < from + count; i++)
		flow_send_int(publisher, i);
}

static void expect_ints(struct kickmsg_subscriber *subscriber, int from, int count)
{
	for (int i = from; i < from + count; i++)
		ck_assert_int_eq(flow_receive_int(subscriber), i);
}

/* Joins a channel without hearing itself. */
static void join_deaf(struct kickmsg_client *client, struct kickmsg_publisher **ret_own,
	struct kickmsg_subscriber **ret_subscriber)
{
	struct kickmsg_subscribe_options options = { .skip_own = 1 };

	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "c", &config, &options, ret_own, ret_subscriber), 0);
}

static void expect_end(struct kickmsg_subscriber *subscriber, uint64_t received, uint64_t lost)
{
	struct kickmsg_subscriber_stats stats;

	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
	kickmsg_subscriber_get_stats(subscriber, &stats);
	ck_assert_uint_eq(stats.received, received);
	ck_assert_uint_eq(stats.lost, lost);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), lost);
	ck_assert_uint_eq(stats.waiting, 0);
}

/* Messages that faster publishers have sent in the fresh region are still there. */
START_TEST(late_subscriber_gets_what_the_ring_keeps)
{
	struct kickmsg_client *fast = flow_client("fast"), *late = told_client("late");
	struct kickmsg_publisher *publisher = flow_advertise(fast, TOPIC, &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(late, TOPIC);

	send_ints(publisher, 0, 10);
	restart();
	come_back(fast, 1, 0);
	send_ints(publisher, 10, 20);
	dispatch_until(late, 3);
	send_ints(publisher, 30, 10);
	expect_ints(subscriber, 0, 40);
	expect_end(subscriber, 40, 0);
	/* more than it keeps: before the subscriber has its place, and before it goes there */
	restart();
	come_back(fast, 1, 0);
	send_ints(publisher, 40, CAPACITY + 7);
	dispatch_until(late, 6);
	send_ints(publisher, 40 + CAPACITY + 7, 5);
	expect_ints(subscriber, 40 + 12, CAPACITY);
	expect_end(subscriber, 40 + CAPACITY, 12);
	ck_assert_str_eq(told.text, "drJdrJ");
	kickmsg_client_free(fast);
	kickmsg_client_free(late);
}
END_TEST

START_TEST(writable_comes_back_writable)
{
	struct kickmsg_subscribe_options options = { .writable = 1 };
	struct kickmsg_client *maker = flow_client("maker"), *client = told_client("writable");
	struct kickmsg_publisher *publisher = flow_advertise(maker, TOPIC, &config);
	struct kickmsg_subscriber *subscriber;

	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, &options, &subscriber), 0);
	void *before = subscriber->handle.place.control;
	restart();
	come_back(maker, 1, 0);
	send_ints(publisher, 0, 3);
	dispatch_until(client, 3);
	expect_ints(subscriber, 0, 3);
	ck_assert_ptr_ne(subscriber->handle.place.control, before);
	ck_assert_int_eq(
		mprotect(subscriber->handle.place.control, 4096, PROT_READ | PROT_WRITE), 0);
	kickmsg_client_free(maker);
	kickmsg_client_free(client);
}
END_TEST

/* The subscriber had a place in a region to which it never came, since that region's broker died as
 * well. */
START_TEST(region_never_seen_is_counted)
{
	struct kickmsg_client *fast = flow_client("fast"), *late = told_client("late");
	struct kickmsg_publisher *publisher = flow_advertise(fast, TOPIC, &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(late, TOPIC);

	send_ints(publisher, 0, 10);
	for (unsigned i = 0; i < 6; i++) {
		restart();
		come_back(fast, 1, 0);
		send_ints(publisher, 100, CAPACITY + 3); /* some before it has its place */
		dispatch_until(late, 3 * (i + 1));
		send_ints(publisher, 200, 4);
	}
	expect_ints(subscriber, 0, 10); /* of the oldest */
	ck_assert_int_eq(flow_receive_int(subscriber), 107);
	expect_ints(subscriber, 108, CAPACITY - 5);
	expect_ints(subscriber, 200, 4);
	expect_end(subscriber, 10 + CAPACITY, 5 * (CAPACITY + 7) + 7);
	kickmsg_client_free(fast);
	kickmsg_client_free(late);
}
END_TEST

/* Publishers that stay in the old region, as far as the library knows. Their messages
 * there are counted. */
START_TEST(publisher_that_stays_is_counted)
{
	struct kickmsg_client *slow = flow_client("slow"), *fast = told_client("fast");
	struct kickmsg_publisher *publisher = flow_advertise(slow, TOPIC, &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(fast, TOPIC);
	void *loan;

	send_ints(publisher, 0, 3);
	test_broker_kill(&broker);
	send_ints(publisher, 3, 3);
	test_broker_resume(&broker);
	dispatch_until(fast, 3);
	expect_ints(subscriber, 0, 6);
	expect_end(subscriber, 6, 0);
	ck_assert_int_eq(kickmsg_loan(publisher, sizeof(int), &loan), 0);
	*(int *)loan = 9;
	/* into the old region: only this send finds that its subscribers have left */
	flow_send_int(publisher, 7);
	expect_end(subscriber, 6, 1);
	ck_assert(test_wait_until(
		(flow_send_int(publisher, 8), flow_receive_int(subscriber) == 8), FLOW_WAIT_MS));
	struct kickmsg_publisher_stats sent;
	kickmsg_publisher_get_stats(publisher, &sent);
	expect_end(subscriber, 7, sent.sent - 7);
	/* a loan of the old region, whatever slots the fresh one has */
	ck_assert_int_ge(kickmsg_publish(publisher, loan, sizeof(int)), 0);
	expect_ints(subscriber, 9, 1);
	expect_end(subscriber, 8, sent.sent - 7);
	kickmsg_client_free(slow);
	kickmsg_client_free(fast);
}
END_TEST

START_TEST(observer_follows)
{
	struct kickmsg_subscribe_options options = { .observe = 1, .history = 100 };
	struct kickmsg_client *maker = flow_client("maker"), *client = told_client("observer");
	struct kickmsg_publisher *publisher = flow_advertise(maker, TOPIC, &config);
	struct kickmsg_subscriber *observer, *second;
	struct kickmsg_sample sample;

	send_ints(publisher, 0, 5);
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, &options, &observer), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, &options, &second), 0);
	expect_ints(second, 0, 5);
	for (unsigned i = 0; i < 10; i++) {
		test_broker_kill(&broker);
		send_ints(publisher, 5, 5);
		test_broker_resume(&broker);
		/* nobody but the maker can make the topic: until then it is tried again */
		dispatch_until(client, 4 * i + 2);
		come_back(maker, 1, 0);
		send_ints(publisher, 10, 5);
		dispatch_until(client, 4 * (i + 1));
		expect_ints(observer, i == 0 ? 0 : 5, i == 0 ? 15 : 10);
		expect_end(observer, 15 + 10 * i, 0);
		/* the other is asleep */
		for (int k = 5; k < 15; k++) {
			ck_assert_int_eq(kickmsg_receive(second, -1, &sample), 0);
			ck_assert_int_eq(*(const int *)sample.data, k);
			ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		}
	}
	ck_assert_str_eq(told.text, "drJJdrJJdrJJdrJJdrJJdrJJdrJJdrJJdrJJdrJJ");
	ck_assert_uint_eq(flow_health(TOPIC).subscribers, 0);
	kickmsg_client_free(client);
	kickmsg_client_free(maker);
}
END_TEST

/* The member's own messages are never heard and no loss, in whatever region they are and were
 * overwritten. */
START_TEST(own_messages_are_no_loss)
{
	struct kickmsg_client *client = told_client("client"), *other = flow_client("other");
	struct kickmsg_publisher *own, *theirs;
	struct kickmsg_subscriber *subscriber, *ears;
	uint64_t heard = 0;

	join_deaf(client, &own, &subscriber);
	ck_assert_int_eq(kickmsg_join_broadcast(other, "c", &config, NULL, &theirs, &ears), 0);
	for (unsigned i = 0; i < 6; i++) {
		struct kickmsg_topic_ref ref = { .name = "c", .kind = KICKMSG_BROADCAST };
		struct kickmsg_topic_info info;

		send_ints(own, 1000, i < 3 ? 10 : 2 * CAPACITY);
		send_ints(theirs, 0, 5);
		restart();
		/* in turn one of the two members comes back first, and has the id that the other
		 * one had before */
		if (i % 2 == 0)
			ck_assert(test_wait_until(
				(kickmsg_client_dispatch(other),
					kickmsg_topic_get_info(other, &ref, &info) == 0 &&
						info.publishers == 1),
				FLOW_WAIT_MS));
		dispatch_until(client, 4 * (i + 1));
		ck_assert(test_wait_until((kickmsg_client_dispatch(other),
						  kickmsg_topic_get_info(other, &ref, &info) == 0 &&
							  info.publishers == 2),
			FLOW_WAIT_MS));
		if (i % 3 == 2) { /* what was sent before the subscriber comes */
			send_ints(own, 2000, 2 * CAPACITY);
			send_ints(theirs, 5, 3);
			expect_ints(subscriber, 0, 8);
		} else {
			expect_ints(subscriber, 0, 5);
			ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
			send_ints(own, 2000, 10);
			send_ints(theirs, 5, 3);
			expect_ints(subscriber, 5, 3);
		}
		heard += 8;
		send_ints(own, 3000, 1);
		expect_end(subscriber, heard, 0);
		send_ints(theirs, 9, 1);
		expect_ints(subscriber, 9, 1);
		heard++;
	}
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

/* A member's publisher sends something in the old region after its subscriber has left it. That is
 * no loss, since the subscriber doesn't hear it anyhow. */
START_TEST(own_message_left_behind_is_no_loss)
{
	struct kickmsg_client *client = told_client("client");
	struct kickmsg_publisher *own;
	struct kickmsg_subscriber *subscriber;

	join_deaf(client, &own, &subscriber);
	for (unsigned i = 0; i < 10; i++) {
		send_ints(own, 0, 2);
		restart();
		dispatch_until(client, 4 * i + 3); /* the subscriber is asked for first */
		ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
		send_ints(own, 2, 3);
		expect_end(subscriber, 0, 0);
		dispatch_until(client, 4 * (i + 1));
		expect_end(subscriber, 0, 0);
		send_ints(own, 5, i % 3);
		expect_end(subscriber, 0, 0);
	}
	kickmsg_client_free(client);
}
END_TEST

/* A member comes to its own messages when it has left their region for good and has its place in a
 * third one. */
START_TEST(own_messages_of_long_ago_are_passed_over)
{
	struct kickmsg_client *client = told_client("client");
	struct kickmsg_publisher *own;
	struct kickmsg_subscriber *subscriber;

	join_deaf(client, &own, &subscriber);
	for (unsigned i = 1; i <= 4; i++) {
		send_ints(own, 0, 5);
		restart();
		dispatch_until(client, 4 * i);
		/* with the first message the publisher goes to its fresh place, with the second it
		 * gives the old one up */
		send_ints(own, 5, 2);
	}
	expect_end(subscriber, 0, 0);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(sole_publisher_stays_alone)
{
	struct kickmsg_client *client = told_client("sole"), *other = flow_client("other");
	struct kickmsg_publisher *publisher, *rival;
	struct kickmsg_subscriber *subscriber;
	void *loan;

	config.max_publishers = 1;
	publisher = flow_advertise(client, TOPIC, &config);
	subscriber = flow_subscribe(client, TOPIC);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(kickmsg_loan(publisher, sizeof i, &loan), 0);
		*(int *)loan = i;
		test_broker_kill(&broker);
		send_ints(publisher, 100, 10);
		test_broker_resume(&broker);
		dispatch_until(client, 4 * (unsigned)(i + 1));
		send_ints(publisher, 110, 10);
		ck_assert_int_ge(kickmsg_publish(publisher, loan, sizeof i), 0);
		expect_ints(subscriber, 100, 20);
		expect_ints(subscriber, i, 1);
		expect_end(subscriber, 21 * (unsigned)(i + 1), 0);
		ck_assert_int_eq(kickmsg_advertise(other, TOPIC, &config, &rival), -ENOSPC);
	}
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

/* Any subscriber may write into the bell that subscribers have left, with a broker that lives as
 * well. Each message costs a system call then. */
START_TEST(false_word_that_subscribers_have_left_is_taken_back)
{
	struct kickmsg_client *client = flow_client("here");
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	struct km_bell *bell = subscriber->handle.place.region.bell;

	for (int again = 0; again < 2; again++) {
		km_bell_say_left(bell);
		ck_assert(test_wait_until(
			(flow_send_int(publisher, 0), !km_bell_is_left(bell)), FLOW_WAIT_MS));
		flow_send_int(publisher, 1);
		ck_assert(km_load(B1, seq_cst, &bell->word) & KM_BELL_WOKEN);
	}
	kickmsg_client_free(client);
}
END_TEST

/* Another client came back first and made the topic anew with the other transport. */
START_TEST(topic_comes_back_with_another_transport)
{
	struct kickmsg_client *client = told_client("client"), *other;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	void *loan;

	config.transport = (uint32_t)_i;
	publisher = flow_advertise(client, TOPIC, &config);
	subscriber = flow_subscribe(client, TOPIC);
	send_ints(publisher, 0, 3);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	ck_assert_int_eq(kickmsg_loan(publisher, sizeof(int), &loan), 0);
	*(int *)loan = 5;
	restart();
	other = flow_client("other");
	config.transport = (uint32_t)!_i;
	flow_advertise(other, TOPIC, &config);
	/* private rings have no history of that kind: that is refused once */
	dispatch_until(client, _i == KICKMSG_TRANSPORT_SHARED ? 5 : 4);
	ck_assert_int_eq(told.text[told.count - 1], 'J');
	ck_assert_int_eq(told.error, _i == KICKMSG_TRANSPORT_SHARED ? -EOPNOTSUPP : 0);
	send_ints(publisher, 3, 2);
	ck_assert_int_ge(kickmsg_publish(publisher, loan, sizeof(int)), 0);
	send_ints(publisher, 6, 4);
	expect_ints(subscriber, 1, 9);
	expect_end(subscriber, 10, 0);
	ck_assert_int_eq(*(const int *)sample.data, 0);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

START_TEST(own_messages_through_both_transports)
{
	struct kickmsg_client *client = told_client("client"), *other;
	struct kickmsg_publisher *own, *theirs;
	struct kickmsg_subscriber *subscriber, *ears;

	config.transport = (uint32_t)_i;
	join_deaf(client, &own, &subscriber);
	for (int i = 0; i < 4; i++) {
		unsigned count = told.count;

		send_ints(own, 0, 10);
		restart();
		other = flow_client("other");
		config.transport = !config.transport;
		ck_assert_int_eq(
			kickmsg_join_broadcast(other, "c", &config, NULL, &theirs, &ears), 0);
		dispatch_until(client, count + 4 + !config.transport);
		send_ints(own, 0, 2 * CAPACITY);
		send_ints(theirs, 0, 5);
		expect_ints(subscriber, 0, 5);
		send_ints(own, 0, 2);
		expect_end(subscriber, 5 * ((unsigned)i + 1), 0);
		kickmsg_client_free(other);
	}
	kickmsg_client_free(client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rejoin-shared");
	TCase *tcase = tcase_create("rejoin-shared");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, late_subscriber_gets_what_the_ring_keeps);
	tcase_add_test(tcase, region_never_seen_is_counted);
	tcase_add_test(tcase, publisher_that_stays_is_counted);
	tcase_add_test(tcase, observer_follows);
	tcase_add_test(tcase, writable_comes_back_writable);
	tcase_add_test(tcase, own_messages_are_no_loss);
	tcase_add_test(tcase, own_message_left_behind_is_no_loss);
	tcase_add_test(tcase, own_messages_of_long_ago_are_passed_over);
	tcase_add_test(tcase, sole_publisher_stays_alone);
	tcase_add_test(tcase, false_word_that_subscribers_have_left_is_taken_back);
	tcase_add_loop_test(tcase, topic_comes_back_with_another_transport, 0, 2);
	tcase_add_loop_test(tcase, own_messages_through_both_transports, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
