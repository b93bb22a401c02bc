/* SPDX-License-Identifier: Apache-2.0 */
/* The rights of users where no rule is written: a user may look at all topics and unlink its own,
 * and taking part adds to that. The test needs root to become other users; without, it is skipped.
 */
#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;

static void setup(void)
{
	user_start_broker("");
	client = flow_client("root");
	publisher = flow_advertise(client, "roots", NULL);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* -EPERM, with the uid and what it may not. */
static bool is_refused(struct kickmsg_client *mine, int r, const char *says)
{
	char uid[16];

	snprintf(uid, sizeof uid, "uid %u", geteuid());
	return r == -EPERM && flow_said(mine, says) && flow_said(mine, uid);
}

static void be_a_stranger(void *argument)
{
	struct kickmsg_client *mine = user_client(*(uid_t *)argument, 0);
	struct kickmsg_topic_ref ref = { .name = "roots" };
	struct kickmsg_topic_diagnosis health;
	struct kickmsg_topic_stats stats;
	struct kickmsg_topic_info info;
	struct kickmsg_participant people[2];
	struct kickmsg_schema schema = { .version = 1 };
	struct kickmsg_subscriber *subscriber;
	uint64_t cursor = 0;

	NEED(kickmsg_topic_get_info(mine, &ref, &info) == 0 && info.owner_uid == 0);
	NEED(kickmsg_topic_get_stats(mine, &ref, &stats) == 0);
	NEED(kickmsg_topic_participants(mine, &ref, &cursor, people, 2) == 1);
	NEED(people[0].uid == 0);
	NEED(is_refused(mine, kickmsg_unlink_topic(mine, "roots"), "unlink"));
	NEED(is_refused(mine, kickmsg_topic_diagnose(mine, &ref, &health), "diagnose"));
	NEED(kickmsg_claim_schema(mine, &ref, &schema, NULL) == -EPERM);
	NEED(user_repair("roots", NULL) == -EPERM);
	/* a participant may also look at the topic's health, but no more than that */
	NEED(kickmsg_subscribe(mine, "roots", NULL, &subscriber) == 0);
	NEED(kickmsg_topic_diagnose(mine, &ref, &health) == 0 && health.healthy);
	NEED(is_refused(mine, kickmsg_unlink_topic(mine, "roots"), "unlink"));
	NEED(user_repair("roots", NULL) == -EPERM);
	NEED(kickmsg_topic_get_info(mine, &ref, &info) == 0 && info.unlinked == 0);
	kickmsg_client_free(mine);
	test_child_ready();
}

static void make_and_stay(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);
	struct kickmsg_publisher *p;

	NEED(kickmsg_advertise(mine, argument, NULL, &p) == 0);
	test_child_ready();
	pause();
}

static void unlink_anothers(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_B, 0);

	NEED(is_refused(mine, kickmsg_unlink_topic(mine, argument), "uid 65534's"));
	test_child_ready();
}

static void unlink_own(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);

	NEED(kickmsg_unlink_topic(mine, argument) == 0);
	test_child_ready();
}

static void run_child(void (*run)(void *argument), void *argument)
{
	pid_t pid = test_child_start(run, argument);
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(stranger_may_look_and_nothing_else)
{
	static uid_t users[] = { USER_A, USER_B };

	for (size_t i = 0; i < 2; i++)
		run_child(be_a_stranger, &users[i]);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert(flow_is_healthy("roots"));
}
END_TEST

START_TEST(topic_is_its_owners_and_roots_to_unlink)
{
	char nobodys[] = "nobodys";
	pid_t child = test_child_start(make_and_stay, nobodys);

	run_child(unlink_anothers, nobodys);
	run_child(unlink_own, nobodys);
	ck_assert_int_eq(kickmsg_unlink_topic(client, nobodys), -ENOENT);
	test_child_end(child, SIGKILL);
	child = test_child_start(make_and_stay, nobodys);
	ck_assert_int_eq(kickmsg_unlink_topic(client, nobodys), 0);
	test_child_end(child, SIGKILL);
}
END_TEST

static void make_mailbox_and_stay(void *unused)
{
	struct kickmsg_subscriber *s;

	NEED(kickmsg_create_mailbox(user_client(USER_A, 0), "box", NULL, NULL, &s) == 0);
	test_child_ready();
	pause();
}

/* The name of its owner isn't enough. Each uid stands where it belongs. */
static void take_anothers_mailbox(void *unused)
{
	struct kickmsg_client *mine = user_client(USER_B, 0);
	struct kickmsg_subscriber *s;

	NEED(kickmsg_create_mailbox(mine, "box", NULL, NULL, &s) == -EACCES);
	NEED(flow_said(mine, "of mine is uid 65534's, not uid 12345's"));
	test_child_ready();
}

START_TEST(mailbox_is_its_users)
{
	pid_t child = test_child_start(make_mailbox_and_stay, NULL);

	ck_assert_int_eq(test_child_end(test_child_start(take_anothers_mailbox, NULL), 0), 0);
	test_child_end(child, SIGKILL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rights");
	TCase *tc = tcase_create("rights");

	if (user_cannot_change())
		return 77;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, stranger_may_look_and_nothing_else);
	tcase_add_test(tc, topic_is_its_owners_and_roots_to_unlink);
	tcase_add_test(tc, mailbox_is_its_users);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
