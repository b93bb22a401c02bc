/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl rights: it tells who may do what, by which line of the config, and only to those
 * who may know. */
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/user.h"

/* The rules begin at line 3 of the config. */
static const char rules[] = "[topic *:robot/*]\n"
			    "publish = root\n"          /* line 4 */
			    "subscribe = @777, 12345\n" /* line 5 */
			    "[topic mailbox:*:*:*]\n"
			    "create = none\n"; /* line 7 */

static void tells_of(const char *right, const char *may, const char *value, int line)
{
	char text[256];

	snprintf(text, sizeof text, "\n%s %s %s ", right, may, value);
	if (line)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s:%d\n", broker.config,
			line);
	else
		strcat(text, "the default\n");
	tells(text);
}

START_TEST(root_is_told_of_all_and_by_which_line)
{
	user_start_broker(rules);
	expect(0, "rights", "robot/cmd", "--uid", "65534", NULL);
	says("kickmsg:robot/cmd isn't there: as if it were made; rights of uid 65534\n");
	tells_of("create", "yes -", "everyone", 0);
	tells_of("publish", "no -", "root", 4);
	tells_of("subscribe", "no -", "@777, 12345", 5);
	tells_of("administer", "yes -", "owner",
		0); /* the topic that it would make would be its own */
	client = flow_client("root");
	flow_advertise(client, "robot/cmd", NULL);
	expect(0, "rights", "kickmsg:robot/cmd", "--uid", "12345", NULL);
	says("kickmsg:robot/cmd, owned by uid 0; rights of uid 12345\n");
	tells_of("subscribe", "yes -", "@777, 12345", 5);
	tells_of("administer", "no -", "owner", 0);
	expect(0, "rights", "robot/cmd", NULL);
	tells_of("publish", "yes root", "root", 4);
	expect(0, "rights", "robot/cmd", "--user", "root", NULL);
	tells("\nadminister yes root ");
	expect(0, "rights", "mailbox:p:o:x", "--uid", "65534", NULL);
	tells_of("create", "no -", "none", 7);
	struct json_object *root = json(0, "rights", "robot/cmd", "--uid", "65534", NULL);
	struct json_object *topic = at(root, "topics", 0),
			   *right = get(get(topic, "rights"), "publish");
	ck_assert_str_eq(text(topic, "name"), "kickmsg:robot/cmd");
	ck_assert_int_eq(number(topic, "uid"), 65534);
	ck_assert(!json_object_get_boolean(get(right, "allowed")));
	ck_assert_str_eq(text(right, "value"), "root");
	json_object_put(root);
	stop();
}
END_TEST

START_TEST(config_says_which_line_says_it)
{
	char where[256];

	user_start_broker(rules);
	client = NULL;
	expect(0, "config", NULL);
	snprintf(where, sizeof where, " publish root %s:4\n", broker.config);
	tells(where);
	tells("\nlimits clients 1024 the default\n");
	tells("\nrecovery automatic yes the default\n");
	tells("\nmetrics listen off the default\n");
	snprintf(where, sizeof where, "\nbroker socket %s the command line\n", broker.socket);
	tells(where);
	struct json_object *root = json(0, "config", NULL);
	ck_assert_str_eq(text(at(root, "config", 0), "key"), "socket");
	ck_assert_uint_gt(length(root, "config"), 20);
	json_object_put(root);
	expect_as(USER_A, 0, 4, (const char *[]){ "config", NULL });
	says("may see the configuration");
	says_not("12345");
	stop();
}
END_TEST

START_TEST(others_are_told_of_themselves_alone)
{
	user_start_broker(rules);
	client = NULL;
	expect_as(USER_A, 0, 0, (const char *[]){ "rights", "robot/cmd", NULL });
	tells_of("publish", "no -", "-", 4);
	tells_of("subscribe", "no -", "-", 5);
	says_not("12345"); /* the line names this user, who isn't told */
	expect_as(USER_A, 777, 0, (const char *[]){ "rights", "robot/cmd", NULL });
	tells_of("subscribe", "yes -", "-", 5);
	expect_as(USER_A, 0, 4, (const char *[]){ "rights", "robot/cmd", "--uid", "0", NULL });
	says("only root, the broker's user and the group kickmsg-admin may ask for the rights of "
	     "others");
	expect_as(USER_A, 0, 0, (const char *[]){ "rights", "robot/cmd", "--uid", "65534", NULL });
	stop();
}
END_TEST

/* This rule once did nothing: the part before the '/' was taken for a prefix, and everybody
 * could publish. */
START_TEST(what_a_rule_names_with_a_slash_is_closed)
{
	int status;

	user_start_broker(rules);
	client = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		struct kickmsg_client *mine = user_client(USER_A, 0);
		struct kickmsg_publisher *p;

		NEED(kickmsg_advertise(mine, "robot/cmd", NULL, &p) == -EACCES);
		NEED(flow_said(mine, ":4: uid 65534 may not publish to topic 'robot/cmd'"));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	stop();
}
END_TEST

START_TEST(wrong_users_are_status_2)
{
	static const char *const wrong[][5] = {
		{ "rights" },
		{ "rights", "t", "--uid", "x" },
		{ "rights", "t", "--uid", "-1" },
		{ "rights", "t", "--uid", "4294967295" },
		{ "rights", "t", "--user", "km-no-such-user" },
		{ "info", "t", "--uid", "0" },
		{ "rights", "t", "--uid",
			"0"
			"--user" },
	};

	user_start_broker(rules);
	client = NULL;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect(2, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], wrong[i][4], NULL);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-rights");
	TCase *tc = tcase_create("ctl-rights");

	if (user_cannot_change())
		return 77;
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, root_is_told_of_all_and_by_which_line);
	tcase_add_test(tc, config_says_which_line_says_it);
	tcase_add_test(tc, others_are_told_of_themselves_alone);
	tcase_add_test(tc, what_a_rule_names_with_a_slash_is_closed);
	tcase_add_test(tc, wrong_users_are_status_2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
