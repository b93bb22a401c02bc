/* SPDX-License-Identifier: Apache-2.0 */
/* How long topics live: linger, persistent, unlink, and what can be asked of an unlinked one. */
#include "tests/support/broker/pair.h"

static bool exists(const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(other, &ref, &info) == 0;
}

START_TEST(lifetime_linger_persistent_and_none)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_publisher *p;
	struct kickmsg_subscriber *s;

	kickmsg_publisher_free(flow_advertise(client, "none", NULL));
	ck_assert(!exists("none"));
	kickmsg_topic_config_init(&config);
	config.linger_ns = 300000000;
	kickmsg_publisher_free(flow_advertise(client, "linger", &config));
	ck_assert(exists("linger"));
	p = flow_advertise(client, "linger", &config);
	kickmsg_publisher_free(p);
	ck_assert(test_wait_until(!exists("linger"), FLOW_WAIT_MS));
	config.linger_ns = 0;
	config.persistent = 1;
	p = flow_advertise(client, "for-good", &config);
	s = flow_subscribe(client, "for-good");
	void *loan;
	ck_assert_int_eq(kickmsg_loan(p, 8, &loan), 0);
	flow_send_int(p, 1);
	kickmsg_subscriber_free(s);
	kickmsg_publisher_free(p);
	ck_assert(exists("for-good"));
	/* the next ones find it whole: nothing of those before is in it */
	p = flow_advertise(client, "for-good", &config);
	s = flow_subscribe(client, "for-good");
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	flow_send_int(p, 2);
	ck_assert_int_eq(flow_receive_int(s), 2);
	kickmsg_subscriber_free(s);
	kickmsg_publisher_free(p);
	ck_assert(test_wait_until(flow_is_healthy("for-good"), FLOW_WAIT_MS));
	kickmsg_topic_config_check(&config, &sizing);
	ck_assert_uint_eq(flow_health("for-good").slots_free, sizing.needed_pool);
	ck_assert_int_eq(kickmsg_unlink_topic(other, "for-good"), 0);
	ck_assert(!exists("for-good"));
	ck_assert_int_eq(kickmsg_unlink_topic(other, "for-good"), -ENOENT);
}
END_TEST

START_TEST(unlink_with_participants_both_regions_live)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", NULL), *q;
	struct kickmsg_subscriber *s = flow_subscribe(client, "t"), *t = NULL;

	ck_assert_int_eq(kickmsg_unlink_topic(client, "t"), 0);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", NULL, &t), -ENOENT);
	q = flow_advertise(other, "t", NULL);
	t = flow_subscribe(other, "t");
	flow_send_int(p, 1);
	flow_send_int(q, 2);
	ck_assert_int_eq(flow_receive_int(s), 1);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_int_eq(flow_receive_int(t), 2);
	ck_assert_int_eq(flow_receive_int(t), -EAGAIN);
	kickmsg_publisher_free(p);
	kickmsg_subscriber_free(s);
	/* the answers came before it was freed */
	ck_assert(test_wait_until(test_map_count(broker.pid, "/kickmsg_t") == 1, FLOW_WAIT_MS));
}
END_TEST

/* The topic's name is gone, so it can't be asked for by name. The list has it. Its participants can
 * still look at its health, as long as no other topic has the name. */
START_TEST(unlinked_with_participants_what_can_be_asked)
{
	struct kickmsg_publisher *p = flow_advertise(client, "t", NULL);
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info[3];
	struct kickmsg_topic_stats stats;
	struct kickmsg_topic_diagnosis health;
	struct kickmsg_participant people[2];
	struct kickmsg_schema schema;
	uint64_t cursor = 0;
	void *loan;

	ck_assert_int_eq(kickmsg_loan(p, 1, &loan), 0);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t"), 0);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, info), -ENOENT);
	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), -ENOENT);
	ck_assert_int_eq(kickmsg_topic_schema(client, &ref, &schema), -ENOENT);
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 2), -ENOENT);
	ck_assert_int_eq(kickmsg_topic_diagnose(client, &ref, &health), 0);
	ck_assert_uint_eq(health.slots_loaned, 1);
	flow_advertise(other, "t", NULL);
	ck_assert_int_eq(kickmsg_topic_diagnose(client, &ref, &health), 0);
	ck_assert_uint_eq(health.slots_loaned, 0);
	ck_assert_int_eq(kickmsg_topic_list(client, &cursor, info, 3), 2);
	ck_assert_uint_eq(info[0].unlinked, 1);
	ck_assert_uint_eq(info[0].publishers, 1);
	ck_assert_uint_eq(info[1].unlinked, 0);
	ck_assert_str_eq(info[0].region, info[1].region);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info[2]), 0);
	ck_assert_uint_eq(info[2].id, info[1].id);
	/* with its last participant it ends */
	kickmsg_publisher_free(p);
	cursor = 0;
	ck_assert_int_eq(kickmsg_topic_list(client, &cursor, info, 3), 1);
	ck_assert_uint_eq(info[0].id, info[2].id);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lifetime");
	TCase *tc = tcase_create("lifetime");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lifetime_linger_persistent_and_none);
	tcase_add_test(tc, unlink_with_participants_both_regions_live);
	tcase_add_test(tc, unlinked_with_participants_what_can_be_asked);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
