/* SPDX-License-Identifier: Apache-2.0 */
/* With a pool of the size that kickmsg_topic_config_check() says, a send never meets an empty one:
 * everybody has all that they may have at once, also a client that is dead and not yet missed. A
 * pool_size of 0 stands for that size. */
#include "tests/support/broker/flow.h"

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
	config.pool_size = _i == 0 ? (uint32_t)sizing.needed_pool : 0;
	join(SUBSCRIBERS);
	ck_assert_uint_eq(flow_health("t").slots_free, sizing.needed_pool);
	take_all_that_one_may(SUBSCRIBERS);
	for (int i = 0; i < MANY; i++)
		flow_send_int(publishers[i % PUBLISHERS], i);
	teardown();
}
END_TEST

/* A pool that all of that fills: so it is really all out at once. */
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

/* Two members skip their own messages, so each one's ring keeps the other's. Returns how many of
 * the sends found a slot. */
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

/* The pool that a channel, mailbox or topic of that name has. */
static uint64_t pool_of(enum kickmsg_kind kind, const char *name)
{
	const struct kickmsg_topic_ref topic = { .name = name, .owner = "sizing", .kind = kind };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_get_info(client, &topic, &info), 0);
	return info.config.pool_size;
}

static bool nobody_warned(void)
{
	return kickmsg_client_last_error(client)[0] == '\0' &&
	       !test_broker_logged(&broker, "is below");
}

/* A topic that is made without a config is the one that the defaults make, said one by one. */
START_TEST(null_and_defaults_are_one_topic_without_warning)
{
	struct kickmsg_topic_ref first = { .name = "null" }, second = { .name = "said" };
	struct kickmsg_topic_info null, said;

	flow_advertise(client, "null", NULL);
	ck_assert(nobody_warned());
	kickmsg_topic_config_init(&config);
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), 0);
	flow_advertise(client, "said", &config);
	ck_assert(nobody_warned());
	flow_advertise(client, "null", &config);
	config.pool_size = (uint32_t)sizing.needed_pool;
	flow_advertise(client, "null", &config);
	flow_advertise(client, "said", NULL);
	ck_assert(nobody_warned());
	ck_assert_int_eq(kickmsg_topic_get_info(client, &first, &null), 0);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &second, &said), 0);
	ck_assert_uint_eq(null.config_hash, said.config_hash);
	ck_assert_uint_eq(said.config_hash, sizing.config_hash);
	ck_assert_uint_eq(said.total_bytes, sizing.total_bytes);
	teardown();
}
END_TEST

START_TEST(pool_zero_each_kind_has_what_it_needs)
{
	struct kickmsg_topic_sizing one;

	config.transport = _i == 0 ? KICKMSG_TRANSPORT_RINGS : KICKMSG_TRANSPORT_SHARED;
	kickmsg_topic_config_check(&config, &sizing);
	flow_advertise(client, "t", &config);
	ck_assert(nobody_warned());
	ck_assert_uint_eq(pool_of(KICKMSG_PUBSUB, "t"), sizing.needed_pool);
	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "b", &config, NULL, &publishers[0], &subscribers[0]),
		0);
	ck_assert(nobody_warned());
	ck_assert_uint_eq(pool_of(KICKMSG_BROADCAST, "b"), sizing.needed_pool_broadcast);
	/* a mailbox has one subscriber, whatever the config says */
	ck_assert_int_eq(kickmsg_create_mailbox(client, "m", &config, NULL, &subscribers[1]), 0);
	ck_assert(nobody_warned());
	config.max_subscribers = 1;
	kickmsg_topic_config_check(&config, &one);
	ck_assert_uint_eq(pool_of(KICKMSG_MAILBOX, "m"), one.needed_pool);
	teardown();
}
END_TEST

/* A call that takes a topic as it is says in what it differs: 0 differs from another number. */
START_TEST(pool_zero_join_says_what_differs)
{
	struct kickmsg_publisher *publisher;
	char text[64];

	flow_advertise(client, "same", &config);
	ck_assert_int_eq(kickmsg_advertise_or_join(client, "same", &config, &publisher), 0);
	ck_assert(nobody_warned());
	config.pool_size = 2000;
	flow_advertise(client, "other", &config);
	config.pool_size = 0;
	snprintf(text, sizeof text, "pool_size = 2000, not %d", (int)sizing.needed_pool);
	ck_assert_int_eq(kickmsg_advertise_or_join(client, "other", &config, &publisher), 0);
	ck_assert(flow_said(client, text));
	ck_assert_int_eq(kickmsg_advertise(client, "other", &config, &publisher), -EEXIST);
	ck_assert(flow_said(client, text));
	teardown();
}
END_TEST

/* All at such limits take more slots than a topic may have. */
START_TEST(pool_zero_too_large_is_refused)
{
	struct kickmsg_publisher *publisher;

	config.max_publishers = 65535;
	config.max_loans = 1024;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "pool_size");
	ck_assert_int_eq(kickmsg_advertise(client, "t", &config, &publisher), -EINVAL);
	ck_assert(flow_said(client, "where 0 stands for as many as are needed"));
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sizing");
	TCase *tc = tcase_create("sizing");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, needed_pool_all_at_their_limits_sends_go_on, 0, 2);
	tcase_add_test(tc, pool_that_is_all_out_send_eagain);
	tcase_add_test(tc, dead_and_not_missed_sends_go_on);
	tcase_add_test(tc, broadcast_skip_own_needs_its_own_pool);
	tcase_add_test(tc, null_and_defaults_are_one_topic_without_warning);
	tcase_add_loop_test(tc, pool_zero_each_kind_has_what_it_needs, 0, 2);
	tcase_add_test(tc, pool_zero_join_says_what_differs);
	tcase_add_test(tc, pool_zero_too_large_is_refused);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
