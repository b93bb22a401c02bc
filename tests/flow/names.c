/* SPDX-License-Identifier: Apache-2.0 */
/* Names through the broker: what collides is told apart or refused. */
#include "tests/support/broker/pair.h"

/* Names that are the same once they are joined, and whose parts differ: each is a topic of its
 * own. */
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
	r = flow_advertise(client, "node/a_mbx_x", NULL);
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

/* Pairs of topics, prefixes and owners that were one name, or an error, when names were
 * flattened. */
static const char *const pairs[][2] = { { "a/b", "a.b" }, { "\xc3\xbc", "\xc3\xb6" },
	{ "\xc3\xbc", "__" }, { "a b", "a_b" }, { "a%20b", "a b" } };

static void hears_only_its_own(struct kickmsg_publisher *p[2], struct kickmsg_subscriber *s[2])
{
	flow_send_int(p[0], 1);
	flow_send_int(p[1], 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(flow_receive_int(s[i]), 1 + i);
		ck_assert_int_eq(flow_receive_int(s[i]), -EAGAIN);
	}
}

START_TEST(names_that_differ_stay_different)
{
	struct kickmsg_client_config config = { .name = "c", .socket_path = broker.socket };
	struct kickmsg_client *clients[2];
	struct kickmsg_publisher *p[2];
	struct kickmsg_subscriber *s[2];

	for (int i = 0; i < 2; i++) {
		p[i] = flow_advertise(client, pairs[_i][i], NULL);
		s[i] = flow_subscribe(other, pairs[_i][i]);
	}
	hears_only_its_own(p, s);
	for (int i = 0; i < 2; i++) {
		config.prefix = pairs[_i][i];
		config.name = "c";
		ck_assert_int_eq(kickmsg_client_new(&config, &clients[i]), 0);
		p[i] = flow_advertise(clients[i], "t", NULL);
		s[i] = flow_subscribe(clients[i], "t");
	}
	hears_only_its_own(p, s);
	for (int i = 0; i < 2; i++) {
		struct kickmsg_client *owner;

		config.prefix = NULL;
		config.name = pairs[_i][i];
		ck_assert_int_eq(kickmsg_client_new(&config, &owner), 0);
		ck_assert_int_eq(kickmsg_create_mailbox(owner, "m", NULL, NULL, &s[i]), 0);
		ck_assert_int_eq(kickmsg_open_mailbox(other, pairs[_i][i], "m", &p[i]), 0);
	}
	hears_only_its_own(p, s);
	kickmsg_client_free(clients[0]);
	kickmsg_client_free(clients[1]);
}
END_TEST

START_TEST(names_come_back_as_they_were_said)
{
	struct kickmsg_topic_ref ref = { .name = "/t\xc3\xbcr/1" };
	struct kickmsg_topic_info info;
	struct kickmsg_publisher *p = NULL;
	struct kickmsg_subscriber *s = NULL;
	char longest[130];

	flow_advertise(client, "/t\xc3\xbcr/1", NULL);
	ck_assert_ptr_nonnull(flow_advertise(other, "//t\xc3\xbcr/1", NULL)); /* the same name */
	ck_assert_int_eq(kickmsg_topic_get_info(other, &ref, &info), 0);
	ck_assert_str_eq(info.name, "t\xc3\xbcr/1");
	ck_assert_str_eq(info.prefix, "kickmsg");
	ck_assert_str_eq(info.region, "/kickmsg_t%C3%BCr/1");

	memset(longest, 'n', sizeof longest);
	longest[128] = '\0';
	ck_assert_int_eq(kickmsg_advertise(client, longest, NULL, &p), -EINVAL);
	longest[126] = '\0';
	longest[0] = ' '; /* takes three */
	ck_assert_int_eq(kickmsg_advertise(client, longest, NULL, &p), -EINVAL);
	ck_assert(
		flow_said(client, "longer than 127 bytes, with three for each that isn't one of"));
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
	tcase_add_loop_test(
		tc, names_that_differ_stay_different, 0, (int)(sizeof pairs / sizeof pairs[0]));
	tcase_add_test(tc, names_come_back_as_they_were_said);
	tcase_add_test(tc, names_too_long_together_einval);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
