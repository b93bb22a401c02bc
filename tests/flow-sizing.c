/* SPDX-License-Identifier: Apache-2.0 */
/* With a pool of the size that kickmsg_topic_config_check() says, a send never meets an empty one:
 * everybody has all that they may have at once, also who is dead and not yet missed. */
#include "flow.h"

enum { PUBLISHERS = 3, SUBSCRIBERS = 3, BORROWS = 2, LOANS = 2, CAPACITY = 4, MANY = 200 };

static struct kickmsg_client *client;
static struct kickmsg_topic_config config;
static struct kickmsg_topic_sizing sizing;
static struct kickmsg_publisher *publishers[PUBLISHERS];
static struct kickmsg_subscriber *subscribers[SUBSCRIBERS];
static struct kickmsg_sample samples[SUBSCRIBERS][BORROWS];
static void *loans[PUBLISHERS][LOANS];

static void setup(void)
{
	test_broker_start(&broker, NULL);
	client = flow_client("sizing");
	kickmsg_topic_config_init(&config);
	config.max_publishers = PUBLISHERS;
	config.max_subscribers = SUBSCRIBERS;
	config.max_borrows = BORROWS;
	config.max_loans = LOANS;
	config.ring_capacity = CAPACITY;
	kickmsg_topic_config_check(&config, &sizing);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* Subscriber `i` holds messages that no other one has any more. */
static void borrow_own(int i, int subscriber_count)
{
	for (int k = 0; k < BORROWS; k++) {
		flow_send_int(publishers[0], k);
		ck_assert_int_eq(kickmsg_try_receive(subscribers[i], &samples[i][k]), 0);
		for (int other = 0; other < subscriber_count; other++)
			if (other != i)
				ck_assert_int_eq(flow_receive_int(subscribers[other]), k);
	}
}

static void take_all_that_one_may(int subscriber_count)
{
	for (int i = 0; i < subscriber_count; i++)
		borrow_own(i, subscriber_count);
	for (int i = 0; i < PUBLISHERS; i++)
		for (int k = 0; k < LOANS; k++)
			ck_assert_int_eq(kickmsg_loan(publishers[i], 4, &loans[i][k]), 0);
	for (int i = 0; i < CAPACITY; i++)
		flow_send_int(publishers[0], i);
}

static void join(int subscriber_count)
{
	for (int i = 0; i < PUBLISHERS; i++)
		publishers[i] = flow_advertise(client, "t", &config);
	for (int i = 0; i < subscriber_count; i++)
		subscribers[i] = flow_subscribe(client, "t");
}

START_TEST(needed_pool_all_at_their_limits_sends_go_on)
{
	ck_assert_uint_eq(sizing.needed_pool,
		CAPACITY + SUBSCRIBERS * BORROWS + PUBLISHERS * (LOANS + 2) + 1);
	config.pool_size = (uint32_t)sizing.needed_pool;
	join(SUBSCRIBERS);
	take_all_that_one_may(SUBSCRIBERS);
	for (int i = 0; i < MANY; i++)
		flow_send_int(publishers[i % PUBLISHERS], i);
	teardown();
}
END_TEST

/* The same with a pool that all of that fills: so it is really all out at once. */
START_TEST(pool_that_is_all_out_send_eagain)
{
	int value = 0;

	config.pool_size = CAPACITY + SUBSCRIBERS * BORROWS + PUBLISHERS * LOANS;
	join(SUBSCRIBERS);
	take_all_that_one_may(SUBSCRIBERS);
	ck_assert_int_eq(kickmsg_send(publishers[1], &value, sizeof value), -EAGAIN);
	ck_assert_int_eq(kickmsg_sample_release(&samples[1][0]), 0);
	flow_send_int(publishers[1], 1);
	teardown();
}
END_TEST

/* Takes a subscriber's share and a full ring with it into death. */
static void live_and_hold(void *unused)
{
	struct kickmsg_client *own = flow_client("victim");
	struct kickmsg_subscriber *subscriber = flow_subscribe(own, "t");
	struct kickmsg_publisher *publisher = flow_advertise(own, "t", NULL);

	for (int k = 0; k < BORROWS; k++) {
		flow_send_int(publisher, k);
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &samples[0][k]), 0);
	}
	for (int k = 0; k < LOANS; k++)
		ck_assert_int_eq(kickmsg_loan(publisher, 4, &loans[0][k]), 0);
	for (int k = 0; k < CAPACITY; k++)
		flow_send_int(publisher, k);
	test_child_ready();
	for (;;)
		pause();
}

START_TEST(dead_and_not_missed_sends_go_on)
{
	config.pool_size = (uint32_t)sizing.needed_pool;
	publishers[0] = flow_advertise(client, "t", &config);
	publishers[1] = flow_advertise(client, "t", &config);
	pid_t victim = test_child_start(live_and_hold, NULL);
	ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
	test_child_end(victim, SIGKILL);
	for (int i = 0; i < MANY; i++)
		flow_send_int(publishers[i % 2], i);
	ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
	for (int i = 0; i < MANY; i++)
		flow_send_int(publishers[i % 2], i);
	ck_assert(test_wait_until(flow_health("t").slots_free == config.pool_size, FLOW_WAIT_MS));
	teardown();
}
END_TEST

/* Members that skip their own messages: each ring keeps what the other one sent. Returns how many
 * of the sends found a slot. */
static int fill_both(const char *channel)
{
	const struct kickmsg_subscribe_options skip = { .skip_own = 1 };
	int value = 0, sent = 0;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_join_broadcast(client, channel, &config, &skip,
					 &publishers[i], &subscribers[i]),
			0);
	for (int i = 0; i < 2; i++)
		for (uint32_t k = 0; k < config.ring_capacity; k++)
			sent += kickmsg_send(publishers[i], &value, sizeof value) == sizeof value;
	return sent;
}

START_TEST(broadcast_skip_own_needs_its_own_pool)
{
	config.ring_capacity = 64;
	kickmsg_topic_config_check(&config, &sizing);
	ck_assert_uint_eq(sizing.needed_pool_broadcast, sizing.needed_pool + 64);
	config.pool_size = (uint32_t)sizing.needed_pool;
	ck_assert_int_lt(fill_both("small"), 128);
	/* the last control call brought the warning */
	ck_assert(flow_said(client, "pool_size"));
	config.pool_size = (uint32_t)sizing.needed_pool_broadcast;
	ck_assert_int_eq(fill_both("enough"), 128);
	ck_assert_str_eq(kickmsg_client_last_error(client), "");
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sizing");
	TCase *tc = tcase_create("sizing");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, needed_pool_all_at_their_limits_sends_go_on);
	tcase_add_test(tc, pool_that_is_all_out_send_eagain);
	tcase_add_test(tc, dead_and_not_missed_sends_go_on);
	tcase_add_test(tc, broadcast_skip_own_needs_its_own_pool);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
