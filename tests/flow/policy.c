/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The [topic PATTERN] rules in a running broker, for two users that aren't root: whom they let do
 * what, what a refusal says, and that rules and groups count after a reload and a restart.
 *
 * The file is long because it tries each action of each user against each kind of rule.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/user.h"

#define GROUP       777
#define ADMIN_GROUP 54321

/* The things that one may try. */
enum action {
	MAKE,
	PUBLISH,
	SUBSCRIBE,
	SUBSCRIBE_WRITABLE,
	MAKE_AS_SUBSCRIBER,
	JOIN_WITH_SCHEMA,
	CLAIM,
	MAILBOX,
	OPEN_MAILBOX,
	JOIN,
	UNLINK,
	DIAGNOSE,
	REPAIR
};

struct outcome {
	int r;
	char said[KM_WIRE_TEXT_SIZE];
};

static int act(struct kickmsg_client *mine, enum action action, const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	static const struct kickmsg_schema schema = { .version = 1 };
	static const struct kickmsg_subscribe_options writable = { .writable = 1 };
	struct kickmsg_topic_config config;
	struct kickmsg_topic_diagnosis health;
	struct kickmsg_publisher *p;
	struct kickmsg_subscriber *s;
	int r;

	kickmsg_topic_config_init(&config);
	switch (action) {
	case MAKE:
		config.persistent = 1;
		return kickmsg_advertise(mine, topic, &config, &p);
	case PUBLISH:
		return kickmsg_advertise_or_join(mine, topic, NULL, &p);
	case SUBSCRIBE:
		return kickmsg_subscribe(mine, topic, NULL, &s);
	case SUBSCRIBE_WRITABLE:
		return kickmsg_subscribe(mine, topic, &writable, &s);
	case MAKE_AS_SUBSCRIBER:
		return kickmsg_subscribe_or_create(mine, topic, NULL, NULL, &s);
	case JOIN_WITH_SCHEMA:
		config.schema = &schema;
		return kickmsg_subscribe_or_create(mine, topic, &config, NULL, &s);
	case CLAIM:
		r = kickmsg_subscribe(mine, topic, NULL, &s);
		return r < 0 ? r : kickmsg_claim_schema(mine, &ref, &schema, NULL);
	case MAILBOX:
		config.persistent = 1;
		return kickmsg_create_mailbox(mine, topic, &config, NULL, &s);
	case OPEN_MAILBOX:
		return kickmsg_open_mailbox(mine, "mine", topic, &p);
	case JOIN:
		return kickmsg_join_broadcast(mine, topic, NULL, NULL, &p, &s);
	case UNLINK:
		return kickmsg_unlink_topic(mine, topic);
	default:
		return kickmsg_topic_diagnose(mine, &ref, &health);
	}
}

/* Tries as this user, also in this group (0: none), and returns the result. */
static struct outcome try_as(uid_t uid, gid_t group, enum action action, const char *topic)
{
	struct outcome outcome = { .r = -ECANCELED };
	int pipe_fds[2], status;

	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct kickmsg_client *mine = user_client(uid, group);

		if (action == REPAIR) {
			outcome.r = user_repair(topic, outcome.said);
		} else {
			outcome.r = act(mine, action, topic);
			snprintf(outcome.said, sizeof outcome.said, "%s",
				kickmsg_client_last_error(mine));
		}
		NEED(write(pipe_fds[1], &outcome, sizeof outcome) == sizeof outcome);
		kickmsg_client_free(mine);
		_exit(0);
	}
	close(pipe_fds[1]);
	ssize_t n = read(pipe_fds[0], &outcome, sizeof outcome);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(n, sizeof outcome);
	close(pipe_fds[0]);
	return outcome;
}

static void may(uid_t uid, gid_t group, enum action action, const char *topic)
{
	struct outcome outcome = try_as(uid, group, action, topic);

	ck_assert_msg(outcome.r == 0, "uid %u, %d: %s", uid, action, outcome.said);
}

/* Refused with this error by this line of the config (0: by none). Both the user and the log are
 * told. */
static void may_not(
	uid_t uid, gid_t group, enum action action, const char *topic, int error, unsigned line)
{
	struct outcome outcome = try_as(uid, group, action, topic);
	char where[128], who[32];

	snprintf(who, sizeof who, "uid %u may not ", uid);
	snprintf(where, sizeof where, line ? "%s:%u: " : "no rule says otherwise", broker.config,
		line);
	ck_assert_msg(
		outcome.r == error, "uid %u, %d: %d %s", uid, action, outcome.r, outcome.said);
	ck_assert_msg(strstr(outcome.said, where), "%s doesn't say %s", outcome.said, where);
	ck_assert_msg(strstr(outcome.said, who), "%s doesn't say %s", outcome.said, who);
	ck_assert_ptr_nonnull(strstr(outcome.said, topic));
	ck_assert(test_broker_logged(&broker, outcome.said));
}

static size_t topic_count(void)
{
	struct kickmsg_client *client = flow_client("root");
	struct kickmsg_topic_info topics[32];
	uint64_t cursor = 0;
	ssize_t n = kickmsg_topic_list(client, &cursor, topics, 32);

	ck_assert_int_ge(n, 0);
	kickmsg_client_free(client);
	return (size_t)n;
}

/* The rules begin at line 3. */
static const char rules[] = "[topic kickmsg:*]\n"
			    "create = 65534\n"        /* 4 */
			    "publish = 65534, @777\n" /* 5 */
			    "subscribe = @12345\n"    /* 6 */
			    "administer = @777\n"     /* 7 */
			    "[topic kickmsg:free.*]\n"
			    "create = everyone\n"    /* 9 */
			    "publish = owner\n"      /* 10 */
			    "subscribe = everyone\n" /* 11 */
			    "administer = owner\n"   /* 12 */
			    "[topic mailbox:kickmsg:mine:*]\n"
			    "create = 12345\n"    /* 14 */
			    "subscribe = 12345\n" /* 15 */
			    "publish = 65534\n"   /* 16 */
			    "[topic channel:kickmsg:*]\n"
			    "create = everyone\n"     /* 18 */
			    "subscribe = everyone\n"; /* 19 */

START_TEST(each_right_is_for_whom_its_rule_names)
{
	user_start_broker(rules);
	may_not(USER_B, 0, MAKE, "t", -EACCES, 4);
	may_not(USER_B, GROUP, MAKE, "t", -EACCES, 4);
	/* to make it is one thing, to be in it another */
	may_not(USER_A, 0, MAKE_AS_SUBSCRIBER, "t", -EACCES, 6);
	ck_assert_uint_eq(topic_count(), 0);
	may(USER_A, 0, MAKE, "t");
	may(USER_A, 0, PUBLISH, "t");
	may(USER_B, GROUP, PUBLISH, "t");
	may_not(USER_B, 0, PUBLISH, "t", -EACCES, 5);
	may(USER_B, 0, SUBSCRIBE, "t");
	may(USER_A, USER_B, SUBSCRIBE, "t");
	may_not(USER_A, 0, SUBSCRIBE, "t", -EACCES, 6);
	/* both rights at once */
	may(USER_A, USER_B, SUBSCRIBE_WRITABLE, "t");
	may_not(USER_B, 0, SUBSCRIBE_WRITABLE, "t", -EACCES, 5);
	may_not(USER_A, 0, SUBSCRIBE_WRITABLE, "t", -EACCES, 6);
	may_not(USER_A, GROUP, SUBSCRIBE, "t", -EACCES, 6);
	for (int action = UNLINK; action <= REPAIR; action++) {
		may_not(USER_A, 0, (enum action)action, "t", -EPERM, 7); /* its owner */
		may_not(USER_B, 0, (enum action)action, "t", -EPERM, 7);
	}
	may(USER_B, GROUP, DIAGNOSE, "t");
	may(USER_B, GROUP, REPAIR, "t");
	may(USER_B, GROUP, UNLINK, "t");
	ck_assert_uint_eq(topic_count(), 0);
	/* root, whatever the rules say */
	may(0, 0, MAKE, "t");
	may(0, 0, SUBSCRIBE, "t");
	may(0, 0, UNLINK, "t");
	flow_stop();
}
END_TEST

START_TEST(owner_is_who_created_it)
{
	user_start_broker(rules);
	may(USER_B, 0, MAKE, "free.x");
	may(USER_B, 0, PUBLISH, "free.x");
	may_not(USER_A, 0, PUBLISH, "free.x", -EACCES, 10);
	may(USER_A, 0, SUBSCRIBE, "free.x");
	for (int action = UNLINK; action <= REPAIR; action++)
		may_not(USER_A, GROUP, (enum action)action, "free.x", -EPERM, 12);
	may(USER_B, 0, DIAGNOSE, "free.x");
	may(USER_B, 0, REPAIR, "free.x");
	may(USER_B, 0, UNLINK, "free.x");
	may(USER_A, 0, MAKE, "free.x");
	may_not(USER_B, 0, PUBLISH, "free.x", -EACCES, 10);
	flow_stop();
}
END_TEST

START_TEST(schema_is_for_owner_and_publishers_to_set)
{
	user_start_broker(rules);
	may(USER_B, 0, MAKE, "free.s");
	may_not(USER_A, 0, CLAIM, "free.s", -EACCES, 10);
	may_not(USER_A, 0, JOIN_WITH_SCHEMA, "free.s", -EACCES, 10);
	may(USER_B, 0, CLAIM, "free.s");
	may(USER_A, 0, CLAIM, "free.s"); /* the same stands */
	may(USER_A, 0, JOIN_WITH_SCHEMA, "free.s");
	may(USER_A, 0, JOIN_WITH_SCHEMA, "free.made");
	flow_stop();
}
END_TEST

START_TEST(mailboxes_and_channels_have_their_own)
{
	user_start_broker(rules);
	may_not(USER_A, 0, MAILBOX, "requests", -EACCES, 14);
	may(USER_B, 0, MAILBOX, "requests");
	may(USER_A, 0, OPEN_MAILBOX, "requests");
	may_not(USER_B, GROUP, OPEN_MAILBOX, "requests", -EACCES, 16);
	ck_assert_uint_eq(topic_count(), 1);
	may(USER_A, 0, JOIN, "c");
	may(USER_B, GROUP, JOIN, "c");
	may_not(USER_B, 0, JOIN, "c", -EACCES, 5);
	ck_assert_uint_eq(topic_count(), 1);
	flow_stop();
}
END_TEST

/* A private /etc/group, for this process and its children. False: that can't be had. */
static bool have_admin_group(void)
{
	char path[] = "/tmp/kickmsg-group-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	dprintf(fd, "root:x:0:\nkickmsg-admin:x:%d:\n", ADMIN_GROUP);
	close(fd);
	bool good = unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    mount(path, "/etc/group", NULL, MS_BIND, NULL) == 0;
	unlink(path);
	return good;
}

START_TEST(without_rules_owner_and_admins_administer)
{
	bool group = have_admin_group();

	user_start_broker("");
	for (int action = MAKE; action < UNLINK; action++)
		if (action != OPEN_MAILBOX)
			may(USER_A, 0, (enum action)action, "t");
	may(USER_B, 0, PUBLISH, "t");
	may(USER_B, 0, SUBSCRIBE, "t");
	for (int action = UNLINK; action <= REPAIR; action++)
		may_not(USER_B, GROUP, (enum action)action, "t", -EPERM, 0);
	may(USER_A, 0, DIAGNOSE, "t");
	may(USER_A, 0, REPAIR, "t");
	if (group) {
		may(USER_B, ADMIN_GROUP, DIAGNOSE, "t");
		may(USER_B, ADMIN_GROUP, REPAIR, "t");
		may(USER_B, ADMIN_GROUP, UNLINK, "t");
	} else {
		puts("not seen: the group kickmsg-admin (no mount namespace to be had)");
	}
	flow_stop();
}
END_TEST

static void rewrite(const char *config)
{
	FILE *file = fopen(broker.config, "we");

	fprintf(file, "[broker]\nsocket_mode = 0666\n%s", config);
	fclose(file);
	kill(broker.pid, SIGHUP);
}

static void receive_one(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_B, 0);
	struct kickmsg_subscriber *s;
	char text[8];

	NEED(kickmsg_subscribe(mine, "t", NULL, &s) == 0);
	test_child_ready();
	NEED(kickmsg_receive_copy(s, text, sizeof text, 10000000000) == 2);
	_exit(0);
}

START_TEST(reload_counts_from_then_on_and_whole_or_not_at_all)
{
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	int status;

	user_start_broker("[topic *]\nsubscribe = 12345\n");
	client = flow_client("root");
	publisher = flow_advertise(client, "t", NULL);
	pid_t child = test_child_start(receive_one, NULL);

	/* a rule that is good, and then one that isn't: neither counts */
	rewrite("[topic *]\nsubscribe = none\n[topic t]\nsubscribe = none\n");
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "the config stays as it was: "), FLOW_WAIT_MS));
	ck_assert(test_broker_logged(&broker, ":5: [topic t] doesn't say of which prefix"));
	may(USER_B, 0, SUBSCRIBE, "t");
	may_not(USER_A, 0, SUBSCRIBE, "t", -EACCES, 4);

	rewrite("\n[topic *]\nsubscribe = none\n");
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "the config was read again"), FLOW_WAIT_MS));
	may_not(USER_B, 0, SUBSCRIBE, "t", -EACCES, 5);
	ck_assert_int_eq(kickmsg_send(publisher, "on", 2), 2);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static int go_on[2];

/* Connects to the first broker, and asks the second one. */
static void ask_after_restart(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_B, *(gid_t *)argument);
	struct kickmsg_subscriber *s;
	char byte;

	test_child_ready();
	NEED(read(go_on[0], &byte, 1) == 1);
	int r = kickmsg_subscribe(mine, "t", NULL, &s);
	if (*(gid_t *)argument == GROUP)
		NEED(r == 0);
	else
		NEED(r == -EACCES && flow_said(mine, ":2: uid 12345 may not subscribe"));
	_exit(0);
}

START_TEST(groups_are_known_after_a_restart)
{
	static struct test_manager manager;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	gid_t groups[] = { GROUP, GROUP + 1 };
	pid_t children[2];
	int status;

	if (test_skip_emulated("groups_are_known_after_a_restart", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, "[topic *]\nsubscribe = @777\n");
	ck_assert_int_eq(chmod(manager.dir, 0755), 0);
	ck_assert_int_eq(chmod(manager.socket, 0666), 0);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publisher), 0);
	ck_assert_int_eq(pipe2(go_on, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++)
		children[i] = test_child_start(ask_after_restart, &groups[i]);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert_int_eq(write(go_on[1], "go", 2), 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tc = tcase_create("policy");

	if (user_cannot_change())
		return 77;
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_right_is_for_whom_its_rule_names);
	tcase_add_test(tc, owner_is_who_created_it);
	tcase_add_test(tc, schema_is_for_owner_and_publishers_to_set);
	tcase_add_test(tc, mailboxes_and_channels_have_their_own);
	tcase_add_test(tc, without_rules_owner_and_admins_administer);
	tcase_add_test(tc, reload_counts_from_then_on_and_whole_or_not_at_all);
	tcase_add_test(tc, groups_are_known_after_a_restart);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
