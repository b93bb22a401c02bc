/* SPDX-License-Identifier: Apache-2.0 */
/* The words of kickmsgctl where there is nothing to see, and where it is used wrongly. */
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/broker/become.h"
#include "tests/support/broker/ctl.h"

START_TEST(watch_of_nothing_is_still_a_document)
{
	test_broker_start(&broker, NULL);
	json_object_put(json(0, "stats", "--watch", "-i", "0.01", "-n", "1", NULL));
	json_object_put(json(0, "list", NULL));
	json_object_put(json(0, "stats", NULL));
	expect(1, "stats", "--watch", "-i", "0.01", "-n", "1", "t", NULL);
	says("there is no topic '");
	json_object_put(json(1, "stats", "--watch", "-i", "0.01", "-n", "1", "t", NULL));
	stop();
}
END_TEST

START_TEST(no_topic_at_all_is_said)
{
	static const char *const verbs[] = { "list", "stats", "info", "schema", "diagnose",
		"repair" };

	test_broker_start(&broker, NULL);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		expect(0, verbs[i], NULL);
		says("There is no topic.\n");
	}
	stop();
}
END_TEST

START_TEST(a_topic_that_is_not_there_is_a_clear_error)
{
	static const char *const verbs[] = { "info", "stats", "clients", "schema", "unlink",
		"diagnose", "repair", "reset-rings", "reclaim", "recover" };

	start();
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		expect(1, verbs[i], "nowhere", NULL);
		says("kickmsgctl: kickmsg:nowhere: ");
		says("there is no topic '");
		struct json_object *root = json(1, verbs[i], "nowhere", NULL);
		struct json_object *topic = at(root, "topics", 0);

		ck_assert_str_eq(text(root, "verb"), verbs[i]);
		ck_assert_int_eq(number(topic, "errno"), ENOENT);
		ck_assert_str_eq(text(topic, "topic"), "nowhere");
		ck_assert_uint_gt(strlen(text(topic, "error")), 0);
		json_object_put(root);
		/* "t" is a topic's name, and names neither a channel nor a mailbox */
		expect(1, verbs[i], "t", "--channel", NULL);
		expect(1, verbs[i], "t", "--mailbox", "worker", NULL);
	}
	expect(1, "schema-diff", "nowhere", "t", NULL);
	says("kickmsgctl: kickmsg:nowhere: ");
	expect(1, "--prefix", "elsewhere", "info", "t", NULL);
	expect(1, "info", "kickmsg/t", NULL);
	says("there is no topic 'kickmsg/t' with prefix 'kickmsg' (another prefix is written "
	     "PREFIX:NAME)");
	expect(0, "info", "kickmsg:t", NULL);
	expect(0, "info", "topic:kickmsg:t", NULL);
	expect(0, "--prefix", "kickmsg", "info", "t", NULL);
	stop();
}
END_TEST

/* Each verb with a --timeout waits no longer than that for a broker, topic or service. */
START_TEST(wait_ends_with_the_timeout)
{
	static const char *const lines[][5] = { { "echo", "nosuch" }, { "hz", "nosuch" },
		{ "bw", "nosuch" }, { "delay", "nosuch" }, { "call", "nosuch" } };
	static const char *const others[][5] = { { "record", "-o", "-" }, { "watch" } };

	start();
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		expect(1, "--wait", "-t", "0.05", lines[i][0], lines[i][1], NULL);
		says(strcmp(lines[i][0], "call") == 0 ? "no server has answered in 0.05 s"
						      : "kickmsg:nosuch: ");
		says_not("doesn't answer");
	}
	kickmsg_client_free(client);
	flow_stop();
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		expect(3, "--wait", "-t", "0.05", lines[i][0], lines[i][1], NULL);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		expect(3, "--wait", "-t", "0.05", others[i][0], others[i][1], others[i][2], NULL);
	says("there is no broker at ");
}
END_TEST

/* The command line is checked before a broker is asked, which may not be there. */
START_TEST(wrong_use_is_told_without_a_broker)
{
	static const char *const lines[][5] = { { "log-level", "loud" }, { "top", "--sort", "age" },
		{ "list", "--sort", "nosuch" }, { "list", "-o", "nosuch" }, { "completion", "csh" },
		{ "record", "a" }, { "pub", "a" }, { "call", "a", "x", "--stdin" },
		{ "rights", "a", "--uid", "x" }, { "echo", "a", "-t", "x" }, { "help", "nosuch" } };
	static char longest[1024];

	start();
	kickmsg_client_free(client);
	flow_stop();
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		expect(2, lines[i][0], lines[i][1], lines[i][2], lines[i][3], NULL);
	memset(longest, 'x', sizeof longest - 1);
	expect(2, "top", longest, NULL);
	expect(2, "watch", longest, NULL);
}
END_TEST

START_TEST(near_names_are_suggested)
{
	start();
	flow_advertise(client, "camera/front", &small);
	flow_advertise(client, "camera/rear", &small);
	expect(1, "info", "camera/frnot", NULL);
	says("did you mean kickmsg:camera/front?\n");
	expect(1, "stats", "lab:camera/rear", NULL);
	says("did you mean kickmsg:camera/rear?\n");
	expect(1, "list", "kamera/rear", "t", NULL);
	says("kickmsg:kamera/rear: there is no such topic; did you mean kickmsg:camera/rear?\n");
	says("\nkickmsg:t ");
	expect(1, "echo", "camera/fron", NULL);
	says("did you mean kickmsg:camera/front?\n");
	/* a name that has the word in it */
	expect(1, "info", "rear", NULL);
	says("did you mean kickmsg:camera/rear?\n");
	expect(1, "hz", "CAM", NULL);
	says("did you mean kickmsg:camera/front or kickmsg:camera/rear?\n");
	expect(1, "info", "something/else", NULL);
	says_not("did you mean");
	struct kickmsg_client *other = flow_client("a monitor");
	expect(1, "client", "a%20monitro", NULL);
	says("there is no client 'a%20monitro'; did you mean a%20monitor?\n");
	expect(1, "client", "work", "--watch", "-n", "2", "-i", "0.01", NULL);
	says("there is no client 'work'; did you mean worker?\nkickmsgctl: there is no "
	     "client 'work'; did you mean worker?\n");
	expect(1, "evict", "--kill", "moni", NULL);
	says("did you mean a%20monitor?\n");
	expect(1, "client", "kickmsgct", NULL); /* this tool itself isn't meant */
	says_not("did you mean");
	kickmsg_client_free(other);
	expect(2, "diag", NULL);
	says("unknown verb: diag; did you mean diagnose?\n");
	expect(2, "sats", NULL);
	says("unknown verb: sats; did you mean stats?\n");
	expect(2, "help", "sats", NULL);
	says("unknown verb: sats; did you mean stats?\n");
	expect(2, "frobnicate", NULL);
	says_not("did you mean");
	stop();
}
END_TEST

START_TEST(wrong_use_is_status_2_and_says_where_help_is)
{
	static const char *const wrong[][6] = {
		{ NULL },
		{ "frobnicate" },
		{ "list", "/" },
		{ "info", "t", "u" },
		{ "stats", "t", "u" },
		{ "unlink" },
		{ "unlink", "t", "u" },
		{ "schema-diff" },
		{ "schema-diff", "t" },
		{ "schema-diff", "t", "u", "v" },
		{ "stats", "--watch", "-i", "0" },
		{ "stats", "--watch", "-i", "-1" },
		{ "stats", "--watch", "-i", "nan" },
		{ "stats", "--watch", "-i", "1x" },
		{ "stats", "--watch", "-i", "" },
		{ "stats", "--watch", "-n", "0" },
		{ "stats", "--watch", "-n", "-1" },
		{ "stats", "--watch", "-n", "x" },
		{ "stats", "--watch", "-i" },
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
		{ "--prefix", "a%", "list" },
		{ "info", "100%" },
		{ "info", "channel:t" },
		{ "info", "frob:kickmsg:t" },
		{ "info", "mailbox:kickmsg:t" },
		{ "info", "channel:kickmsg:o:t" },
		{ "info", "mailbox:kickmsg:o:t:u" },
		{ "info", "kickmsg:" },
		{ "info", ":t" },
		{ "info", "kickmsg:t", "--prefix", "kickmsg" },
		{ "info", "kickmsg:t", "--channel" },
		{ "--frobnicate", "list" },
		{ "-x", "list" },
		{ "list", "-o", "nothing" },
		{ "list", "-o", "" },
		{ "list", "-o", "name," },
		{ "list", "--sort", "-nothing" },
		{ "info", "t", "--sort", "name" },
		{ "echo", "t", "--watch" },
		{ "echo", "t", "--history", "4294967296" },
		{ "echo", "t", "--spare-places", "18446744073709551615" },
		{ "pub", "t", "x", "--wait-subscribers", "4294967297" },
		{ "help", "frobnicate" },
		{ "help", "list", "info" },
	};

	test_broker_start(&broker, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		expect(2, wrong[i][0] ? wrong[i][0] : "--", wrong[i][1], wrong[i][2], wrong[i][3],
			wrong[i][4], wrong[i][5], NULL);
		says("Try 'kickmsgctl ");
		says("--help'.");
	}
	expect(2, "list", "-o", "nothing", NULL);
	says("no column: nothing; there are name, ");
	expect(2, "echo", NULL);
	says("echo needs a TOPIC");
	stop();
}
END_TEST

START_TEST(help_names_every_option_and_verb)
{
	static const char *const options[] = { "--socket", "-w, --wait", "--prefix", "--channel",
		"--mailbox", "-j, --json", "--version", "-h, --help" };
	static const char *const of_listings[] = { "-o, --output", "--sort", "--no-legend",
		"--no-pager", "-W, --watch", "-i, --interval", "-n, --count" };
	char line[64], **verb;

	test_broker_start(&broker, NULL);
	char **const verbs = all_verbs();
	expect(0, "--help", NULL);
	for (verb = verbs; *verb; verb++) {
		/* "list" isn't found in the entry of another verb that begins so */
		snprintf(line, sizeof line, "\n  %s ", *verb);
		says(line);
	}
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		snprintf(line, sizeof line, "\n  %s", options[i]);
		says(line);
	}
	/* there are three ways to ask for a verb's help */
	for (verb = verbs; *verb; verb++) {
		/* a verb without arguments has the end of the line there */
		snprintf(line, sizeof line, "Usage: kickmsgctl [OPTION]... %s", *verb);
		expect(0, *verb, "-h", NULL);
		says(line);
		says("\n  --socket");
		expect(0, *verb, "--help", NULL);
		says(line);
		expect(0, "help", *verb, NULL);
		says(line);
	}
	expect(0, "list", "-h", NULL);
	for (size_t i = 0; i < sizeof of_listings / sizeof of_listings[0]; i++) {
		snprintf(line, sizeof line, "\n  %s", of_listings[i]);
		says(line);
	}
	says("name* kind prefix state* pubs*");
	expect(0, "echo", "--help", NULL);
	says("\n  --hex");
	says("\n  --raw");
	says_not("--sort");
	expect(0, "--version", NULL);
	says("kickmsgctl ");
	stop();
}
END_TEST

/* No socket can have that path: the error shows the path that was said, cut off. */
START_TEST(path_that_no_socket_can_have_is_said)
{
	const char *program = getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL;
	const char *argv[] = { program, "list", NULL };
	char path[140] = "/tmp/";

	memset(path + 5, 'd', sizeof path - 6);
	setenv("KICKMSG_SOCKET", path, 1);
	ck_assert_int_eq(test_run(argv, output, sizeof output), 3);
	says("kickmsgctl: the socket's path has 139 bytes, it must have 1 to 107: /tmp/dddd");
}
END_TEST

/* The error names the default's path as well. A user who may not connect is told who may. */
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
		if (pid == 0) { /* the machine has no user of that name */
			setenv("XDG_RUNTIME_DIR", folder, 1);
			if (!test_become(54321, 0))
				_exit(9);
			expect(4, "list", NULL);
			says("may not connect to the broker at ");
			says(broker.socket);
			says("kickmsg");
			unsetenv("KICKMSG_SOCKET");
			ck_assert_int_eq(test_run(argv, output, sizeof output), 3);
			says("there is no broker at /tmp/kickmsg-ctl-");
			says("/kickmsg/kickmsgd.sock; ");
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	} else {
		setenv("XDG_RUNTIME_DIR", folder, 1);
		unsetenv("KICKMSG_SOCKET");
		ck_assert_int_eq(test_run(argv, output, sizeof output), 3);
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
	tcase_add_test(tc, no_topic_at_all_is_said);
	tcase_add_test(tc, a_topic_that_is_not_there_is_a_clear_error);
	tcase_add_test(tc, wait_ends_with_the_timeout);
	tcase_add_test(tc, wrong_use_is_told_without_a_broker);
	tcase_add_test(tc, near_names_are_suggested);
	tcase_add_test(tc, wrong_use_is_status_2_and_says_where_help_is);
	tcase_add_test(tc, help_names_every_option_and_verb);
	tcase_add_test(tc, path_that_no_socket_can_have_is_said);
	tcase_add_test(tc, broker_that_cant_be_reached_is_named);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
