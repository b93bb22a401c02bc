/* SPDX-License-Identifier: Apache-2.0 */
/* Reliable subscribers that move to a fresh region: its transport may be another one, and publishers
 * may stay in the region before. */
#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

#define CAPACITY 16
#define STALL_NS UINT64_C(100000000)
#define TRIES    1000 /* of 10 ms, on a busy machine */

static struct kickmsg_topic_config config;
static const struct kickmsg_subscribe_options reliable = { .reliable = 1 };

static void make_config(uint32_t transport)
{
	kickmsg_topic_config_init(&config);
	config.ring_capacity = CAPACITY;
	config.max_publishers = 2;
	config.max_reliable = 2;
	config.stall_ns = STALL_NS;
	config.transport = transport;
}

static struct kickmsg_subscriber *subscribe(struct kickmsg_client *client)
{
	struct kickmsg_subscriber *ret = NULL;

	ck_assert_int_eq(kickmsg_subscribe(client, "t", &reliable, &ret), 0);
	return ret;
}

static void lose_broker(void)
{
	test_broker_kill(&broker);
	test_broker_resume(&broker);
}

/* Receives by one of the calls, which move the subscriber where a fresh place is ready. */
static ssize_t receive(struct kickmsg_subscriber *subscriber, int by, int *ret)
{
	struct kickmsg_sample samples[4];
	ssize_t r;

	switch (by) {
	case 0:
		return kickmsg_try_receive_copy(subscriber, ret, sizeof *ret);
	case 1:
		r = kickmsg_receive_into(subscriber, ret, sizeof *ret, 0, samples);
		return r < 0 ? r : (ssize_t)sizeof *ret;
	case 2:
		r = kickmsg_try_receive(subscriber, samples);
		break;
	default:
		r = kickmsg_receive_many(subscriber, 0, samples, 4);
	}
	if (r < 0)
		return r;
	*ret = *(const int *)samples[0].data;
	ck_assert_int_eq(kickmsg_sample_release(&samples[0]), 0);
	return (ssize_t)sizeof *ret;
}

/* Another client makes the topic anew, with the other transport. */
START_TEST(topic_comes_back_with_the_other_transport)
{
	const uint32_t first = _i & 1 ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	const uint32_t second = _i & 1 ? KICKMSG_TRANSPORT_RINGS : KICKMSG_TRANSPORT_SHARED;
	struct kickmsg_client *client, *other;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_publisher *publisher;

	test_broker_start(&broker, NULL);
	client = flow_client("client");
	make_config(first);
	flow_advertise(client, "t", &config);
	subscriber = subscribe(client);
	lose_broker();
	other = flow_client("other");
	make_config(second);
	publisher = flow_advertise(other, "t", &config);
	for (int i = 0; i < TRIES && !subscriber->handle.fresh; i++) {
		kickmsg_client_dispatch(client);
		usleep(10000);
	}
	ck_assert_ptr_nonnull(subscriber->handle.fresh);
	for (int i = 0; i < 3 * CAPACITY; i++) {
		int value = -1;

		/* the first receive moves, with a message that waits or without */
		if (i > 0 || _i & 2)
			ck_assert_int_eq(kickmsg_send(publisher, &i, sizeof i), sizeof i);
		else
			ck_assert_int_lt(receive(subscriber, _i >> 2, &value), 0);
		if (i > 0 || _i & 2) {
			ck_assert_int_eq(receive(subscriber, _i >> 2, &value), sizeof value);
			ck_assert_int_eq(value, i);
		}
		ck_assert_int_eq(subscriber->handle.place.region.shared != NULL,
			second == KICKMSG_TRANSPORT_SHARED);
	}
	ck_assert_int_eq(kickmsg_subscriber_lost(subscriber), 0);
	kickmsg_client_free(client);
	kickmsg_client_free(other);
	flow_stop();
}
END_TEST

/* A reliable subscriber has moved. A publisher for which there is no place in the fresh region goes on in
 * the old one, and waits for that subscriber no more. */
START_TEST(publisher_that_stays_behind_goes_on)
{
	struct kickmsg_client *client, *left, *other;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_publisher *publisher;
	const struct km_endpoint *old;

	test_broker_start(&broker, NULL);
	client = flow_client("client");
	left = flow_client("left");
	make_config(_i ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS);
	publisher = flow_advertise(left, "t", &config);
	subscriber = subscribe(client);
	lose_broker();
	other = flow_client("other");
	for (int i = 0; i < 2; i++) /* both places */
		flow_advertise(other, "t", &config);
	old = subscriber->handle.place.record;
	for (int i = 0; i < TRIES && subscriber->handle.place.record == old; i++) {
		int value;

		kickmsg_client_dispatch(client);
		kickmsg_client_dispatch(left);
		kickmsg_try_receive_copy(subscriber, &value, sizeof value);
		usleep(10000);
	}
	ck_assert_ptr_ne(subscriber->handle.place.record, old);
	for (int i = 0; i < 4 * CAPACITY; i++)
		ck_assert_int_eq(
			kickmsg_send_wait(publisher, &i, sizeof i, INT64_C(20000000000)), sizeof i);
	kickmsg_client_free(client);
	kickmsg_client_free(left);
	kickmsg_client_free(other);
	flow_stop();
}
END_TEST

/* How a topic was before it was made anew with reliable subscribers. */
static void make_ordinary(int way)
{
	make_config(way % 3 == 1 ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS);
	config.max_reliable = 0;
	config.stall_ns = 0;
	config.history = way % 3 == 2 ? 4 : 0;
}

/* Publishes the loan, and says how often that was refused for want of room. */
static int publish_waiting(
	struct kickmsg_publisher *publisher, void *loan, struct kickmsg_subscriber *taker)
{
	int refused = 0, value, r;

	while ((r = kickmsg_publish(publisher, loan, sizeof value)) == -ENOBUFS && refused < 3)
		refused++;
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_eq(kickmsg_publish_wait(publisher, loan, sizeof value, 1), -ETIMEDOUT);
	ck_assert_uint_eq(publisher->handle.place.past->loan_count, 1);
	ck_assert_int_eq(kickmsg_try_receive_copy(taker, &value, sizeof value), sizeof value);
	ck_assert_int_eq(kickmsg_publish_wait(publisher, loan, sizeof value, -1), 1);
	ck_assert_int_eq(kickmsg_publish(publisher, loan, sizeof value), -EINVAL);
	return refused;
}

/* A loan of a topic without reliable subscribers. The publisher goes with it to the fresh topic, where a
 * reliable subscriber has no room: the loan is still lent. */
START_TEST(loan_stays_lent_where_the_fresh_topic_has_no_room)
{
	struct kickmsg_client *client, *other_client;
	struct kickmsg_publisher *publisher, *other;
	struct kickmsg_subscriber *slow, *fast;
	int value = 0;
	void *loan;

	test_broker_start(&broker, NULL);
	client = flow_client("client");
	make_ordinary(_i);
	ck_assert_int_eq(kickmsg_advertise_or_join(client, "t", &config, &publisher), 0);
	/* the usual publish needs one subscriber there */
	fast = flow_subscribe(client, "t");
	flow_send_int(publisher, 1);
	ck_assert_int_eq(kickmsg_loan(publisher, sizeof value, &loan), 0);
	*(int *)loan = 77;
	kickmsg_subscriber_free(fast);
	lose_broker();
	other_client = flow_client("other");
	make_config(_i < 3 ? KICKMSG_TRANSPORT_RINGS : KICKMSG_TRANSPORT_SHARED);
	config.stall_ns = UINT64_C(100000000000);
	other = flow_advertise(other_client, "t", &config);
	slow = subscribe(other_client);
	while (kickmsg_send(other, &value, sizeof value) == (ssize_t)sizeof value)
		value++;
	for (int i = 0; i < TRIES && !publisher->handle.fresh; i++) {
		kickmsg_client_dispatch(client);
		usleep(10000);
	}
	ck_assert_ptr_nonnull(publisher->handle.fresh);
	ck_assert_int_eq(publish_waiting(publisher, loan, slow), 3);
	for (int i = 1; i < value; i++)
		ck_assert_int_eq(flow_receive_int(slow), i);
	ck_assert_int_eq(flow_receive_int(slow), 77);
	kickmsg_client_free(client);
	kickmsg_client_free(other_client);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-reliable-moves");
	TCase *tc = tcase_create("moves");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, topic_comes_back_with_the_other_transport, 0, 16);
	tcase_add_loop_test(tc, publisher_that_stays_behind_goes_on, 0, 2);
	tcase_add_loop_test(tc, loan_stays_lent_where_the_fresh_topic_has_no_room, 0, 6);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
