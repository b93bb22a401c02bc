/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics with a shared ring through the broker: kinds, history, observers, who is privileged, and
 * what is left of the dead.
 *
 * The file is long because each right of an endpoint has a case, over one fixture.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

static struct kickmsg_client *client, *other;
static struct kickmsg_topic_config config;

static void setup(void)
{
	test_broker_start(&broker, "[recovery]\ninterval = 5\n");
	client = flow_client("a");
	other = flow_client("b");
	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.ring_capacity = 8;
	config.max_payload_size = 64;
	config.max_subscribers = 200;
}

static void teardown(void)
{
	kickmsg_client_free(client);
	kickmsg_client_free(other);
	flow_stop();
}

static struct kickmsg_subscriber *subscribe_with(const struct kickmsg_subscribe_options *options)
{
	struct kickmsg_subscriber *s = NULL;

	ck_assert_msg(kickmsg_subscribe(other, "t", options, &s) == 0, "%s",
		kickmsg_client_last_error(other));
	return s;
}

START_TEST(many_subscribers_all_see_all_in_both_styles)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *s[200], *more = NULL;
	struct kickmsg_sample sample;

	for (int i = 0; i < 200; i++)
		s[i] = flow_subscribe(other, "t");
	ck_assert_int_eq(kickmsg_subscribe(other, "t", NULL, &more), -ENOSPC);
	flow_send_int(p, 1);
	flow_send_int(p, 2);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(flow_receive_int(s[i]), 1);
		ck_assert_int_eq(kickmsg_try_receive(s[i], &sample), 0);
		ck_assert_int_eq(*(const int *)sample.data, 2);
		ck_assert_uint_eq(sample.publisher_sequence, 2);
		ck_assert_uint_eq((uintptr_t)sample.data % 64, 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		ck_assert_int_eq(flow_receive_int(s[i]), -EAGAIN);
	}
	kickmsg_subscriber_free(s[7]);
	ck_assert(test_wait_until(kickmsg_subscribe(other, "t", NULL, &more) == 0, FLOW_WAIT_MS));
	ck_assert(flow_is_healthy("t"));
}
END_TEST

START_TEST(overtaken_subscriber_counts_exactly_what_it_lost)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *s = flow_subscribe(other, "t");
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_stats stats;

	for (int i = 0; i < 20; i++)
		flow_send_int(p, i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 12);
	for (int i = 12; i < 20; i++)
		ck_assert_int_eq(flow_receive_int(s), i);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 12);
	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	ck_assert_uint_eq(stats.sent, 20);
	ck_assert_uint_eq(stats.received, 8);
	ck_assert_uint_eq(stats.lost, 12);
}
END_TEST

/* More than a page of them, and more than there could be private rings: each is told of, once. */
START_TEST(ring_stats_of_every_subscriber)
{
	enum { MANY = 600, EACH = 200 };
	struct kickmsg_client *clients[MANY / EACH];
	struct kickmsg_topic_ref ref = { .name = "t" };
	static struct kickmsg_ring_stats rings[MANY + 1];
	static struct kickmsg_subscriber *s[MANY];
	struct kickmsg_topic_stats stats;
	uint64_t cursor = 0;
	ssize_t count = 0, n;

	config.max_subscribers = MANY;
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	for (int i = 0; i < MANY; i++) {
		if (i % EACH == 0)
			clients[i / EACH] = flow_client("many");
		s[i] = flow_subscribe(clients[i / EACH], "t");
	}
	flow_send_int(p, 1);
	for (int i = 0; i < MANY; i += 2)
		ck_assert_int_eq(flow_receive_int(s[i]), 1);
	/* pages of a size that isn't the broker's */
	while ((n = kickmsg_topic_ring_stats(
			client, &ref, &cursor, rings + count, count < MANY - 7 ? 7 : 1)) > 0)
		count += n;
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(count, MANY);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(rings[i].received, (uint64_t)i % 2);
		ck_assert_uint_eq(rings[i].waiting, (uint64_t) !(i % 2));
		ck_assert_uint_eq(rings[i].ring, UINT32_MAX);
		ck_assert(i == 0 || rings[i].subscriber_id < rings[i - 1].subscriber_id);
	}
	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	ck_assert_uint_eq(stats.live_rings, MANY);
	ck_assert_uint_eq(stats.ring_count, MANY);
	ck_assert_uint_eq(stats.received, MANY / 2);
	/* kickmsgctl shows them all, in one document */
	static char output[MANY * 256];
	size_t shown = 0;
	ck_assert_int_eq(flow_ctl(output, sizeof output, "stats", "t", "--json"), 0);
	for (const char *at = output; (at = strstr(at, "\"subscriber_id\"")); at++)
		shown++;
	ck_assert_uint_eq(shown, MANY);
	for (int i = 0; i < MANY / EACH; i++)
		kickmsg_client_free(clients[i]);
}
END_TEST

START_TEST(history_as_far_as_it_is_there)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	static const struct {
		uint32_t history;
		int sent, first;
	} cases[] = { { 0, 3, -EAGAIN }, { 2, 3, 1 }, { 8, 3, 0 }, { 3, 20, 17 }, { 8, 20, 12 },
		{ UINT32_MAX, 20, 12 } };
	int sent = 0;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct kickmsg_subscribe_options options = { .history = cases[i].history };

		for (; sent < cases[i].sent; sent++)
			flow_send_int(p, sent);
		struct kickmsg_subscriber *s = subscribe_with(&options);
		ck_assert_int_eq(flow_receive_int(s), cases[i].first);
		ck_assert_uint_eq(kickmsg_subscriber_lost(s), 0);
		kickmsg_subscriber_free(s);
	}
}
END_TEST

START_TEST(rings_have_neither_history_nor_observers)
{
	struct kickmsg_subscribe_options history = { .history = 1 }, observe = { .observe = 1 };
	struct kickmsg_subscriber *s = NULL;

	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.max_subscribers = 4;
	flow_advertise(client, "t", &config);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &history, &s), -EOPNOTSUPP);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &observe, &s), -EOPNOTSUPP);
	ck_assert(flow_said(other, "shared ring"));
	ck_assert_ptr_null(s);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	struct kickmsg_publisher *p = NULL;
	ck_assert_int_eq(kickmsg_advertise(other, "t", &config, &p), -EEXIST);
	ck_assert(flow_said(other, "transport = 0, not 1"));
}
END_TEST

START_TEST(refused_history_leaves_no_topic)
{
	struct kickmsg_subscribe_options history = { .history = 1 };
	struct kickmsg_subscriber *s = NULL;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info = { 0 };

	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.max_subscribers = 4;
	config.persistent = 1;
	ck_assert_int_eq(
		kickmsg_subscribe_or_create(client, "t", &config, &history, &s), -EOPNOTSUPP);
	ck_assert_int_eq(kickmsg_topic_get_info(other, &ref, &info), -ENOENT);
}
END_TEST

START_TEST(auto_goes_by_payload_and_subscribers)
{
	static const struct {
		uint64_t payload;
		uint32_t subscribers, transport;
	} cases[] = { { 1, 1, KICKMSG_TRANSPORT_SHARED },
		{ 4096, KM_MAX_RINGS, KICKMSG_TRANSPORT_SHARED },
		{ 4097, KM_MAX_RINGS, KICKMSG_TRANSPORT_RINGS },
		{ 4097, KM_MAX_RINGS + 1, KICKMSG_TRANSPORT_SHARED } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct kickmsg_topic_ref ref = { .name = "auto" };
		struct kickmsg_topic_info info;

		config.transport = KICKMSG_TRANSPORT_AUTO;
		config.max_payload_size = cases[i].payload;
		config.max_subscribers = cases[i].subscribers;
		struct kickmsg_publisher *p = flow_advertise(client, "auto", &config);
		ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
		ck_assert_uint_eq(info.config.transport, cases[i].transport);
		kickmsg_publisher_free(p);
	}
}
END_TEST

static bool can_write(void *memory)
{
	return mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0;
}

START_TEST(observer_is_noticed_by_nobody)
{
	struct kickmsg_subscribe_options options = { .observe = 1, .history = 1 };
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_participant people[4];
	uint64_t cursor = 0;

	flow_send_int(p, 1);
	struct kickmsg_subscriber *s = subscribe_with(&options);
	flow_send_int(p, 2);
	ck_assert_int_eq(flow_receive_int(s), 1);
	ck_assert_int_eq(flow_receive_int(s), 2);
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 1);
	ck_assert_uint_eq(flow_health("t").subscribers, 0);
	/* an observer has the memory read only, and keeps nothing alive */
	ck_assert(!can_write(s->handle.place.control));
	int value = 0;
	ck_assert_int_eq(kickmsg_receive_copy(s, &value, sizeof value, 3000000), -ETIMEDOUT);
	kickmsg_publisher_free(p);
	ck_assert_int_eq(kickmsg_receive_copy(s, &value, sizeof value, -1), -ESTALE);
	kickmsg_subscriber_free(s);
}
END_TEST

START_TEST(who_asks_for_it_has_the_ring_writable)
{
	struct kickmsg_subscribe_options options = { .writable = 1 };
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *usual = subscribe_with(NULL), *none = NULL;
	struct kickmsg_subscriber *s = subscribe_with(&options);

	ck_assert(!can_write(usual->handle.place.control));
	ck_assert(can_write(s->handle.place.control));
	/* a pooled payload is never writable */
	ck_assert(!can_write(s->handle.place.payload));
	flow_send_int(p, 1);
	ck_assert_int_eq(flow_receive_int(s), 1);
	ck_assert_int_eq(flow_receive_int(usual), 1);
	options.observe = 1;
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &none), -EINVAL);
	ck_assert(flow_said(other, "an observer can't have the topic's memory writable"));
	options = (struct kickmsg_subscribe_options){ .writable = 2 };
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &none), -EINVAL);
	ck_assert_uint_eq(flow_health("t").subscribers, 2);
}
END_TEST

static void *receive_one(void *subscriber)
{
	int value = -1;

	ck_assert_int_eq(kickmsg_receive_copy(subscriber, &value, sizeof value, -1), sizeof value);
	return (void *)(intptr_t)value;
}

START_TEST(sleepers_are_all_woken_by_one_message)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_client *clients[8];
	pthread_t threads[8];
	void *value;

	for (int i = 0; i < 8; i++) {
		clients[i] = flow_client("sleeper");
		ck_assert_int_eq(pthread_create(&threads[i], NULL, receive_one,
					 flow_subscribe(clients[i], "t")),
			0);
	}
	flow_send_int(p, 41);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &value);
		ck_assert_int_eq((int)(intptr_t)value, 41);
		kickmsg_client_free(clients[i]);
	}
}
END_TEST

START_TEST(channel_with_and_without_oneself)
{
	struct kickmsg_subscribe_options skip = { .skip_own = 1 };
	struct kickmsg_publisher *p, *q;
	struct kickmsg_subscriber *s, *t;

	ck_assert_int_eq(kickmsg_join_broadcast(client, "c", &config, &skip, &p, &s), 0);
	ck_assert_int_eq(kickmsg_join_broadcast(other, "c", &config, NULL, &q, &t), 0);
	flow_send_int(p, 1);
	flow_send_int(q, 2);
	flow_send_int(p, 3);
	ck_assert_int_eq(flow_receive_int(s), 2);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 0);
	for (int i = 1; i <= 3; i++)
		ck_assert_int_eq(flow_receive_int(t), i);
	/* half of the 20 that are overwritten are its own, which are no loss once one of them is
	 * met */
	for (int i = 0; i < 14; i++) {
		flow_send_int(p, 100 + i);
		flow_send_int(q, 200 + i);
	}
	for (int i = 10; i < 14; i++)
		ck_assert_int_eq(flow_receive_int(s), 200 + i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 10);
}
END_TEST

START_TEST(mailbox_many_write_one_reads)
{
	struct kickmsg_subscriber *s;
	struct kickmsg_publisher *p, *q;

	ck_assert_int_eq(kickmsg_create_mailbox(client, "m", &config, NULL, &s), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "a", "m", &p), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "a", "m", &q), 0);
	flow_send_int(p, 1);
	flow_send_int(q, 2);
	ck_assert_int_eq(flow_receive_int(s), 1);
	ck_assert_int_eq(flow_receive_int(s), 2);
}
END_TEST

/* The id that may write into the cells, as a publisher sees it. */
static uint32_t privileged(const struct kickmsg_publisher *publisher)
{
	return publisher->handle.place.region.header->privileged;
}

/* Slots that cells name: who isn't privileged uses one. */
static uint32_t slots_used(void)
{
	return flow_health("t").slots_in_flight;
}

START_TEST(privilege_passes_on_when_its_holder_leaves)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	struct kickmsg_publisher *q = flow_advertise(other, "t", NULL);
	struct kickmsg_subscriber *s = flow_subscribe(other, "t");

	ck_assert_uint_eq(privileged(q), p->handle.place.id);
	flow_send_int(p, 1);
	ck_assert_uint_eq(slots_used(), 0);
	flow_send_int(q, 2);
	ck_assert_uint_eq(slots_used(), 1);
	kickmsg_publisher_free(p);
	ck_assert(test_wait_until(privileged(q) == q->handle.place.id, FLOW_WAIT_MS));
	flow_send_int(q, 3);
	ck_assert_uint_eq(slots_used(), 1);
	for (int i = 1; i <= 3; i++)
		ck_assert_int_eq(flow_receive_int(s), i);
	ck_assert(flow_is_healthy("t"));
}
END_TEST

static void live_privileged(void *unused)
{
	struct kickmsg_client *own = flow_client("victim");
	struct kickmsg_publisher *publisher = flow_advertise(own, "t", &config);
	void *payload;

	flow_send_int(publisher, 1);
	ck_assert_int_eq(kickmsg_loan(publisher, 4, &payload), 0);
	test_child_ready();
	for (;;)
		pause();
}

START_TEST(privilege_passes_on_when_its_holder_is_killed)
{
	struct kickmsg_topic_sizing sizing;
	pid_t victim = test_child_start(live_privileged, NULL);
	struct kickmsg_publisher *q = flow_advertise(other, "t", NULL);
	struct kickmsg_subscriber *s = flow_subscribe(other, "t");

	ck_assert_uint_ne(privileged(q), q->handle.place.id);
	flow_send_int(q, 2);
	test_child_end(victim, SIGKILL);
	flow_send_int(q, 3);
	ck_assert(test_wait_until(privileged(q) == q->handle.place.id, FLOW_WAIT_MS));
	flow_send_int(q, 4);
	for (int i = 2; i <= 4; i++)
		ck_assert_int_eq(flow_receive_int(s), i);
	/* the publisher's loan came back; one message lies in a slot, or two */
	ck_assert(test_wait_until(
		flow_is_healthy("t") && flow_health("t").slots_loaned == 0, FLOW_WAIT_MS));
	kickmsg_topic_config_check(&config, &sizing);
	ck_assert_uint_ge(flow_health("t").slots_free, sizing.needed_pool - 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-shared");
	TCase *tc = tcase_create("shared");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, many_subscribers_all_see_all_in_both_styles);
	tcase_add_test(tc, overtaken_subscriber_counts_exactly_what_it_lost);
	tcase_add_test(tc, ring_stats_of_every_subscriber);
	tcase_add_test(tc, history_as_far_as_it_is_there);
	tcase_add_test(tc, rings_have_neither_history_nor_observers);
	tcase_add_test(tc, refused_history_leaves_no_topic);
	tcase_add_test(tc, auto_goes_by_payload_and_subscribers);
	tcase_add_test(tc, observer_is_noticed_by_nobody);
	tcase_add_test(tc, who_asks_for_it_has_the_ring_writable);
	tcase_add_test(tc, sleepers_are_all_woken_by_one_message);
	tcase_add_test(tc, channel_with_and_without_oneself);
	tcase_add_test(tc, mailbox_many_write_one_reads);
	tcase_add_test(tc, privilege_passes_on_when_its_holder_leaves);
	tcase_add_test(tc, privilege_passes_on_when_its_holder_is_killed);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
