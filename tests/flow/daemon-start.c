/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgd's beginning and end: its socket, its options, its config. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/support/broker/become.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"

static const char *kickmsgd(void)
{
	const char *path = getenv("KICKMSGD");

	return path ? path : TEST_KICKMSGD;
}

static char output[8192];

START_TEST(socket_in_use_is_an_error_that_says_so)
{
	const char *argv[] = { kickmsgd(), "--socket", broker.socket, NULL };

	test_broker_start(&broker, NULL);
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_ptr_nonnull(strstr(output, broker.socket));
	ck_assert_ptr_nonnull(strstr(output, "in use"));
	/* the first one is unharmed */
	kickmsg_client_free(flow_client("still"));
	flow_stop();
}
END_TEST

START_TEST(stale_socket_of_a_killed_broker_is_replaced)
{
	struct stat st;

	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	ck_assert_int_eq(stat(broker.socket, &st), 0);
	test_broker_resume(&broker);
	kickmsg_client_free(flow_client("again"));
	ck_assert(test_broker_logged(&broker, "replaced"));
	flow_stop();
}
END_TEST

START_TEST(of_brokers_started_at_once_one_wins)
{
	enum { BROKERS = 6 };
	pid_t pids[BROKERS];
	unsigned ended = 0;
	bool is_up[BROKERS];

	/* a socket file that nobody listens at is there, which makes the start harder */
	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	for (int i = 0; i < BROKERS; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		is_up[i] = true;
		if (pids[i] == 0) {
			int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

			dup2(null, STDERR_FILENO);
			execl(kickmsgd(), kickmsgd(), "--socket", broker.socket, (char *)NULL);
			_exit(97);
		}
	}
	for (unsigned left = FLOW_WAIT_MS * 2; left && ended < BROKERS - 1; left--) {
		for (int i = 0; i < BROKERS; i++) {
			int status;

			if (!is_up[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			ck_assert_int_eq(WEXITSTATUS(status), 1);
			is_up[i] = false;
			ended++;
		}
		test_nap();
	}
	ck_assert_uint_eq(ended, BROKERS - 1);
	for (int i = 0; i < BROKERS; i++)
		if (is_up[i])
			broker.pid = pids[i];
	ck_assert(test_wait_until(access(broker.socket, F_OK) == 0, FLOW_WAIT_MS));
	kickmsg_client_free(flow_client("winner"));
	flow_stop();
}
END_TEST

/* The moment between another broker's lock and its socket, held still. */
START_TEST(stale_socket_is_left_to_who_has_the_lock)
{
	const char *argv[] = { kickmsgd(), "--socket", broker.socket, NULL };
	char lock[128];

	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	snprintf(lock, sizeof lock, "%s.lock", broker.socket);
	int fd = open(lock, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_ptr_nonnull(strstr(output, "in use by another broker"));
	ck_assert_int_eq(access(broker.socket, F_OK), 0);
	close(fd);
	test_broker_resume(&broker);
	flow_stop();
}
END_TEST

START_TEST(sigterm_removes_the_socket_and_the_lock)
{
	char lock[128];

	test_broker_start(&broker, NULL);
	snprintf(lock, sizeof lock, "%s.lock", broker.socket);
	ck_assert_int_eq(access(lock, F_OK), 0);
	kill(broker.pid, SIGTERM);
	int status;
	ck_assert_int_eq(waitpid(broker.pid, &status, 0), broker.pid);
	broker.pid = 0;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(access(broker.socket, F_OK), -1);
	ck_assert_int_eq(access(lock, F_OK), -1);
	flow_stop();
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	test_broker_start(&broker, NULL);
	const char *argv[] = { kickmsgd(), "--socket", broker.log, NULL };

	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_ptr_nonnull(strstr(output, "not a socket"));
	ck_assert_int_eq(access(broker.log, F_OK), 0);
	flow_stop();
}
END_TEST

START_TEST(socket_of_another_program_is_left_alone)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	test_broker_start(&broker, NULL);
	snprintf(address.sun_path, sizeof address.sun_path, "%s2", broker.socket);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	const char *argv[] = { kickmsgd(), "--socket", address.sun_path, NULL };
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_ptr_nonnull(strstr(output, "another program"));
	ck_assert_int_eq(access(address.sun_path, F_OK), 0);
	close(fd);
	flow_stop();
}
END_TEST

static const struct {
	const char *argument, *value;
	int status;
	const char *says;
} options[] = {
	{ "--help", NULL, 0, "--log-level" },
	{ "--version", NULL, 0, "kickmsgd 0." },
	{ "--sprocket", NULL, 2, "sprocket" },
	{ "-x", NULL, 2, "x" },
	{ "surplus", NULL, 2, "surplus" },
	{ "--socket", NULL, 2, "socket" },
	{ "--socket", "", 2, "empty" },
	{ "--config", "", 2, "empty" },
	{ "--config-root", NULL, 2, "config-root" },
	{ "--socket",
		"/tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		2, "longer" },
	{ "--socket", "/nonexistent-directory/s", 1, "/nonexistent-directory/s" },
	{ "--log-level", "loud", 2, "loud" },
	{ "--config", "/nonexistent", 1, "/nonexistent" },
	{ "--config", "/tmp", 1, "/tmp" },
};

START_TEST(option_says_what_is_wrong_with_it)
{
	const char *argv[] = { kickmsgd(), options[_i].argument, options[_i].value, NULL };
	int status = test_run(argv, output, sizeof output);

	ck_assert_msg(status == options[_i].status, "status %d: %s", status, output);
	ck_assert_msg(
		strstr(output, options[_i].says), "doesn't say '%s': %s", options[_i].says, output);
}
END_TEST

static const struct {
	const char *text;
	unsigned line;
	const char *says;
} configs[] = {
	{ "[broker]\nsockets = /x\n", 2, "sockets" },
	{ "[broker]\nsocket =\n", 2, "socket" },
	{ "\n\n[borker]\nsocket = /x\n", 3, "borker" },
	{ "clients = 3\n", 1, "clients" },
	{ "[limits]\nclients = many\n", 2, "many" },
	{ "[limits]\nclients = 0\n", 2, "clients" },
	{ "[limits]\nclients = -1\n", 2, "-1" },
	{ "[limits]\ntopics = 99999999999999999999\n", 2, "topics" },
	{ "[limits]\n\nmemory = 1X\n", 3, "1X" },
	{ "[limits]\nmemory = 99999999999T\n", 2, "memory" },
	{ "[limits]\nendpoints = 1.5\n", 2, "1.5" },
	{ "[recovery]\nautomatic = maybe\n", 2, "maybe" },
	{ "[recovery]\ninterval = 0\n", 2, "interval" },
	{ "[log]\nlevel = loud\n", 2, "loud" },
	{ "[broker]\nsocket_mode = 0999\n", 2, "socket_mode" },
	{ "[limits]\nthis is no pair\nclients = x\n", 2, "key = value" },
	{ "[limits\nclients = 3\n", 1, "key = value" },
	{ "[limits]\nclients = 3 ; and a comment\ntopics = ?\n", 3, "topics" },
};

START_TEST(config_error_names_file_and_line)
{
	char path[128], where[160];

	test_broker_start(&broker, NULL);
	snprintf(path, sizeof path, "%s/bad", broker.dir);
	snprintf(where, sizeof where, "%s:%u: ", path, configs[_i].line);
	FILE *file = fopen(path, "we");
	fputs(configs[_i].text, file);
	fclose(file);
	const char *argv[] = { kickmsgd(), "--config", path, "--socket", broker.socket, NULL };
	int status = test_run(argv, output, sizeof output);

	ck_assert_msg(status == 1, "status %d: %s", status, output);
	ck_assert_msg(strstr(output, where), "doesn't say '%s': %s", where, output);
	ck_assert_msg(
		strstr(output, configs[_i].says), "doesn't say '%s': %s", configs[_i].says, output);
	flow_stop();
}
END_TEST

START_TEST(config_sets_socket_and_command_line_goes_over_it)
{
	struct stat st;

	test_broker_start(&broker,
		"# all there is\n[broker]\nsocket = /nonexistent-directory/s\nsocket_mode = 0600\n"
		"[log]\nlevel = error\n[limits]\nclients = 10\ntopics = 10\nendpoints = 5\nmemory "
		"= "
		"1G\n"
		"[recovery]\nautomatic = yes\ninterval = 50\n");
	ck_assert_int_eq(stat(broker.socket, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	flow_stop();
}
END_TEST

/* An ordinary user starts a broker without any option, in a home of its own. The exit status says
 * what failed. */
static int be_user(void)
{
	struct kickmsg_client *mine;
	int status;

	if (geteuid() == 0 && !test_become(65534, 0))
		return 1;
	unsetenv("KICKMSG_SOCKET");
	setenv("XDG_RUNTIME_DIR", broker.dir, 1);
	pid_t pid = fork();
	if (pid == 0) {
		execl(kickmsgd(), "kickmsgd", (char *)NULL);
		_exit(97);
	}
	if (!test_wait_until(kickmsg_client_new(NULL, &mine) == 0, FLOW_WAIT_MS))
		return 2;
	kickmsg_client_free(mine);
	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 3;
	return kickmsg_client_new(NULL, &mine) == -ECONNREFUSED ? 0 : 4;
}

START_TEST(default_socket_of_a_user_is_in_the_runtime_directory)
{
	char path[128];
	int status;

	/* a directory that goes with the test; its broker is of no use here */
	test_broker_start(&broker, NULL);
	ck_assert_int_eq(chmod(broker.dir, 0777), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(be_user());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "the user's process ended with %#x", (unsigned)status);
	snprintf(path, sizeof path, "%s/kickmsg", broker.dir);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(rmdir(path), 0); /* nothing is left in it */
	flow_stop();
}
END_TEST

START_TEST(log_level_of_the_command_line_decides_what_is_said)
{
	static const char *const levels[] = { "info", "debug" };

	for (int i = 0; i < 2; i++) {
		char path[128], socket[128], log[4096] = "";
		struct kickmsg_client_config config = { .socket_path = socket };
		struct kickmsg_client *of_it;

		test_broker_start(&broker, "[log]\nlevel = debug\n");
		snprintf(path, sizeof path, "%s/said", broker.dir);
		snprintf(socket, sizeof socket, "%s/second", broker.dir);
		int said = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		pid_t pid = fork();
		if (pid == 0) {
			dup2(said, STDERR_FILENO);
			execl(kickmsgd(), kickmsgd(), "--config", broker.config, "--socket", socket,
				"--log-level", levels[i], (char *)NULL);
			_exit(97);
		}
		ck_assert(test_wait_until(kickmsg_client_new(&config, &of_it) == 0, FLOW_WAIT_MS));
		flow_advertise(of_it, "t", NULL);
		kickmsg_client_free(of_it);
		kill(pid, SIGTERM);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		ck_assert_int_ge(pread(said, log, sizeof log - 1, 0), 0);
		ck_assert_msg(
			(strstr(log, "topic made") != NULL) == (i == 1), "%s: %s", levels[i], log);
		close(said);
		flow_stop();
	}
}
END_TEST

#ifndef SANITIZED /* their shadows are not */
START_TEST(idle_broker_is_small)
{
	if (test_skip_emulated("idle_broker_is_small", "the size of the program alone"))
		return;
	test_broker_start(&broker, NULL);
	ck_assert_uint_lt(test_rss(broker.pid), 3 << 20);
	flow_stop();
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("flow-daemon-start");
	TCase *tc = tcase_create("start");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, socket_in_use_is_an_error_that_says_so);
	tcase_add_test(tc, stale_socket_of_a_killed_broker_is_replaced);
	tcase_add_test(tc, of_brokers_started_at_once_one_wins);
	tcase_add_test(tc, stale_socket_is_left_to_who_has_the_lock);
	tcase_add_test(tc, sigterm_removes_the_socket_and_the_lock);
	tcase_add_test(tc, what_is_no_socket_is_left_alone);
	tcase_add_test(tc, socket_of_another_program_is_left_alone);
	tcase_add_loop_test(tc, option_says_what_is_wrong_with_it, 0,
		(int)(sizeof options / sizeof options[0]));
	tcase_add_loop_test(
		tc, config_error_names_file_and_line, 0, (int)(sizeof configs / sizeof configs[0]));
	tcase_add_test(tc, config_sets_socket_and_command_line_goes_over_it);
	tcase_add_test(tc, default_socket_of_a_user_is_in_the_runtime_directory);
	tcase_add_test(tc, log_level_of_the_command_line_decides_what_is_said);
#ifndef SANITIZED
	tcase_add_test(tc, idle_broker_is_small);
#endif
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
