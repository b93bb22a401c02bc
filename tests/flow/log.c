/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log as it comes out: what a peer can do to it, and what it can do to the broker. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/protocol/wire.h"
#include "tests/support/broker/flow.h"

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

/* A request that is refused: a shape that can't be. */
static void be_refused(int peer, unsigned count)
{
	struct km_msg_attach request = {
		.header.op = KM_OP_ADVERTISE, .topic = "t", .has_geometry = 1
	};
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
	/* what was counted is logged at the end of the broker at the latest */
	end_broker();
	ck_assert_uint_eq(lines_with("950 more like this suppressed: refused: "), 1);
	close(peer);
	flow_stop();
}
END_TEST

START_TEST(peer_cant_write_a_line_of_its_own)
{
	struct km_msg_hello hello = TEST_HELLO(.name = "n",
		.prefix = "x\nkickmsgd: forged\r\x1b[2J");
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

/* --- a journal of the test's own: in a mount namespace of the broker's ----------------------------- */

static int journal; /* nobody reads it until the test does */

static bool make_journal(void)
{
	struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
	struct stat st;
	char stream[64];

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/systemd", 0755) < 0 ||
		mkdir("/run/systemd/journal", 0755) < 0 ||
		bind(journal, (struct sockaddr *)&address, sizeof address) < 0 ||
		fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	return setenv("JOURNAL_STREAM", stream, 1) == 0;
}

/* All that was read from the journal. */
static char entries[1 << 20];
static size_t entries_size;

/* Reads what there is, and looks for this text in all that came after `from`. */
static const char *find_entry(const char *from, const char *text)
{
	char *entry = entries + entries_size;
	ssize_t n;

	while ((n = recv(journal, entry, sizeof entries - entries_size - 1, MSG_DONTWAIT)) > 0) {
		entry[n] = '\0';
		ck_assert(entry[n - 1] == '\n');
		ck_assert_int_eq(strncmp(entry, "PRIORITY=", 9), 0);
		ck_assert_ptr_nonnull(strstr(entry, "\nMESSAGE="));
		entries_size += (size_t)n;
		entry += n;
	}
	return strstr(from, text);
}

static void come_and_go(const char *socket, unsigned count)
{
	struct kickmsg_client_config config = { .socket_path = socket };
	struct kickmsg_client *client;

	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
		kickmsg_client_free(client);
	}
}

START_TEST(journal_that_stands_still_doesnt_stop_the_broker)
{
	const char *program = getenv("KICKMSGD");
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct kickmsg_client *client = NULL;
	const char *lost = NULL;
	int status;

	test_broker_start(&broker, NULL); /* for its directory */
	test_broker_kill(&broker);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	broker.pid = fork();
	ck_assert_int_ge(broker.pid, 0);
	if (broker.pid == 0) {
		if (!make_journal())
			_exit(77);
		execl(program ? program : TEST_KICKMSGD, "kickmsgd", "--socket", broker.socket,
			"--log-level", "debug", (char *)NULL);
		_exit(97);
	}
	while (kickmsg_client_new(&config, &client) < 0) {
		test_nap();
		if (waitpid(broker.pid, &status, WNOHANG) == broker.pid) {
			ck_assert_int_eq(WEXITSTATUS(status), 77);
			puts("SKIP: a journal can't be played here");
			broker.pid = 0;
			flow_stop();
			return;
		}
	}
	kickmsg_client_free(client);
	/* more entries than its socket holds (net.unix.max_dgram_qlen), and no more of a kind than are logged
	 * of one process */
	come_and_go(broker.socket, 400);
	ck_assert(find_entry(entries, "\nKICKMSG_CLIENT=flow-log\n"));
	/* The journal is read again. The number of lost entries is told, and new entries come. The
	 * first look may have taken the former already, since the broker writes while the test
	 * looks. */
	ck_assert(test_wait_until(
		(lost = find_entry(entries, " entries of the log were lost: nobody took them\n")),
		FLOW_WAIT_MS));
	come_and_go(broker.socket, 1);
	ck_assert(test_wait_until(find_entry(lost, "\nMESSAGE=client came pid="), FLOW_WAIT_MS));
	close(journal);
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
	tcase_add_test(tcase, journal_that_stands_still_doesnt_stop_the_broker);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
