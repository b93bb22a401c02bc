/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log as it comes out: what a peer can do to it, and what it can do to the broker. */
#include <fcntl.h>

#include "support/flow.h"
#include "wire.h"

/* Lines of the log that have this text. */
static unsigned lines_with(const char *text)
{
	FILE *file = fopen(broker.log, "re");
	char line[2048];
	unsigned count = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		count += strstr(line, text) != NULL;
	fclose(file);
	return count;
}

/* A request that is refused: an endpoint that there isn't. */
static void be_refused(int peer, unsigned count)
{
	struct km_msg_detach request = { .header.op = KM_OP_DETACH, .endpoint = 12345 };
	union km_msg answer;

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(
			test_peer_call(peer, &request, sizeof request, &answer), KM_OP_ERROR);
}

static void end_broker(void)
{
	kill(broker.pid, SIGTERM);
	ck_assert_int_eq(waitpid(broker.pid, NULL, 0), broker.pid);
	broker.pid = 0;
}

START_TEST(repeated_event_is_counted_instead_of_logged)
{
	test_broker_start(&broker, NULL);
	int peer = test_peer_hello(broker.socket, "nag", NULL);
	be_refused(peer, 1000);
	ck_assert_uint_eq(lines_with("client=nag"), 1 + 50); /* hello, and the burst */
	/* what was counted is told in the end at the latest */
	end_broker();
	ck_assert_uint_eq(lines_with("950 more like this suppressed: refused: "), 1);
	close(peer);
	flow_stop();
}
END_TEST

START_TEST(peer_cant_write_a_line_of_its_own)
{
	struct km_msg_hello hello = { .header.op = KM_OP_HELLO,
		.version = KM_WIRE_VERSION,
		.name = "n",
		.prefix = "x\nkickmsgd: forged\r\x1b[2J" };
	union km_msg answer;

	test_broker_start(&broker, NULL);
	int peer = test_peer_connect(broker.socket);
	ck_assert_int_eq(test_peer_call(peer, &hello, sizeof hello, &answer), KM_OP_ERROR);
	ck_assert_uint_eq(lines_with("'x?kickmsgd: forged??[2J' is not a prefix"), 1);
	ck_assert_uint_eq(lines_with("\x1b"), 0);
	close(peer);
	flow_stop();
}
END_TEST

/* stderr is a pipe that is full and that nobody reads. */
START_TEST(log_that_nobody_takes_doesnt_stop_the_broker)
{
	const char *program = getenv("KICKMSGD");
	static char socket[160];
	int fds[2], status;

	test_broker_start(&broker, NULL); /* for its directory */
	snprintf(socket, sizeof socket, "%s2", broker.socket);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		execl(program ? program : TEST_KICKMSGD, "kickmsgd", "--socket", socket,
			"--log-level", "debug", (char *)NULL);
		_exit(97);
	}
	struct kickmsg_client_config config = { .socket_path = socket };
	struct kickmsg_client *client = NULL;
	/* the socket is there a moment before anybody listens */
	ck_assert(test_wait_until(kickmsg_client_new(&config, &client) == 0, FLOW_WAIT_MS));
	kickmsg_client_free(client);
	/* each says hello and goes: more than the pipe has room for */
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
		kickmsg_client_free(client);
	}
	kill(pid, SIGTERM);
	ck_assert(test_wait_until(waitpid(pid, &status, WNOHANG) == pid, FLOW_WAIT_MS));
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fds[0]);
	close(fds[1]);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-log");
	TCase *tcase = tcase_create("log");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, repeated_event_is_counted_instead_of_logged);
	tcase_add_test(tcase, peer_cant_write_a_line_of_its_own);
	tcase_add_test(tcase, log_that_nobody_takes_doesnt_stop_the_broker);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
