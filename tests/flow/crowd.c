/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections at the broker's door: there is a way in for others, whatever client fills it, and
 * for operators always. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

static char output[4096];

static bool is_closed(int socket)
{
	struct pollfd state = { .fd = socket, .events = POLLIN };

	return poll(&state, 1, 0) == 1 && state.revents & POLLHUP;
}

static unsigned count_closed(const int *sockets, unsigned count)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < count; i++)
		closed += is_closed(sockets[i]);
	return closed;
}

static void expect_operator_gets_in(void)
{
	ck_assert_msg(flow_ctl(output, sizeof output, "list", NULL, NULL) == 0, "%s", output);
}

/* --- saying nothing ------------------------------------------------------------------------------ */

#define SILENT 1200

static void be_silent(void *argument)
{
	uid_t uid = *(uid_t *)argument;
	struct rlimit limit = { 4096, 4096 };

	setrlimit(RLIMIT_NOFILE, &limit);
	if (uid)
		user_become(uid, 0);
	for (int i = 0; i < SILENT; i++)
		test_peer_connect(broker.socket);
	test_child_ready();
	pause();
}

/* One user makes more connections than there may be clients; it has no limit of its own. */
START_TEST(silent_user_locks_nobody_out)
{
	uid_t uid = geteuid() == 0 ? USER_A : 0;

	user_start_broker("");
	pid_t child = test_child_start(be_silent, &uid);
	/* a newcomer of the same user gets in as well */
	expect_operator_gets_in();
	struct kickmsg_client *client = flow_client("newcomer");
	ck_assert(test_broker_logged(&broker, "too many such connections"));
	/* all of them go in the end, though none of them ever does anything */
	ck_assert(test_wait_until(test_fd_count(broker.pid) < 40, 4 * FLOW_WAIT_MS));
	kickmsg_client_free(client);
	test_child_end(child, SIGKILL);
	flow_stop();
}
END_TEST

START_TEST(hello_is_waited_for_only_so_long)
{
	test_broker_start(&broker, NULL);
	int socket = test_peer_connect(broker.socket);
	struct kickmsg_client *client = flow_client("speaks");
	ck_assert(test_wait_until(is_closed(socket), 2 * FLOW_WAIT_MS));
	ck_assert(test_broker_logged(&broker, "it never said hello"));
	/* nobody else is sent away */
	kickmsg_publisher_free(flow_advertise(client, "t", NULL));
	kickmsg_client_free(client);
	close(socket);
	flow_stop();
}
END_TEST

/* The newest silent connections stay: the one that has been there longest goes first. */
START_TEST(newcomer_takes_the_place_of_the_longest_silent)
{
	int sockets[100];

	test_broker_start(&broker, NULL);
	for (unsigned i = 0; i < 100; i++)
		sockets[i] = test_peer_connect(broker.socket);
	ck_assert_msg(test_wait_until(count_closed(sockets, 100) == 36, FLOW_WAIT_MS),
		"%u are closed", count_closed(sockets, 100));
	ck_assert_uint_eq(count_closed(sockets, 36), 36);
	for (unsigned i = 0; i < 100; i++)
		close(sockets[i]);
	flow_stop();
}
END_TEST

/* --- taking all places --------------------------------------------------------------------------- */

static void be_many(void *argument)
{
	struct kickmsg_client *clients[16];

	user_become(*(uid_t *)argument, 0);
	for (int i = 0; i < 16; i++)
		NEED(kickmsg_client_new(NULL, &clients[i]) == 0);
	test_child_ready();
	pause();
}

START_TEST(all_places_taken_an_operator_gets_in)
{
	uid_t uids[4] = { USER_A, USER_B, USER_B + 1, USER_B + 2 };
	pid_t children[4];

	if (user_cannot_change())
		return;
	user_start_broker("[limits]\nclients = 64\nuser_clients = 16\n");
	for (int i = 0; i < 4; i++)
		children[i] = test_child_start(be_many, &uids[i]);
	expect_operator_gets_in();
	for (int i = 0; i < 4; i++)
		test_child_end(children[i], SIGKILL);
	flow_stop();
}
END_TEST

static void fill(void *argument)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);
	struct kickmsg_publisher *publisher;
	char name[16];
	int r = 0;

	for (int i = 0; r == 0; i++) {
		snprintf(name, sizeof name, "t%d", i);
		r = kickmsg_advertise(mine, name, NULL, &publisher);
	}
	NEED(r == *(int *)argument);
	/* smaller requests too, until no place is left */
	while ((r = kickmsg_client_new(NULL, &mine)) == 0)
		;
	NEED(r == *(int *)argument);
	NEED(r != -EMFILE || flow_said(NULL, "the broker can have no more descriptors"));
	test_child_ready();
	pause();
}

START_TEST(all_memory_taken_an_operator_gets_in)
{
	int error = -EDQUOT;

	if (user_cannot_change())
		return;
	user_start_broker("[limits]\nmemory = 4M\n");
	pid_t child = test_child_start(fill, &error);
	expect_operator_gets_in();
	test_child_end(child, SIGKILL);
	flow_stop();
}
END_TEST

START_TEST(all_descriptors_taken_an_operator_gets_in)
{
	struct rlimit limit;
	int error = -EMFILE;

	if (user_cannot_change())
		return;
	user_start_broker("");
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = 200;
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	pid_t child = test_child_start(fill, &error);
	expect_operator_gets_in();
	test_child_end(child, SIGKILL);
	flow_stop();
}
END_TEST

/* The broker may have one descriptor more at each try. At first there is none for the connection,
 * and the client waits in vain; then there is none for the pidfd; in the end there are enough. Each
 * time the client hears the reason. */
START_TEST(broker_without_descriptors_says_so)
{
	struct kickmsg_client_config config = { .timeout_ns = 3000000000 };
	struct kickmsg_client *client;
	struct rlimit limit;
	unsigned refused = 0;
	int r = -EMFILE;

	test_broker_start(&broker, NULL);
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	/* a broker that sleeps has closed the descriptors that its start needed for a while */
	ck_assert(test_wait_until(flow_sleeps(), FLOW_WAIT_MS));
	limit.rlim_cur = test_fd_count(broker.pid);
	for (int i = 0; r < 0 && i < 16; i++, limit.rlim_cur++) {
		ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, &limit, NULL), 0);
		r = kickmsg_client_new(&config, &client);
		if (r == -EMFILE)
			ck_assert_msg(
				flow_said(NULL, "escriptors") || flow_said(NULL, "open files"),
				"%s", kickmsg_client_last_error(NULL));
		else
			ck_assert(r == 0 || r == -ETIMEDOUT);
		refused += r == -EMFILE && flow_said(NULL, "the broker can have no more");
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_ge(refused, 1);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* --- coming and going too fast -------------------------------------------------------------------- */

static void hurry(void *argument)
{
	struct kickmsg_client *mine;
	struct kickmsg_publisher *publisher;
	int r = 0, count = 0;

	user_become(USER_A, 0);
	/* the broker remembers the account of a user that has nothing left */
	for (; count < 1000 && (r = kickmsg_client_new(NULL, &mine)) == 0; count++)
		kickmsg_client_free(mine);
	NEED(r == -EDQUOT && count >= 20);
	NEED(flow_said(NULL, "uid 65534 makes more than 2 clients a second ("));
	NEED(test_wait_until(kickmsg_client_new(NULL, &mine) == 0, FLOW_WAIT_MS));
	for (count = 0; count < 1000; count++) {
		r = kickmsg_advertise(mine, "t", NULL, &publisher);
		if (r < 0)
			break;
		kickmsg_publisher_free(publisher);
	}
	NEED(r == -EDQUOT && count >= 30);
	NEED(flow_said(mine, "more than 3 topics a second ("));
	test_child_ready();
}

START_TEST(rates_are_of_one_user_and_not_of_operators)
{
	if (user_cannot_change())
		return;
	user_start_broker("[limits]\nuser_client_rate = 2\nuser_topic_rate = 3\n");
	test_child_end(test_child_start(hurry, NULL), 0);
	for (int i = 0; i < 100; i++)
		kickmsg_client_free(flow_client("quick"));
	flow_stop();
}
END_TEST

/* --- whom the broker can't see -------------------------------------------------------------------- */

#define CLIENT_ID "\"client_id\":" /* as --json has it */

/* The broker is in a pid namespace of its own, and this process isn't in it. */
START_TEST(clients_of_another_pid_namespace_are_told_apart)
{
	const char *program = getenv("KICKMSGD");
	char again[128];

	if (user_cannot_change())
		return;
	test_broker_start(&broker, NULL);
	test_broker_kill(&broker);
	pid_t outer = fork();
	ck_assert_int_ge(outer, 0);
	if (outer == 0) {
		int log = open(broker.log, O_WRONLY | O_APPEND | O_CLOEXEC);

		NEED(unshare(CLONE_NEWPID) == 0);
		pid_t inner = fork();
		if (inner == 0) {
			dup2(log, STDERR_FILENO);
			execl(program ? program : TEST_KICKMSGD, "kickmsgd", "--socket",
				broker.socket, "--log-level", "debug", (char *)NULL);
			_exit(97);
		}
		pid_t parent = getppid();
		while (getppid() == parent && access(broker.dir, F_OK) == 0)
			poll(NULL, 0, 20);
		kill(inner, SIGKILL);
		_exit(0);
	}
	struct kickmsg_client *clients[2] = { NULL, NULL };
	for (int i = 0; i < 2; i++) {
		ck_assert(
			test_wait_until(kickmsg_client_new(NULL, &clients[i]) == 0, FLOW_WAIT_MS));
		flow_advertise(clients[i], "t", NULL);
	}
	snprintf(again, sizeof again, " pid=0 uid=%u", geteuid());
	ck_assert(test_broker_logged(&broker, again));
	ck_assert_msg(flow_ctl(output, sizeof output, "clients", "--json", "t") == 0, "%s", output);
	char *first = strstr(output, CLIENT_ID), *second;
	ck_assert_msg(first && (second = strstr(first + 1, CLIENT_ID)), "%s", output);
	ck_assert_int_ne(atoi(first + sizeof CLIENT_ID - 1), atoi(second + sizeof CLIENT_ID - 1));
	for (int i = 0; i < 2; i++)
		kickmsg_client_free(clients[i]);
	flow_stop(); /* its folder, with which the child ends */
	ck_assert_int_eq(waitpid(outer, NULL, 0), outer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-crowd");
	TCase *tcase = tcase_create("crowd");

	tcase_set_timeout(tcase, 100);
	tcase_add_test(tcase, silent_user_locks_nobody_out);
	tcase_add_test(tcase, hello_is_waited_for_only_so_long);
	tcase_add_test(tcase, newcomer_takes_the_place_of_the_longest_silent);
	tcase_add_test(tcase, all_places_taken_an_operator_gets_in);
	tcase_add_test(tcase, all_memory_taken_an_operator_gets_in);
	tcase_add_test(tcase, all_descriptors_taken_an_operator_gets_in);
	tcase_add_test(tcase, broker_without_descriptors_says_so);
	tcase_add_test(tcase, rates_are_of_one_user_and_not_of_operators);
	tcase_add_test(tcase, clients_of_another_pid_namespace_are_told_apart);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
