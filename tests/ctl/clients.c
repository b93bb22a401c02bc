/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl tells of participants: their places, what they hold, and which of them are
 * reliable. */
#include "tests/support/broker/ctl.h"

/* Checks that a publisher's loans and a subscriber's samples are told. */
START_TEST(what_participants_hold_is_told)
{
	struct kickmsg_sample sample;
	void *payload;

	start();
	struct kickmsg_client *second = flow_client("second");
	flow_subscribe(second, "t");
	flow_subscribe(second, "t");
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_loan(publisher, 1, &payload), 0);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	expect(0, "info", "t", NULL);
	squeeze();
	char line[64];
	snprintf(line, sizeof line, "\nworker %d %u both 1 1 1 0 2 1 ", getpid(), geteuid());
	says(line);
	snprintf(
		line, sizeof line, "\nsecond %d %u subscriber 0 2 - 1,2 0 0 ", getpid(), geteuid());
	says(line);
	expect(0, "client", "worker", NULL);
	squeeze();
	snprintf(line, sizeof line, "\nkickmsg:t worker %d %u both 1 1 1 0 2 1 ", getpid(),
		geteuid());
	says(line);
	struct json_object *root = json(0, "clients", "t", NULL);
	struct json_object *who = at(at(root, "topics", 0), "clients", 0);
	ck_assert_str_eq(text(who, "name"), "second");
	ck_assert_int_eq(json_object_get_int(at(who, "rings", 1)), 2);
	who = at(at(root, "topics", 0), "clients", 1);
	ck_assert_int_eq(number(who, "loans"), 2);
	ck_assert_int_eq(number(who, "borrows"), 1);
	ck_assert_int_eq(number(who, "publisher_id"), 1);
	json_object_put(root);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	kickmsg_publisher_free(publisher);
	ck_assert(test_wait_until(
		(expect(0, "clients", "t", "--no-legend", "-o", "client,loans,borrows", NULL),
			squeeze(), strcmp(output, "second 0 0\nworker 0 0\n") == 0),
		FLOW_WAIT_MS));
	kickmsg_client_free(second);
	stop();
}
END_TEST

/* There are more clients than an answer has room for, and each publisher's slot is its own. */
START_TEST(loans_are_told_of_each_page)
{
	enum { MANY = 40 };
	struct kickmsg_topic_config config = small;
	struct kickmsg_client *all[MANY];
	void *payload;

	start();
	config.max_publishers = MANY;
	for (int i = 0; i < MANY; i++) {
		all[i] = flow_client("many");
		struct kickmsg_publisher *one = flow_advertise(all[i], "many", &config);

		ck_assert_int_eq(kickmsg_loan(one, 1, &payload), 0);
	}
	struct json_object *root = json(0, "clients", "many", NULL);
	ck_assert_uint_eq(length(at(root, "topics", 0), "clients"), MANY);
	for (size_t i = 0; i < MANY; i++) {
		struct json_object *who = at(at(root, "topics", 0), "clients", i);

		ck_assert_int_eq(number(who, "loans"), 1);
		ck_assert_int_eq(number(who, "publisher_id"), MANY - (int64_t)i);
	}
	json_object_put(root);
	for (int i = 0; i < MANY; i++)
		kickmsg_client_free(all[i]);
	stop();
}
END_TEST

START_TEST(reliable_subscribers_are_told)
{
	const struct kickmsg_subscribe_options reliable = { .reliable = 1 };
	struct kickmsg_topic_config config = small;
	struct kickmsg_subscriber *sub;

	start();
	config.max_reliable = 1;
	config.pool_size = 0;
	config.stall_ns = 2000000;
	struct kickmsg_publisher *pub = flow_advertise(client, "r", &config);
	ck_assert_int_eq(kickmsg_subscribe(client, "r", &reliable, &sub), 0);
	expect(0, "list", "--no-legend", "-o", "name,reliable,max-reliable,stall,demoted", NULL);
	tells("kickmsg:r 1 1 2ms 0\n");
	says("kickmsg:t");
	expect(0, "info", "r", NULL);
	tells(" Reliable: 1\nMax reliable: 1\n");
	tells(" Stall: 2ms\n");
	expect(0, "stats", "r", "-o", "name,reliable,demoted,no-room", NULL);
	tells("kickmsg:r 1 0 0\n");
	tells(" no yes\n");
	/* the subscriber stands still while a publisher waits */
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, INT64_C(10000000000)), 1);
	expect(0, "stats", "r", "-o", "name,reliable,demoted,no-room", NULL);
	tells("kickmsg:r 0 1 1\n");
	struct json_object *root = json(0, "list", "r", NULL);
	ck_assert_int_eq(number(at(root, "topics", 0), "demoted"), 1);
	ck_assert_int_eq(number(at(root, "topics", 0), "no_room"), 1);
	ck_assert_int_eq(number(at(root, "topics", 0), "reliable"), 0);
	ck_assert_int_eq(number(at(root, "topics", 0), "max_reliable"), 1);
	ck_assert_int_eq(number(at(root, "topics", 0), "stall_ns"), 2000000);
	json_object_put(root);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-clients");
	TCase *tc = tcase_create("ctl-clients");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_participants_hold_is_told);
	tcase_add_test(tc, loans_are_told_of_each_page);
	tcase_add_test(tc, reliable_subscribers_are_told);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
