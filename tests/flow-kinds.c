/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds, names and lifetime through the broker: channels, mailboxes, any start order, names that
 * collide, linger, persistent and unlink. */
#include <pthread.h>

#include "flow.h"

static struct kickmsg_client *client, *other;

static void setup(void)
{
	test_broker_start(&broker, NULL);
	client = flow_client("node/a");
	other = flow_client("b");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	kickmsg_client_free(other);
	flow_stop();
}

static bool said(const struct kickmsg_client *of, const char *part)
{
	return strstr(kickmsg_client_last_error(of), part) != NULL;
}

static int receive_int(struct kickmsg_subscriber *subscriber)
{
	int value = -1;
	ssize_t n = kickmsg_receive_copy(subscriber, &value, sizeof value, 0);

	return n == sizeof value ? value : (int)n;
}

static void send_int(struct kickmsg_publisher *publisher, int value)
{
	ck_assert_int_eq(kickmsg_send(publisher, &value, sizeof value), sizeof value);
}

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
	send_int(p[0], 1);
	send_int(p[1], 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(receive_int(s[i]), 1);
		ck_assert_int_eq(receive_int(s[i]), 2);
		ck_assert_int_eq(receive_int(s[i]), -EAGAIN);
	}
	ck_assert_int_eq(kickmsg_topic_info(client, &ref, &info), 0);
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
	ck_assert_str_eq(people[1].client_name, "node.a");
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 0);
}
END_TEST

/* Its own messages neither come nor push others' out, so losses are exact; and the ring that it
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
	send_int(q, 7);
	for (int i = 0; i < 100; i++)
		send_int(p, i);
	ck_assert_int_eq(receive_int(s), 7);
	ck_assert_int_eq(receive_int(s), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 0);
	ck_assert_uint_eq(kickmsg_subscriber_lost(t), 97);
	for (int i = 0; i < 6; i++)
		send_int(q, i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(s), 2);
	kickmsg_subscriber_free(s);
	kickmsg_subscriber_free(t);
	struct kickmsg_topic_config same = config;
	ck_assert_int_eq(kickmsg_join_broadcast(other, "x", &same, NULL, &q, &s), 0);
	send_int(p, 42);
	ck_assert_int_eq(receive_int(s), 42);
	/* the other order */
	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", &config, &skip, &q, &t), 0);
	kickmsg_publisher_free(q);
	send_int(p, 43);
	ck_assert_int_eq(receive_int(t), 43);
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
		send_int(p[i], i);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(receive_int(box), i);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "in", NULL, NULL, &second), -ENOSPC);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "node.a", "in", &none), -EEXIST);
	ck_assert(said(other, "node/a") && said(other, "node.a"));
	ck_assert_int_eq(kickmsg_open_mailbox(other, NULL, "in", &none), -EINVAL);
	ck_assert_int_eq(kickmsg_topic_info(other, &ref, &info), 0);
	ck_assert_str_eq(info.region, "/kickmsg_node.a_mbx_in");
	ck_assert_str_eq(info.owner, "node/a");
	ck_assert_uint_eq(info.config.max_subscribers, 1);
	/* the owner comes back while publishers stay */
	kickmsg_subscriber_free(box);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "in", NULL, NULL, &box), 0);
	send_int(p[2], 9);
	ck_assert_int_eq(receive_int(box), 9);
	ck_assert_int_eq(kickmsg_unlink_mailbox(client, "in"), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "node/a", "in", &none), -ENOENT);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(second);
}
END_TEST

/* Joined names that are the same, parts that aren't: each topic is its own. */
START_TEST(names_joined_collisions_are_different_topics)
{
	struct kickmsg_client_config config = { .name = "c", .socket_path = broker.socket };
	struct kickmsg_client *a, *a_b;
	struct kickmsg_publisher *p, *q, *r;
	struct kickmsg_subscriber *s, *t, *u;

	config.prefix = "a";
	ck_assert_int_eq(kickmsg_client_new(&config, &a), 0);
	config.prefix = "a_b";
	ck_assert_int_eq(kickmsg_client_new(&config, &a_b), 0);
	p = flow_advertise(a, "b_c", NULL);
	s = flow_subscribe(a, "b_c");
	q = flow_advertise(a_b, "c", NULL);
	t = flow_subscribe(a_b, "c");
	send_int(p, 1);
	send_int(q, 2);
	ck_assert_int_eq(receive_int(s), 1);
	ck_assert_int_eq(receive_int(s), -EAGAIN);
	ck_assert_int_eq(receive_int(t), 2);
	ck_assert_int_eq(receive_int(t), -EAGAIN);
	kickmsg_client_free(a);
	kickmsg_client_free(a_b);

	p = flow_advertise(client, "broadcast_x", NULL);
	s = flow_subscribe(client, "broadcast_x");
	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", NULL, NULL, &q, &t), 0);
	r = flow_advertise(client, "node.a_mbx_x", NULL);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "x", NULL, NULL, &u), 0);
	send_int(p, 3);
	send_int(q, 4);
	send_int(r, 5);
	ck_assert_int_eq(receive_int(s), 3);
	ck_assert_int_eq(receive_int(s), -EAGAIN);
	ck_assert_int_eq(receive_int(t), 4);
	ck_assert_int_eq(receive_int(t), -EAGAIN);
	ck_assert_int_eq(receive_int(u), -EAGAIN);
}
END_TEST

START_TEST(names_sanitised_collisions_are_errors)
{
	struct kickmsg_client_config config = {
		.name = "c", .prefix = "p/q", .socket_path = broker.socket
	};
	struct kickmsg_client *first, *second;
	struct kickmsg_publisher *p = NULL;
	struct kickmsg_subscriber *s = NULL;
	struct kickmsg_topic_ref ref = { .name = "a.b" };
	struct kickmsg_topic_info info;
	char longest[130];

	flow_advertise(client, "/a/b", NULL);
	ck_assert_ptr_nonnull(flow_advertise(other, "//a/b", NULL)); /* the same name */
	ck_assert_int_eq(kickmsg_advertise(other, "a.b", NULL, &p), -EEXIST);
	ck_assert(said(other, "'a/b'") && said(other, "'a.b'"));
	ck_assert_int_eq(kickmsg_subscribe(other, "a.b", NULL, &s), -EEXIST);
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "a.b", NULL, NULL, &s), -EEXIST);
	ck_assert_int_eq(kickmsg_topic_info(other, &ref, &info), 0); /* a look by either */
	ck_assert_str_eq(info.name, "a/b");
	ck_assert_str_eq(info.region, "/kickmsg_a.b");
	flow_advertise(client, "t.u", NULL);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t/u"), -ENOENT);

	ck_assert_int_eq(kickmsg_client_new(&config, &first), 0);
	config.prefix = "p.q";
	ck_assert_int_eq(kickmsg_client_new(&config, &second), 0);
	flow_advertise(first, "t", NULL);
	ck_assert_int_eq(kickmsg_advertise(second, "t", NULL, &p), -EEXIST);
	ck_assert(said(second, "'p/q'") && said(second, "'p.q'"));
	kickmsg_client_free(first);
	kickmsg_client_free(second);

	memset(longest, 'n', sizeof longest);
	longest[128] = '\0';
	ck_assert_int_eq(kickmsg_advertise(client, longest, NULL, &p), -EINVAL);
	ck_assert_int_eq(kickmsg_advertise(client, "///", NULL, &p), -EINVAL);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "", NULL, NULL, &s), -EINVAL);
	ck_assert_ptr_null(p);
	ck_assert_ptr_null(s);
}
END_TEST

/* Prefix, owner and tag that fit each for itself, but not together: nothing is left of it. */
START_TEST(names_too_long_together_einval)
{
	char part[64], tag[128];
	struct kickmsg_client_config config = {
		.name = part, .prefix = part, .socket_path = broker.socket
	};
	struct kickmsg_client *longest;
	struct kickmsg_subscriber *s = NULL;
	struct kickmsg_topic_info info;
	uint64_t cursor = 0;

	memset(part, 'n', sizeof part - 1);
	part[63] = '\0';
	memset(tag, 't', sizeof tag - 1);
	tag[127] = '\0';
	ck_assert_int_eq(kickmsg_client_new(&config, &longest), 0);
	ck_assert_int_eq(kickmsg_create_mailbox(longest, tag, NULL, NULL, &s), -EINVAL);
	ck_assert(said(longest, "longer together"));
	ck_assert_int_eq(kickmsg_topic_list(longest, &cursor, &info, 1), 0);
	tag[120] = '\0';
	ck_assert_int_eq(kickmsg_create_mailbox(longest, tag, NULL, NULL, &s), 0);
	kickmsg_client_free(longest);
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
	ck_assert(said(other, "ring_capacity = 8, not 64"));
	large.ring_capacity = 8;
	large.pool_size = 961;
	ck_assert_int_eq(kickmsg_advertise(other, "t", &large, &p), -EEXIST);
	ck_assert(said(other, "linger_ns = 0, not 1"));
	ck_assert_int_eq(kickmsg_advertise_or_join(other, "t", &large, &p), 0);
	send_int(p, 5);
	ck_assert_int_eq(receive_int(s), 5);
	ck_assert_int_eq(kickmsg_subscribe_or_create(other, "t", &large, NULL, &s), 0);
	ck_assert_int_eq(kickmsg_advertise(other, "t", &small, &p), 0);
}
END_TEST

static void *advertise_later(void *userdata)
{
	struct kickmsg_publisher *p;

	/* once the broker knows that somebody waits: its client asks at once, then sleeps */
	while (!test_broker_logged(&broker, "there is no topic 'late'"))
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

static bool exists(const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;

	return kickmsg_topic_info(other, &ref, &info) == 0;
}

START_TEST(lifetime_linger_persistent_and_none)
{
	struct kickmsg_topic_config config;
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
	send_int(p, 1);
	kickmsg_subscriber_free(s);
	kickmsg_publisher_free(p);
	ck_assert(exists("for-good"));
	/* the next ones find it whole: nothing of those before is in it */
	p = flow_advertise(client, "for-good", &config);
	s = flow_subscribe(client, "for-good");
	ck_assert_int_eq(receive_int(s), -EAGAIN);
	send_int(p, 2);
	ck_assert_int_eq(receive_int(s), 2);
	kickmsg_subscriber_free(s);
	kickmsg_publisher_free(p);
	ck_assert(flow_is_healthy("for-good"));
	ck_assert_uint_eq(flow_health("for-good").slots_free, config.pool_size);
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
	send_int(p, 1);
	send_int(q, 2);
	ck_assert_int_eq(receive_int(s), 1);
	ck_assert_int_eq(receive_int(s), -EAGAIN);
	ck_assert_int_eq(receive_int(t), 2);
	ck_assert_int_eq(receive_int(t), -EAGAIN);
	kickmsg_publisher_free(p);
	kickmsg_subscriber_free(s);
	ck_assert_uint_eq(test_map_count(broker.pid, "/kickmsg_t"), 1);
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
	tcase_add_test(tc, names_joined_collisions_are_different_topics);
	tcase_add_test(tc, names_sanitised_collisions_are_errors);
	tcase_add_test(tc, names_too_long_together_einval);
	tcase_add_test(tc, order_free_calls_take_what_is_there);
	tcase_add_test(tc, subscribe_waits_until_the_topic_exists);
	tcase_add_test(tc, lifetime_linger_persistent_and_none);
	tcase_add_test(tc, unlink_with_participants_both_regions_live);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
