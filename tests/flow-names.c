/* SPDX-License-Identifier: Apache-2.0 */
/* Names through the broker: what collides is told apart or refused. */
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
	flow_send_int(p, 1);
	flow_send_int(q, 2);
	ck_assert_int_eq(flow_receive_int(s), 1);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_int_eq(flow_receive_int(t), 2);
	ck_assert_int_eq(flow_receive_int(t), -EAGAIN);
	kickmsg_client_free(a);
	kickmsg_client_free(a_b);

	p = flow_advertise(client, "broadcast_x", NULL);
	s = flow_subscribe(client, "broadcast_x");
	ck_assert_int_eq(kickmsg_join_broadcast(client, "x", NULL, NULL, &q, &t), 0);
	r = flow_advertise(client, "node.a_mbx_x", NULL);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "x", NULL, NULL, &u), 0);
	flow_send_int(p, 3);
	flow_send_int(q, 4);
	flow_send_int(r, 5);
	ck_assert_int_eq(flow_receive_int(s), 3);
	ck_assert_int_eq(flow_receive_int(s), -EAGAIN);
	ck_assert_int_eq(flow_receive_int(t), 4);
	ck_assert_int_eq(flow_receive_int(t), -EAGAIN);
	ck_assert_int_eq(flow_receive_int(u), -EAGAIN);
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
	ck_assert(flow_said(other, "'a/b'") && flow_said(other, "'a.b'"));
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
	ck_assert(flow_said(second, "'p/q'") && flow_said(second, "'p.q'"));
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
	ck_assert(flow_said(longest, "longer together"));
	ck_assert_int_eq(kickmsg_topic_list(longest, &cursor, &info, 1), 0);
	tag[120] = '\0';
	ck_assert_int_eq(kickmsg_create_mailbox(longest, tag, NULL, NULL, &s), 0);
	kickmsg_client_free(longest);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tc = tcase_create("names");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, names_joined_collisions_are_different_topics);
	tcase_add_test(tc, names_sanitised_collisions_are_errors);
	tcase_add_test(tc, names_too_long_together_einval);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
