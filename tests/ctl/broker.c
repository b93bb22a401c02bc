/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl's verbs on the broker and its clients: status, client, find, reload, evict, completion. */
#include "tests/support/broker/ctl.h"

START_TEST(status_tells_what_there_is)
{
	char line[64];

	start();
	expect(0, "status", NULL);
	snprintf(line, sizeof line, " Pid: %d\n", broker.pid);
	tells(line);
	tells(" Topics: 1\n");
	tells(" Endpoints: 2\n");
	tells(" Topics outlive it: no\n");
	says(broker.socket);
	struct json_object *root = json(0, "status", NULL), *object = get(root, "broker");
	ck_assert_int_eq(number(object, "pid"), broker.pid);
	ck_assert_int_eq(number(object, "clients"), 2); /* the test's and the tool's */
	ck_assert_int_gt(number(object, "descriptors"), 3);
	ck_assert_int_gt(number(object, "resident_bytes"), 100000);
	json_object_put(root);
	stop();
}
END_TEST

static void wait_for_ever(void *unused)
{
	flow_subscribe(flow_client("victim one"), "t");
	test_child_ready();
	pause();
}

START_TEST(clients_are_found_and_ended)
{
	char pid[16], line[128];

	start();
	pid_t child = test_child_start(wait_for_ever, NULL);

	snprintf(pid, sizeof pid, "%d", child);
	snprintf(line, sizeof line, "victim%%20one %d %u kickmsg 0 1 0 ", child, geteuid());
	expect(0, "client", NULL);
	tells(line);
	tells("worker ");
	expect(0, "client", pid, NULL);
	tells(line);
	tells("\nTOPIC CLIENT PID UID ROLE PUBS SUBS PUB-ID RINGS LOANS BORROWS AGE STATE\n");
	tells("kickmsg:t victim%20one ");
	tells(" subscriber 0 1 - 1 0 0 ");
	says_not("worker");
	expect(0, "client", "victim*", NULL);
	tells(line);
	struct json_object *root = json(0, "client", "victim%20one", NULL);
	struct json_object *who = at(root, "clients", 0);
	ck_assert_int_eq(number(who, "pid"), child);
	ck_assert_str_eq(text(at(who, "topics", 0), "role"), "subscriber");
	json_object_put(root);
	expect(1, "client", "nobody", NULL);
	says("there is no client 'nobody'");
	expect(1, "evict", pid, NULL);
	says("the memory that a client has mapped can't be taken back: --kill ends its process");
	ck_assert_int_eq(kill(child, 0), 0);
	expect(0, "evict", pid, "--kill", NULL);
	snprintf(line, sizeof line, "Process %d is ended.", child);
	says(line);
	test_child_end(child, 0);
	ck_assert(test_wait_until(
		(expect(0, "client", NULL), !strstr(output, "victim")), FLOW_WAIT_MS));
	expect(1, "evict", "nobody", "--kill", NULL);
	/* the tool itself is a client of this name, and the only one */
	expect(1, "evict", "kickmsgctl", "--kill", NULL);
	says("there is no client 'kickmsgctl'");
	expect(2, "evict", NULL);
	stop();
}
END_TEST

START_TEST(topics_are_found_by_their_schema)
{
	struct kickmsg_schema schema = { .name = "geometry/Point", .version = 7 };
	struct kickmsg_topic_config config = small;

	start();
	config.schema = &schema;
	flow_advertise(client, "p", &config);
	expect(0, "find", "geometry/*", NULL);
	tells("kickmsg:p geometry/Point 7 00\n");
	says_not("kickmsg:t");
	expect(1, "find", "geometry", NULL);
	says("No topic has such a schema; did you mean geometry/Point?\n");
	expect(1, "find", "nothing*", NULL);
	says("No topic has such a schema.\n");
	struct json_object *root = json(0, "find", "*Point", NULL);
	ck_assert_int_eq(number(at(root, "topics", 0), "version"), 7);
	json_object_put(root);
	stop();
}
END_TEST

START_TEST(list_shows_rates_and_losses)
{
	start();
	expect(0, "list", "--no-legend", "-o",
		"name,rate,byte-rate,sent,bytes,received,lost,failed", NULL);
	squeeze();
	ck_assert_str_eq(output, "kickmsg:t 0/s 0B/s 6 6 1 2 0\n");
	struct json_object *root = json(0, "list", "-o", "rate", NULL);
	ck_assert_int_eq(number(at(root, "topics", 0), "lost"), 2);
	get(at(root, "topics", 0), "sent_per_s");
	json_object_put(root);
	stop();
}
END_TEST

static void write_config(const char *text)
{
	FILE *file = fopen(broker.config, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(reload_says_what_the_broker_makes_of_it)
{
	start();
	write_config("[limits]\ntopics = 17\n");
	expect(0, "reload", NULL);
	says("The broker has read its configuration.");
	expect(0, "status", NULL);
	tells(" Max topics: 17\n");
	write_config("[limits]\nnonsense = 1\n");
	expect(1, "reload", NULL);
	says("nonsense");
	expect(0, "status", NULL);
	tells(" Config refused: ");
	json_object_put(json(1, "reload", NULL));
	stop();
}
END_TEST

START_TEST(log_level_is_set_and_told)
{
	char line[64];

	start();
	expect(0, "log-level", "error", NULL);
	says("The broker logs at level error.");
	expect(0, "log-level", NULL);
	ck_assert_str_eq(output, "error\n");
	struct json_object *root = json(0, "status", NULL);
	ck_assert_str_eq(text(get(root, "broker"), "log_level"), "error");
	json_object_put(root);
	root = json(0, "log-level", "debug", NULL);
	ck_assert_str_eq(text(root, "log_level"), "debug");
	json_object_put(root);
	root = json(0, "log-level", NULL);
	ck_assert_str_eq(text(root, "log_level"), "debug");
	json_object_put(root);
	snprintf(line, sizeof line, "the log's level is debug now pid=");
	ck_assert(test_broker_logged(&broker, line));
	expect(2, "log-level", "loud", NULL);
	says("not error, warning, notice, info or debug: loud");
	expect(2, "log-level", "info", "debug", NULL);
	/* the next broker has the config's level */
	write_config("[log]\nlevel = warning\n");
	expect(0, "reload", NULL);
	stop();
}
END_TEST

START_TEST(completion_knows_each_verb)
{
	static const char *const shells[] = { "bash", "zsh", "fish" };
	static const char *const verbs[] = { "list", "record", "schema-diff", "recover" };

	start();
	for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
		expect(0, "completion", shells[i], NULL);
		for (size_t verb = 0; verb < sizeof verbs / sizeof verbs[0]; verb++)
			says(verbs[verb]);
		says(i == 0 ? "topics=list" : "list --no-legend --no-pager -o name");
		says(i == 0 ? "topics=services" : "services --no-legend --no-pager -o name");
	}
	expect(2, "completion", "csh", NULL);
	/* bash completes by the script itself: verbs, a verb's options, and the broker's topics */
	const char *program = getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL;
	static char script[4096];
	const char *argv[] = { "/bin/bash", "-c", script, NULL };
	snprintf(script, sizeof script,
		"set -e; kickmsgctl() { '%s' --socket '%s' \"$@\"; }\n"
		"eval \"$(kickmsgctl completion bash)\"\n"
		"try() { COMP_WORDS=(kickmsgctl \"$@\"); COMP_CWORD=$#; COMP_LINE=\"kickmsgctl "
		"$*\"; "
		"COMP_POINT=${#COMP_LINE}; _kickmsgctl kickmsgctl \"${!#}\" "
		"\"${COMP_WORDS[COMP_CWORD-1]}\"; echo \"${COMPREPLY[*]}.\"; }\n"
		"try rec; try hz --sub; try info kick; try record --compress z",
		program, broker.socket);
	ck_assert_msg(test_run(argv, output, sizeof output) == 0, "%s", output);
	ck_assert_str_eq(output, "record reclaim recover.\n--subscribe.\nkickmsg:t.\nzstd.\n");
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-broker");
	TCase *tc = tcase_create("ctl-broker");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, status_tells_what_there_is);
	tcase_add_test(tc, clients_are_found_and_ended);
	tcase_add_test(tc, topics_are_found_by_their_schema);
	tcase_add_test(tc, list_shows_rates_and_losses);
	tcase_add_test(tc, reload_says_what_the_broker_makes_of_it);
	tcase_add_test(tc, log_level_is_set_and_told);
	tcase_add_test(tc, completion_knows_each_verb);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
