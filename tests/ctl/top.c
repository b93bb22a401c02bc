/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl top: its tables, and its screen at a terminal. */
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/pty.h"

static struct pty pty;

static void show(const char *first, const char *second)
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket,
		"top", "-i", "0.02", first, second, NULL };

	pty_start(&pty, 24, 100, argv, NULL);
	pty_wait(&pty, 0, "q quit");
}

/* Finds the whole screen: ncurses writes changes alone, so the test asks for all of it too. */
static void press(const char *keys, const char *until)
{
	size_t from = pty.used;

	pty_type(&pty, keys);
	pty_type(&pty, "\f");
	pty_wait(&pty, from, until);
}

START_TEST(tables_without_a_terminal)
{
	start();
	flow_advertise(client, "u", &small);
	expect(0, "top", "-n", "1", NULL);
	tells("kickmsg:t 1 1 0/s 0B/s 0/s 0/s 2 3 64 3 ");
	tells("kickmsg:u 1 0 0/s 0B/s 0/s 0/s 0 0 64 - - ");
	expect(0, "top", "-n", "2", "-i", "0.01", NULL);
	char *second = strstr(output, "NAME");
	ck_assert(second && strstr(second + 1, "NAME"));
	expect(0, "top", "-n", "1", "u", NULL);
	says("kickmsg:u");
	says_not("kickmsg:t");
	expect(0, "top", "-n", "1", "*:t", NULL);
	says("kickmsg:t");
	says_not("kickmsg:u");
	expect(0, "top", "-n", "1", "nothing like it", NULL);
	says("There is no topic.");
	/* the topic with the fullest pool comes first, or the first one by name */
	flow_advertise(client, "a", &small);
	expect(0, "top", "-n", "1", "--sort", "pool", NULL);
	ck_assert(strstr(output, "kickmsg:t") < strstr(output, "kickmsg:a"));
	expect(0, "top", "-n", "1", "--sort", "name", NULL);
	ck_assert(strstr(output, "kickmsg:a") < strstr(output, "kickmsg:t"));
	expect(2, "top", "-n", "1", "--sort", "beauty", NULL);
	says("not rate, bytes, lost, pool");
	stop();
}
END_TEST

/* top asks about the first 64 rows alone where an answer makes the broker walk through the
 * topic. */
START_TEST(many_topics_are_not_asked_one_by_one)
{
	struct json_object *used;
	size_t known = 0;
	char name[16];

	start();
	for (int i = 0; i < 79; i++) {
		snprintf(name, sizeof name, "n%02d", i);
		flow_advertise(client, name, &small);
	}
	struct json_object *root = json(0, "top", "-n", "1", "--sort", "name", NULL);
	ck_assert_uint_eq(length(root, "topics"), 80);
	for (size_t i = 0; i < 80; i++) {
		ck_assert_int_eq(number(at(root, "topics", i), "pool_size"), 64);
		known += json_object_object_get_ex(at(root, "topics", i), "used_slots", &used);
	}
	ck_assert_uint_eq(known, 64);
	get(at(root, "topics", 63), "used_slots");
	json_object_put(root);
	/* sorted by pool, all topics are asked about, since they are few */
	root = json(0, "top", "-n", "1", "--sort", "pool", NULL);
	ck_assert_str_eq(text(at(root, "topics", 0), "name"), "kickmsg:t");
	for (size_t i = 0; i < 80; i++)
		get(at(root, "topics", i), "used_slots");
	json_object_put(root);
	stop();
}
END_TEST

START_TEST(rates_are_those_between_two_looks)
{
	start();
	const char *program = getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL;
	const char *argv[] = { program, "--socket", broker.socket, "--json", "top", "-i", "0.01",
		NULL };
	size_t seen = 0;

	pty_start(&pty, 24, 4096, argv, NULL);
	pty_wait(&pty, 0, "\"sent_per_s\":0.0");
	do {
		seen = pty.used;
		ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
		pty_wait(&pty, seen, "\"ok\":true}");
	} while (!strstr(pty.shown, "\"lost\":7") || !strstr(pty.shown, "\"sent_per_s\":1"));
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

START_TEST(keys_sort_filter_and_open)
{
	if (test_skip_emulated("keys_sort_filter_and_open", TEST_LACKS_CURSES))
		return;
	start();
	flow_advertise(client, "other", &small);
	show(NULL, NULL);
	pty_wait(&pty, 0, "kickmsg:t");
	pty_wait(&pty, 0, "kickmsg:other");
	press("n", "by name");
	press("/oth", "filter: oth");
	press("\n", "1 of 2");
	press("\n", "SUBSCRIBER");
	pty_wait(&pty, 0, "worker");
	press("\033", "1 of 2");
	press("/", "filter: oth_");
	press("\033", "2 of 2");
	pty_type(&pty, "q");
	ck_assert_int_eq(pty_end(&pty), 0);
	/* the terminal shows its earlier screen again */
	ck_assert_ptr_nonnull(strstr(pty.shown, "\033[?1049l"));
	stop();
}
END_TEST

START_TEST(a_resize_is_followed)
{
	if (test_skip_emulated("a_resize_is_followed", TEST_LACKS_CURSES))
		return;
	start();
	show(NULL, NULL);
	for (unsigned short rows = 1; rows <= 40; rows += 13) {
		size_t from = pty.used;

		pty_resize(&pty, rows, (unsigned short)(rows * 4));
		pty_wait(&pty, from, "q q");
	}
	size_t from = pty.used;
	pty_resize(&pty, 24, 100);
	pty_wait(&pty, from, "kickmsg:t");
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_nonnull(strstr(pty.shown, "\033[?1049l"));
	stop();
}
END_TEST

START_TEST(the_next_broker_is_found)
{
	if (test_skip_emulated("the_next_broker_is_found", TEST_LACKS_CURSES))
		return;
	start();
	show(NULL, NULL);
	test_broker_kill(&broker);
	pty_wait(&pty, 0, "there is no broker now");
	ck_assert_int_eq(waitpid(pty.pid, NULL, WNOHANG), 0);
	test_broker_resume(&broker);
	struct kickmsg_client *late = flow_client("late");
	flow_advertise(late, "after", &small);
	pty_wait(&pty, 0, "kickmsg:after");
	pty_type(&pty, "q");
	ck_assert_int_eq(pty_end(&pty), 0);
	kickmsg_client_free(late);
	stop();
}
END_TEST

START_TEST(it_takes_nobodys_place)
{
	if (test_skip_emulated("it_takes_nobodys_place", TEST_LACKS_CURSES))
		return;
	start();
	show(NULL, NULL);
	press("\n", "SUBSCRIBER");
	/* three subscribers have a place, and one is there */
	flow_subscribe(client, "t");
	flow_subscribe(client, "t");
	expect(0, "clients", "t", "--no-legend", "-o", "pid", NULL);
	ck_assert_int_eq(strtol(output, NULL, 10), getpid());
	pty_type(&pty, "q");
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

START_TEST(a_dumb_terminal_gets_a_table)
{
	const char *program = getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL;
	const char *argv[] = { program, "--socket", broker.socket, "top", "-n", "1", NULL };

	start();
	pty_start(&pty, 24, 100, argv, (const char *[]){ "TERM=dumb", NULL });
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert(strstr(pty.shown, "kickmsg:t") && !strstr(pty.shown, "\033["));
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-top");
	TCase *tc = tcase_create("ctl-top");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, tables_without_a_terminal);
	tcase_add_test(tc, many_topics_are_not_asked_one_by_one);
	tcase_add_test(tc, rates_are_those_between_two_looks);
	tcase_add_test(tc, keys_sort_filter_and_open);
	tcase_add_test(tc, a_resize_is_followed);
	tcase_add_test(tc, the_next_broker_is_found);
	tcase_add_test(tc, it_takes_nobodys_place);
	tcase_add_test(tc, a_dumb_terminal_gets_a_table);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
