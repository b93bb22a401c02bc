/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds through the broker: channels, mailboxes, any start order. */
#include <pthread.h>

#include "tests/support/broker/pair.h"

START_TEST(broadcast_members_hear_all_and_themselves)
{
	struct kickmsg_publisher *p[2];
	struct kickmsg_subscriber *s[2];
	struct kickmsg_participant people[4];
	struct kickmsg_topic_ref ref = { .name = "x", .kind = KICKMSG_BROADCAST };
	struct kickmsg_topic_info info;
	uint64_t cursor = 0;

	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", NULL, NULL, &p[0], &s[0]), 0);
	ck_assert_int_eq(kickmsg_join_broadcast(other, "x", NULL, NULL, &p[1], &s[1]), 0);
	flow_send_int(p[0], 1);
	flow_send_int(p[1], 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(flow_receive_int(s[i]), 1);
		ck_assert_int_eq(flow_receive_int(s[i]), 2);
		ck_assert_int_eq(flow_receive_int(s[i]), -EAGAIN);
	}
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	ck_assert_str_eq(info.region, "/kickmsg_broadcast_x");
	ck_assert_uint_ge(test_map_count(getpid(), "/kickmsg_broadcast_x"), 2);
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(people[i].role, KICKMSG_ROLE_BOTH);
		ck_assert_int_eq(people[i].pid, getpid());
		ck_assert_uint_eq(people[i].alive, 1);
		ck_assert_uint_gt(people[i].since_realtime_ns, 0);
	}
	ck_assert_str_eq(people[0].client_name, "b");
	ck_assert_str_eq(people[1].client_name, "node/a");
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 0);
}
END_TEST

/* A member's own messages neither come nor push others' out, so losses are exact. The ring that it
 * leaves is like any other for the publisher that stays. */
START_TEST(broadcast_skip_own_exact)
{
	const struct kickmsg_subscribe_options skip = { .skip_own = 1 };
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *p, *q;
	struct kickmsg_subscriber *s, *t;

	kickmsg_topic_config_init(&config);
	config.ring_capacity = 4;
	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", &config, &skip, &p, &s), 0);
	ck_assert_int_eq(kickmsg_join_broadcast(other, "x", &config, NULL, &q, &t), 0);
	flow_send_int(q, 7);
	for (int i = 0; i < 100; i++)
		flow_send_int(p, i);
	ck_assert_int_eq(flow_receive_int(s), 7);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 0);
	ck_assert_uint_eq(kickmsg_subscriber_lost(t), 97);
	for (int i = 0; i < 6; i++)
		flow_send_int(q, i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 2);
	kickmsg_subscriber_free(s);
	kickmsg_subscriber_free(t);
	struct kickmsg_topic_config same = config;
	ck_assert_int_eq(kickmsg_join_broadcast(other, "x", &same, NULL, &q, &s), 0);
	flow_send_int(p, 42);
	ck_assert_int_eq(flow_receive_int(s), 42);
	/* the other order */
	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", &config, &skip, &q, &t), 0);
	kickmsg_publisher_free(q);
	flow_send_int(p, 43);
	ck_assert_int_eq(flow_receive_int(t), 43);
}
END_TEST

START_TEST(mailbox_one_owner_many_publishers)
{
	struct kickmsg_subscriber *box, *second = NULL;
	struct kickmsg_publisher *p[3], *none = NULL;
	struct kickmsg_topic_ref ref = { .name = "in", .owner = "node/a", .kind = KICKMSG_MAILBOX };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_open_mailbox(other, "node/a", "in", &none), -ENOENT);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "in", NULL, NULL, &box), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(
			kickmsg_open_mailbox(i ? other : client, "node/a", "in", &p[i]), 0);
		flow_send_int(p[i], i);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(flow_receive_int(box), i);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "in", NULL, NULL, &second), -ENOSPC);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "node.a", "in", &none), -ENOENT);
	ck_assert_int_eq(kickmsg_open_mailbox(other, NULL, "in", &none), -EINVAL);
	ck_assert_int_eq(kickmsg_topic_get_info(other, &ref, &info), 0);
	ck_assert_str_eq(info.region, "/kickmsg_node/a_mbx_in");
	ck_assert_str_eq(info.owner, "node/a");
	ck_assert_uint_eq(info.config.max_subscribers, 1);
	/* the owner comes back while publishers stay */
	kickmsg_subscriber_free(box);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "in", NULL, NULL, &box), 0);
	flow_send_int(p[2], 9);
	ck_assert_int_eq(flow_receive_int(box), 9);
	ck_assert_int_eq(kickmsg_unlink_mailbox(client, "in"), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "node/a", "in", &none), -ENOENT);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(second);
}
END_TEST

START_TEST(order_free_calls_take_what_is_there)
{
	struct kickmsg_topic_config small, large;
	struct kickmsg_subscriber *s;
	struct kickmsg_publisher *p = NULL;

	kickmsg_topic_config_init(&small);
	large = small;
	small.ring_capacity = 8;
	small.pool_size = 961;
	large.linger_ns = 1;
	ck_assert_int_eq(kickmsg_subscribe_or_create(client, "t", &small, NULL, &s), 0);
	ck_assert_int_eq(kickmsg_advertise(other, "t", &large, &p), -EEXIST);
	ck_assert(flow_said(other, "ring_capacity = 8, not 64"));
	large.ring_capacity = 8;
	large.pool_size = 961;
	ck_assert_int_eq(kickmsg_advertise(other, "t", &large, &p), -EEXIST);
	ck_assert(flow_said(other, "linger_ns = 0, not 1"));
	ck_assert_int_eq(kickmsg_advertise_or_join(other, "t", &large, &p), 0);
	flow_send_int(p, 5);
	ck_assert_int_eq(flow_receive_int(s), 5);
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert_int_eq(kickmsg_advertise(other, "t", &small, &p), 0);
}
END_TEST

/* A client that takes the topic that is there is told in what it differs. With `strict` it isn't
 * let in. */
START_TEST(order_free_calls_say_what_differs_and_may_insist)
{
	struct kickmsg_subscribe_options strict = { .strict = 1 };
	struct kickmsg_topic_config small, large;
	struct kickmsg_schema schema = { .name = "one" }, another = { .name = "two" };
	struct kickmsg_subscriber *s;
	struct kickmsg_publisher *p;

	kickmsg_topic_config_init(&small);
	small.pool_size = 2000;
	large = small;
	small.ring_capacity = 8;
	small.schema = &schema;
	ck_assert_int_eq(kickmsg_subscribe_or_create(client, "t", &small, &strict, &s), 0);
	ck_assert_str_eq(kickmsg_client_last_error(client), "");
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &small, NULL, &s), 0);
	ck_assert_str_eq(kickmsg_client_last_error(other), "");
	/* another shape */
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert(flow_said(other, "ring_capacity = 8, not 64"));
	ck_assert_int_eq(kickmsg_advertise_or_join(other, "t", &large, &p), 0);
	ck_assert(flow_said(other, "ring_capacity = 8, not 64"));
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, &strict, &s), -EEXIST);
	ck_assert(flow_said(other, "ring_capacity = 8, not 64"));
	/* another lifetime */
	large.ring_capacity = 8;
	large.linger_ns = 7;
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert(flow_said(other, "linger_ns = 0, not 7"));
	large.linger_ns = 0;
	large.persistent = 1;
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert(flow_said(other, "persistent = 0, not 1"));
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, &strict, &s), -EEXIST);
	/* another schema */
	large = small;
	large.schema = &another;
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert(flow_said(other, "another schema, and is taken as it is: name"));
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, &strict, &s), -EEXIST);
	ck_assert(flow_said(other, "another schema: name"));
	/* a client that names no schema is told nothing of it */
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", NULL, &strict, &s), 0);
	ck_assert_str_eq(kickmsg_client_last_error(other), "");
	strict.strict = 2;
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", NULL, &strict, &s), -EINVAL);
}
END_TEST

static void *advertise_later(void *userdata)
{
	struct kickmsg_publisher *p;

	/* once the broker knows that somebody waits */
	while (!test_broker_logged(&broker, "waits for topic 'late'"))
		test_nap();
	*(int *)userdata = kickmsg_advertise(other, "late", NULL, &p);
	return NULL;
}

START_TEST(subscribe_waits_until_the_topic_exists)
{
	struct kickmsg_subscribe_options options = { .wait_ns = 20000000 };
	struct kickmsg_subscriber *s = NULL;
	pthread_t thread;
	int r = -1;

	ck_assert_int_eq(kickmsg_subscribe(client, "never", &options, &s), -ETIMEDOUT);
	ck_assert_ptr_null(s);
	options.wait_ns = UINT64_MAX;
	ck_assert_int_eq(pthread_create(&thread, NULL, advertise_later, &r), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "late", &options, &s), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kinds");
	TCase *tc = tcase_create("kinds");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, broadcast_members_hear_all_and_themselves);
	tcase_add_test(tc, broadcast_skip_own_exact);
	tcase_add_test(tc, mailbox_one_owner_many_publishers);
	tcase_add_test(tc, order_free_calls_take_what_is_there);
	tcase_add_test(tc, order_free_calls_say_what_differs_and_may_insist);
	tcase_add_test(tc, subscribe_waits_until_the_topic_exists);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
