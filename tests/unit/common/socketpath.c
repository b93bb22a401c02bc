/* SPDX-License-Identifier: Apache-2.0 */
/* Where the socket is, in each case of the table in socketpath.h. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/protocol/socketpath.h"
#include "tests/support/suite.h"

#define SYSTEM "/run/kickmsg/kickmsgd.sock"

static const struct {
	struct km_socket_choice choice;
	const char *client, *broker_folder; /* "": none */
} cases[] = {
	{ { "/said", "/variable", "/run/user/1", false }, "/said", "/run/user/1/kickmsg" },
	{ { "", "/variable", "/run/user/1", false }, "", "/run/user/1/kickmsg" },
	{ { NULL, "/variable", "/run/user/1", false }, "/variable", "/run/user/1/kickmsg" },
	{ { NULL, "", "/run/user/1", false }, "", "/run/user/1/kickmsg" },
	{ { NULL, "/variable", "/run/user/0", true }, "/variable", "/run/kickmsg" },
	{ { NULL, NULL, "/run/user/0", true }, SYSTEM, "/run/kickmsg" },
	{ { NULL, NULL, NULL, true }, SYSTEM, "/run/kickmsg" },
	{ { NULL, NULL, "/run/user/1", false }, "/run/user/1/kickmsg/kickmsgd.sock",
		"/run/user/1/kickmsg" },
	{ { NULL, NULL, "", false }, SYSTEM, "" },
	{ { NULL, NULL, NULL, false }, SYSTEM, "" },
};

START_TEST(path_is_that_of_the_table)
{
	char path[KM_SOCKET_PATH_SIZE] = "", folder[KM_SOCKET_PATH_SIZE] = "";

	size_t len = km_socket_client_path(&cases[_i].choice, path, sizeof path);
	ck_assert_str_eq(path, cases[_i].client);
	ck_assert_uint_eq(len, strlen(cases[_i].client));
	len = km_socket_broker_folder(&cases[_i].choice, folder, sizeof folder);
	ck_assert_str_eq(folder, cases[_i].broker_folder);
	ck_assert_uint_eq(len, strlen(cases[_i].broker_folder));
}
END_TEST

/* A caller that needs more room than there is hears how much. */
START_TEST(path_too_long_has_its_length)
{
	char runtime[200], path[KM_SOCKET_PATH_SIZE];
	const struct km_socket_choice choice = { .runtime = runtime };

	memset(runtime, 'x', sizeof runtime - 1);
	runtime[sizeof runtime - 1] = 0;
	ck_assert_uint_eq(km_socket_client_path(&choice, path, sizeof path),
		sizeof runtime - 1 + strlen("/kickmsg/kickmsgd.sock"));
	ck_assert_uint_eq(strlen(path), sizeof path - 1);
	ck_assert_uint_eq(km_socket_broker_folder(&choice, path, sizeof path),
		sizeof runtime - 1 + strlen("/kickmsg"));
}
END_TEST

START_TEST(choose_takes_what_this_process_has)
{
	setenv("KICKMSG_SOCKET", "/a", 1);
	setenv("XDG_RUNTIME_DIR", "/b", 1);
	struct km_socket_choice choice = km_socket_choose("/c");
	ck_assert_str_eq(choice.said, "/c");
	ck_assert_str_eq(choice.variable, "/a");
	ck_assert_str_eq(choice.runtime, "/b");
	ck_assert(choice.is_root == (geteuid() == 0));
	unsetenv("KICKMSG_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
	choice = km_socket_choose(NULL);
	ck_assert(!choice.said && !choice.variable && !choice.runtime);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socketpath");
	TCase *tc = tcase_create("socketpath");

	tcase_add_loop_test(tc, path_is_that_of_the_table, 0, sizeof cases / sizeof cases[0]);
	tcase_add_test(tc, path_too_long_has_its_length);
	tcase_add_test(tc, choose_takes_what_this_process_has);
	suite_add_tcase(suite, tc);
	return test_suite_run(suite);
}
