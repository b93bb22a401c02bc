/* SPDX-License-Identifier: Apache-2.0 */
/* What kickmsgctl says where there is nothing to see, and to those who use it wrongly. */
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/ctl.h"

START_TEST(watch_of_nothing_is_still_a_document)
{
	test_broker_start(&broker, NULL);
	json_object_put(json(0, "watch", "-i", "0.01", "-n", "1", NULL));
	json_object_put(json(0, "list", NULL));
	json_object_put(json(0, "stats", NULL));
	expect(1, "watch", "-i", "0.01", "-n", "1", "t", NULL);
	says("there is no topic '");
	json_object_put(json(1, "watch", "-i", "0.01", "-n", "1", "t", NULL));
	stop();
}
END_TEST

START_TEST(a_topic_that_is_not_there_is_a_clear_error)
{
	static const char *const verbs[] = { "info", "stats", "watch", "clients", "schema",
		"unlink", "diagnose", "repair", "reset-rings", "reclaim", "recover" };

	start();
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		expect(1, verbs[i], "nowhere", NULL);
		says("kickmsgctl: nowhere: ");
		says("there is no topic '");
		struct json_object *root = json(1, verbs[i], "nowhere", NULL);
		struct json_object *topic = at(root, "topics", 0);

		ck_assert_str_eq(text(root, "verb"), verbs[i]);
		ck_assert_int_eq(number(topic, "errno"), ENOENT);
		ck_assert_str_eq(text(topic, "topic"), "nowhere");
		ck_assert_uint_gt(strlen(text(topic, "error")), 0);
		json_object_put(root);
		/* a topic's name names no channel and no mailbox */
		expect(1, verbs[i], "t", "--channel", NULL);
		expect(1, verbs[i], "t", "--mailbox", "worker", NULL);
	}
	expect(1, "schema-diff", "nowhere", "t", NULL);
	says("kickmsgctl: nowhere: ");
	expect(1, "--prefix", "elsewhere", "info", "t", NULL);
	expect(1, "info", "kickmsg/t", NULL); /* as list shows it */
	says("there is no topic 'kickmsg.t' with prefix 'kickmsg' (PREFIX/NAME is --prefix PREFIX "
	     "NAME)");
	expect(0, "--prefix", "kickmsg", "info", "t", NULL);
	stop();
}
END_TEST

START_TEST(wrong_use_is_status_2_and_says_where_help_is)
{
	static const char *const wrong[][6] = {
		{ NULL },
		{ "frobnicate" },
		{ "list", "t" },
		{ "info", "t", "u" },
		{ "stats", "t", "u" },
		{ "unlink" },
		{ "unlink", "t", "u" },
		{ "schema-diff" },
		{ "schema-diff", "t" },
		{ "schema-diff", "t", "u", "v" },
		{ "watch", "-i", "0" },
		{ "watch", "-i", "-1" },
		{ "watch", "-i", "nan" },
		{ "watch", "-i", "1x" },
		{ "watch", "-i", "" },
		{ "watch", "-n", "0" },
		{ "watch", "-n", "-1" },
		{ "watch", "-n", "x" },
		{ "watch", "-i" },
		{ "stats", "-i", "1" },
		{ "stats", "-n", "1" },
		{ "echo" },
		{ "echo", "t", "u" },
		{ "echo", "t", "-i", "1" },
		{ "echo", "t", "-n", "0" },
		{ "echo", "t", "--hex", "--raw" },
		{ "echo", "t", "--raw", "--json" },
		{ "info", "t", "--hex" },
		{ "--channel", "list" },
		{ "--channel", "--mailbox", "o", "info", "t" },
		{ "--mailbox", "/", "info", "t" },
		{ "--mailbox" },
		{ "info", "" },
		{ "info", "/" },
		{ "--prefix", "", "list" },
		{ "--frobnicate", "list" },
		{ "-x", "list" },
	};

	test_broker_start(&broker, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		expect(2, wrong[i][0] ? wrong[i][0] : "--", wrong[i][1], wrong[i][2], wrong[i][3],
			wrong[i][4], wrong[i][5], NULL);
		says("Try 'kickmsgctl --help'.");
	}
	stop();
}
END_TEST

START_TEST(help_names_every_option_and_verb)
{
	static const char *const words[] = { "list", "info", "stats", "watch", "clients", "schema",
		"schema-diff", "echo", "unlink", "diagnose", "repair", "reset-rings", "reclaim",
		"recover", "--socket", "--prefix", "--channel", "--mailbox", "--json", "-i SECONDS",
		"-n COUNT", "--hex", "--raw", "--version", "--help" };

	test_broker_start(&broker, NULL);
	expect(0, "--help", NULL);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		char line[32];

		snprintf(line, sizeof line, "\n  %s", words[i]);
		says(line);
	}
	expect(0, "--version", NULL);
	says("kickmsgctl ");
	stop();
}
END_TEST

START_TEST(without_a_broker_every_verb_says_so)
{
	static const char *const verbs[] = { "list", "info", "stats", "watch", "clients", "schema",
		"unlink", "diagnose", "repair" };

	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		bool named = strcmp(verbs[i], "unlink") == 0;

		expect(1, verbs[i], named ? "t" : NULL, NULL);
		says("there is no broker at ");
		says(broker.socket);
		says("; ");
		says("(--socket, KICKMSG_SOCKET)\n");
		json_object_put(json(1, verbs[i], named ? "t" : NULL, NULL));
	}
	test_broker_resume(&broker);
	stop();
}
END_TEST

/* The default's path is named as well; who may not connect is told who may. */
START_TEST(broker_that_cant_be_reached_is_named)
{
	char folder[] = "/tmp/kickmsg-ctl-XXXXXX";
	const char *program = getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL;
	const char *argv[] = { program, "list", NULL };

	test_broker_start(&broker, NULL);
	ck_assert(mkdtemp(folder) && chmod(folder, 0711) == 0);
	if (geteuid() == 0) {
		pid_t pid = fork();
		int status;

		ck_assert_int_eq(chmod(broker.dir, 0711), 0);
		ck_assert_int_eq(chmod(broker.socket, 0600), 0);
		if (pid == 0) { /* not a user that the machine knows */
			setenv("XDG_RUNTIME_DIR", folder, 1);
			if (setgroups(0, NULL) || setgid(54321) || setuid(54321))
				_exit(9);
			expect(1, "list", NULL);
			says("may not connect to the broker at ");
			says(broker.socket);
			says("kickmsg");
			unsetenv("KICKMSG_SOCKET");
			ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
			says("there is no broker at /tmp/kickmsg-ctl-");
			says("/kickmsg/kickmsgd.sock; ");
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	} else {
		setenv("XDG_RUNTIME_DIR", folder, 1);
		unsetenv("KICKMSG_SOCKET");
		ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
		says("there is no broker at /tmp/kickmsg-ctl-");
	}
	ck_assert_int_eq(rmdir(folder), 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-usage");
	TCase *tc = tcase_create("ctl-usage");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, watch_of_nothing_is_still_a_document);
	tcase_add_test(tc, a_topic_that_is_not_there_is_a_clear_error);
	tcase_add_test(tc, wrong_use_is_status_2_and_says_where_help_is);
	tcase_add_test(tc, help_names_every_option_and_verb);
	tcase_add_test(tc, without_a_broker_every_verb_says_so);
	tcase_add_test(tc, broker_that_cant_be_reached_is_named);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
