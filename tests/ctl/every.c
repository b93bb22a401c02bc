/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each verb of kickmsgctl where its output, the terminal or the broker is bad. The program's own
 * list of verbs is held against the rows here, so no verb is forgotten.
 *
 * The file is long because each kind of bad input walks through the one table of verbs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/protocol/wire.h"
#include "libclient/kickmsg-service.h"
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/pty.h"

/* When its broker ends, a verb that runs on ends too, or goes on. */
enum after { ENDS, GOES_ON };

static const struct row {
	/* The verb with words with which it ends by itself. */
	const char *words[6];
	/* The verb with words with which it goes on until it is interrupted; none: it never does. */
	const char *endless[6];
	enum after after;
	bool asks_nobody; /* the verb needs no broker */
	bool is_silent;   /* the verb prints nothing on standard output */
	const char *up;   /* the first text of the endless form */
} rows[] = {
	{ { "status" }, { "status", "--watch" }, ENDS, .up = "Uptime" },
	{ { "config" }, { "config", "--watch" }, ENDS, .up = "SECTION" },
	{ { "list" }, { "list", "--watch" }, ENDS, .up = "kickmsg:t" },
	{ { "top", "-b", "-n", "1" }, { "top", "-b", "-i", "0.05" }, ENDS, .up = "kickmsg:t" },
	{ { "watch", "-n", "1" }, { "watch" }, GOES_ON, .up = "watch-began" },
	{ { "info", "t" }, { "info", "t", "--watch" }, ENDS, .up = "kickmsg:t" },
	{ { "stats", "t" }, { "stats", "t", "--watch", "-i", "0.1" }, ENDS, .up = "kickmsg:t" },
	{ { "clients" }, { "clients", "--watch" }, ENDS, .up = "kickmsg:t" },
	{ { "client" }, { "client", "--watch" }, ENDS, .up = "busy" },
	{ { "services" }, { "services", "--watch" }, ENDS, .up = "kickmsg:svc" },
	{ { "find", "*" }, { "find", "*", "--watch" }, ENDS, .up = "kickmsg:t" },
	{ { "schema", "t" }, { "schema", "t", "--watch" }, ENDS, .up = "kickmsg:t" },
	{ { "schema-diff", "t", "t" }, { "schema-diff", "t", "t", "--watch" }, ENDS, .up = "same" },
	{ { "echo", "s", "-n", "1" }, { "echo", "s" }, GOES_ON, .up = "sequence=" },
	{ { "pub", "p", "x" }, { "pub", "p", "x", "--rate", "50" }, GOES_ON, .is_silent = true,
		.up = "published" },
	{ { "call", "svc", "x" }, { NULL } },
	{ { "hz", "s", "-n", "2" }, { "hz", "s" }, GOES_ON, .up = "messages" },
	{ { "bw", "s", "-n", "2" }, { "bw", "s" }, GOES_ON, .up = "messages" },
	{ { "delay", "s", "-n", "2" }, { "delay", "s" }, GOES_ON, .up = "messages" },
	{ { "record", "s", "-n", "2", "-o", "-" }, { "record", "s", "-o", "NEW" }, GOES_ON,
		.up = "recorded" },
	/* play makes its topics each time that it begins anew */
	{ { "play", "FILE" }, { "play", "FILE", "--loop" }, ENDS, .is_silent = true,
		.up = "played" },
	{ { "unlink", "u" }, { NULL } },
	{ { "rights", "t" }, { "rights", "t", "--watch" }, ENDS, .up = "RIGHT" },
	{ { "diagnose", "t" }, { "diagnose", "t", "--watch" }, ENDS, .up = "healthy" },
	{ { "repair", "t" }, { NULL } },
	{ { "reset-rings", "t" }, { NULL } },
	{ { "reclaim", "t" }, { NULL } },
	{ { "recover", "t" }, { NULL } },
	{ { "reload" }, { NULL } },
	{ { "log-level" }, { NULL } },
	{ { "evict", "--kill", "victim" }, { NULL } },
	{ { "completion", "zsh" }, { NULL }, .asks_nobody = true },
	{ { "help" }, { NULL }, .asks_nobody = true },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct pty pty;
static pid_t busy, victim;

/* Publishes on "t" and "s" and serves "svc" until it is killed. */
static void be_busy(void *unused)
{
	struct kickmsg_schema schema = { .name = "point" };
	struct kickmsg_topic_config config = small;
	struct kickmsg_service_config how;
	struct kickmsg_request request;
	struct kickmsg_server *server;
	struct kickmsg_client *mine = flow_client("busy");

	(void)unused;
	config.schema = &schema;
	struct kickmsg_publisher *t = flow_advertise(mine, "t", &config);
	config.schema = NULL;
	config.timestamps = 1;
	config.transport = KICKMSG_TRANSPORT_SHARED;
	struct kickmsg_publisher *s = flow_advertise(mine, "s", &config);
	kickmsg_service_config_init(&how);
	ck_assert_int_eq(kickmsg_serve(mine, "svc", &how, &server), 0);
	test_child_ready();
	for (;;) {
		kickmsg_send(t, "x", 1);
		kickmsg_send(s, "x", 1);
		if (kickmsg_take_request(server, 1000000, &request) == 0)
			kickmsg_reply(&request, "y", 1);
	}
}

static void be_there(void *unused)
{
	(void)unused;
	flow_client("victim");
	test_child_ready();
	pause();
}

static void begin(void)
{
	char file[128];

	test_broker_start(&broker, NULL);
	client = flow_client("worker");
	busy = test_child_start(be_busy, NULL);
	snprintf(file, sizeof file, "%s/one.mcap", broker.dir);
	expect(0, "record", "s", "-n", "2", "-o", file, NULL);
}

static void end(void)
{
	char file[128];

	snprintf(file, sizeof file, "%s/one.mcap", broker.dir);
	ck_assert_int_eq(unlink(file), 0);
	snprintf(file, sizeof file, "%s/fresh.mcap", broker.dir);
	unlink(file);
	test_child_end(busy, SIGKILL);
	stop();
}

/* Returns the argv of a row's words. */
static const char **words_of(const char *const *words, const char *socket_path)
{
	static const char *argv[12];
	static char file[128], fresh[128];
	const char *program = getenv("KICKMSGCTL");
	size_t n = 3;

	snprintf(file, sizeof file, "%s/one.mcap", broker.dir);
	snprintf(fresh, sizeof fresh, "%s/fresh.mcap", broker.dir);
	argv[0] = program ? program : TEST_KICKMSGCTL;
	argv[1] = "--socket";
	argv[2] = socket_path;
	for (size_t i = 0; i < 6 && words[i]; i++)
		argv[n++] = strcmp(words[i], "FILE") == 0  ? file
			    : strcmp(words[i], "NEW") == 0 ? fresh
							   : words[i];
	argv[n] = NULL;
	return argv;
}

/* Makes again what the verb uses up. */
static void prepare(const struct row *row)
{
	struct kickmsg_topic_config config = small;

	config.persistent = 1;
	if (strcmp(row->words[0], "unlink") == 0)
		kickmsg_publisher_free(flow_advertise(client, "u", &config));
	if (strcmp(row->words[0], "evict") == 0)
		victim = test_child_start(be_there, NULL);
}

static void clear(const struct row *row)
{
	if (strcmp(row->words[0], "evict") == 0)
		test_child_end(victim, SIGKILL);
}

/* Runs the verb with that standard output, which is closed here. `output` is what the verb
 * prints on standard error. */
static int run_into(int fd, const char *const *words)
{
	const char **argv = words_of(words, broker.socket);
	int pipe_fds[2], status, waited = 0;
	size_t used = 0;
	ssize_t n;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		execv(argv[0], (char **)argv);
		_exit(127);
	}
	close(fd);
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], output + used, sizeof output - 1 - used)) > 0)
		used += (size_t)n;
	output[used] = '\0';
	close(pipe_fds[0]);
	for (; waitpid(pid, &status, WNOHANG) == 0; waited++) {
		if (waited > FLOW_WAIT_MS)
			kill(pid, SIGKILL);
		usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void check_status(const struct row *row, int status, int wanted)
{
	ck_assert_msg(status == wanted, "%s ended with %d, not %d: %s", row->words[0], status,
		wanted, output);
}

START_TEST(each_verb_has_a_row)
{
	size_t count = 0;

	test_broker_start(&broker, NULL);
	for (char **verb = all_verbs(); *verb; verb++, count++)
		ck_assert_msg(count < ROWS && strcmp(rows[count].words[0], *verb) == 0,
			"the verb %s has no row here, in its place", *verb);
	ck_assert_uint_eq(count, ROWS);
	stop();
}
END_TEST

START_TEST(without_a_broker_every_verb_says_so)
{
	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		const char **argv = words_of(row->words, broker.socket);
		size_t count = 0;

		check_status(row, test_run(argv, output, sizeof output), row->asks_nobody ? 0 : 3);
		if (row->asks_nobody)
			continue;
		says("there is no broker at ");
		says(broker.socket);
		says("; ");
		says("(--socket, KICKMSG_SOCKET)\n");
		while (argv[count])
			count++;
		argv[count] = "--json";
		argv[count + 1] = NULL;
		check_status(row, test_run(argv, output, sizeof output), 3);
		ck_assert_msg(strstr(output, "\"ok\":false"), "%s: %s", row->words[0], output);
	}
	test_broker_resume(&broker);
	test_broker_stop(&broker);
}
END_TEST

START_TEST(a_full_disk_is_status_5)
{
	begin();
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		prepare(row);
		int status = run_into(open("/dev/full", O_WRONLY | O_CLOEXEC), row->words);

		check_status(row, status, row->is_silent ? 0 : 5);
		if (!row->is_silent)
			ck_assert_msg(strstr(output, "written"), "%s: %s", row->words[0], output);
		clear(row);
	}
	end();
}
END_TEST

static bool prints_for_ever(const struct row *row)
{
	return row->endless[0] && !row->is_silent && strcmp(row->words[0], "record") != 0;
}

/* A verb that would go on ends too when nobody reads its output any more. */
START_TEST(a_closed_pipe_is_status_5)
{
	begin();
	for (const struct row *row = rows; row < rows + ROWS; row++)
		for (int endless = 0; endless <= prints_for_ever(row); endless++) {
			int pipe_fds[2];

			prepare(row);
			ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
			close(pipe_fds[0]);
			check_status(row,
				run_into(pipe_fds[1], endless ? row->endless : row->words),
				row->is_silent ? 0 : 5);
			clear(row);
		}
	end();
}
END_TEST

/* The test's index is a size of the terminal. */
START_TEST(a_tiny_terminal_is_good_enough)
{
	const char *const top[] = { "top", "-n", "2", "-i", "0.02", NULL };
	static const unsigned short sizes[][2] = { { 3, 10 }, { 1, 1 } };

	if (test_skip_emulated("a_tiny_terminal_is_good_enough", TEST_LACKS_CURSES))
		return;
	begin();
	pty_start(&pty, sizes[_i][0], sizes[_i][1], words_of(top, broker.socket), NULL);
	ck_assert_int_eq(pty_end(&pty), 0);
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		prepare(row);
		pty_start(&pty, sizes[_i][0], sizes[_i][1], words_of(row->words, broker.socket),
			NULL);
		int status = pty_end(&pty);
		ck_assert_msg(status == 0, "%s: %d: %s", row->words[0], status, pty.shown);
		clear(row);
	}
	end();
}
END_TEST

/* Answers each HELLO as a broker of other versions does. */
static void *refuse(void *listener)
{
	union km_msg message;
	struct km_msg_error answer = { .header.op = KM_OP_ERROR,
		.error = -EPROTO,
		.text = "the client's library is of wire version 6 and layout version 5, this "
			"broker of 77 and 88" };

	for (;;) {
		int fd = accept(*(int *)listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (recv(fd, &message, sizeof message, 0) > 0) {
			answer.header.serial = message.header.serial;
			send(fd, &answer, sizeof answer, MSG_NOSIGNAL);
		}
		close(fd);
	}
}

START_TEST(a_broker_of_other_versions_is_status_3_and_named)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pthread_t thread;

	test_broker_start(&broker, NULL);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/foreign", broker.dir);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, refuse, &listener), 0);
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		int status = test_run(
			words_of(row->words, address.sun_path), output, sizeof output);

		check_status(row, status, row->asks_nobody ? 0 : 3);
		if (row->asks_nobody)
			continue;
		says(address.sun_path);
		says("wire version 6 ");
		says("broker of 77 and 88");
	}
	shutdown(listener, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close(listener);
	ck_assert_int_eq(unlink(address.sun_path), 0);
	stop();
}
END_TEST

/* The test's index is the row. A verb that only looks ends with an error; a verb on messages
 * says that the broker is gone, and goes on. */
START_TEST(a_broker_that_goes_away_is_told)
{
	const struct row *row = &rows[_i];

	if (!row->endless[0])
		return;
	begin();
	pty_start(&pty, 24, 200, words_of(row->endless, broker.socket), NULL);
	pty_wait(&pty, 0, row->up);
	size_t from = pty.used;
	test_broker_kill(&broker);
	if (row->after == ENDS) {
		ck_assert_msg(pty_end(&pty) == 3, "%s: %s", row->words[0], pty.shown);
		ck_assert_msg(strstr(pty.shown + from, "is gone"), "%s", pty.shown);
		ck_assert_ptr_nonnull(strstr(pty.shown + from, broker.socket));
	} else {
		pty_wait(&pty, from,
			strcmp(row->words[0], "watch") == 0 ? "watch-lost" : "is gone; messages");
		ck_assert_int_eq(waitpid(pty.pid, NULL, WNOHANG), 0);
		pty_type(&pty, "\003");
		ck_assert_msg(pty_end(&pty) == 0, "%s: %s", row->words[0], pty.shown);
	}
	test_broker_resume(&broker);
	end();
}
END_TEST

START_TEST(watch_with_wait_goes_on_with_the_next_broker)
{
	const char *const words[] = { "status", "--watch", "--wait", "-i", "0.05", NULL };
	char pid[32];

	begin();
	pty_start(&pty, 40, 80, words_of(words, broker.socket), NULL);
	pty_wait(&pty, 0, "Uptime");
	test_broker_kill(&broker);
	pty_wait(&pty, 0, "is gone");
	test_broker_resume(&broker);
	snprintf(pid, sizeof pid, "Pid: %d\r", broker.pid);
	pty_wait(&pty, 0, pid);
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-every");
	TCase *tc = tcase_create("ctl-every");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, each_verb_has_a_row);
	tcase_add_test(tc, without_a_broker_every_verb_says_so);
	tcase_add_test(tc, a_full_disk_is_status_5);
	tcase_add_test(tc, a_closed_pipe_is_status_5);
	tcase_add_loop_test(tc, a_tiny_terminal_is_good_enough, 0, 2);
	tcase_add_test(tc, a_broker_of_other_versions_is_status_3_and_named);
	tcase_add_loop_test(tc, a_broker_that_goes_away_is_told, 0, ROWS);
	tcase_add_test(tc, watch_with_wait_goes_on_with_the_next_broker);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
