/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker and its service manager: what it tells it and when, and what it makes of one that
 * hands it the wrong things, or is dead. Without root; the manager is the test's (manager.h), or
 * systemd-socket-activate.
 *
 * The file is long because each mistake of a manager has a case, over one fixture.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/suite.h"

static struct test_manager manager;

static void write_config(const char *text)
{
	FILE *file = fopen(manager.config, "we");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static bool can_connect(void)
{
	struct kickmsg_client *client;

	if (kickmsg_client_new(NULL, &client) < 0)
		return false;
	kickmsg_client_free(client);
	return true;
}

static int listen_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	if (type != SOCK_DGRAM)
		ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static void end(void)
{
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}

/* --- what it says, and when ------------------------------------------------------------------- */

START_TEST(tells_ready_reloading_stopping_in_this_order)
{
	test_manager_start(&manager, NULL);
	ck_assert(test_wait_until(
		test_manager_said(&manager, "STATUS=0 clients, 0 topics, 0 endpoints, ") >= 0,
		10000));
	long ready = test_manager_said(&manager, "READY=1");
	ck_assert_int_ge(ready, 0);
	unsigned count = manager.ready;
	kill(manager.pid, SIGHUP);
	ck_assert(test_wait_until(manager.ready > count, 10000));
	long reloading = test_manager_said(&manager, "RELOADING=1\nMONOTONIC_USEC=");
	ck_assert_int_gt(reloading, ready);
	ck_assert_int_gt(test_manager_said_last(&manager, "READY=1"), reloading);
	ck_assert_int_eq(test_manager_said(&manager, "STOPPING=1"), -1);
	test_manager_kill(&manager, SIGTERM);
	ck_assert_int_gt(test_manager_said(&manager, "STOPPING=1"),
		test_manager_said_last(&manager, "READY=1"));
	test_manager_resume(&manager);
	end();
}
END_TEST

/* The system calls of a broker with so many topics from SIGTERM to its end. */
static unsigned calls_to_end(unsigned topics)
{
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client;
	unsigned stops = 0;
	int status;
	char name[16];

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	for (unsigned i = 0; i < topics; i++) {
		snprintf(name, sizeof name, "t%u", i);
		ck_assert_int_eq(kickmsg_advertise(client, name, NULL, &publisher), 0);
	}
	ck_assert_int_eq(ptrace(PTRACE_SEIZE, manager.pid, 0, PTRACE_O_TRACESYSGOOD), 0);
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, manager.pid, 0, 0), 0);
	kill(manager.pid, SIGTERM);
	while (waitpid(manager.pid, &status, 0) == manager.pid && WIFSTOPPED(status)) {
		int signal = WSTOPSIG(status) == SIGTERM ? SIGTERM : 0;

		stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
		ptrace(PTRACE_SYSCALL, manager.pid, 0, signal);
	}
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	manager.pid = 0;
	test_manager_resume(&manager);
	ck_assert_int_eq(kickmsg_advertise(client, "t0", NULL, &publisher), 0);
	kickmsg_client_free(client);
	end();
	return stops / 2;
}

/* Clients wait until the broker is gone: the memory that the next broker takes over isn't freed
 * piece by piece. */
START_TEST(end_takes_no_longer_with_more_topics)
{
	if (test_skip_emulated("end_takes_no_longer_with_more_topics", "ptrace of system calls"))
		return;
#ifdef SANITIZED
	/* The search for leaks at the end can't run under ptrace. */
	return;
#endif
	unsigned few = calls_to_end(2), many = calls_to_end(200);
	ck_assert_msg(many < few + 100, "%u calls with 2 topics, %u with 200", few, many);
}
END_TEST

/* As the unit's ExecReload=. Returns the exit status. */
static int reload(char *ret_said, size_t size)
{
	const char *program = getenv("KICKMSGD");
	char pid[16];
	const char *argv[] = { program && *program ? program : TEST_KICKMSGD, "--reload", pid,
		NULL };

	snprintf(pid, sizeof pid, "%d", (int)manager.pid);
	return test_run(argv, ret_said, size);
}

/* A reload of a config that is wrong says so to the caller, in the log and in the status, and that it
 * serves all the same. */
START_TEST(reload_with_a_typo_keeps_the_old_and_is_ready)
{
	static const char typo[] = ":3: [limits] has no key 'clientz'";
	char said[1024];

	if (test_skip_emulated("reload_with_a_typo_keeps_the_old_and_is_ready", TEST_LACKS_CMDLINE))
		return;
	test_manager_start(&manager, "[limits]\nuser_clients = 1\n");
	/* the line comes behind READY=1 */
	ck_assert(test_wait_until(test_manager_logged(&manager, " serves; "), 10000));
	ck_assert(test_manager_logged(&manager, "; config files: "));
	unsigned count = manager.ready;
	ck_assert_msg(reload(said, sizeof said) == 0, "%s", said);
	/* the broker reads the config in turns */
	ck_assert(test_wait_until(manager.ready > count, 10000));
	write_config("[limits]\nuser_clients = 5\nclientz = 5\n");
	count = manager.ready;
	ck_assert_int_eq(reload(said, sizeof said), 1);
	ck_assert_msg(strstr(said, typo), "%s", said);
	ck_assert(test_wait_until(manager.ready > count, 10000));
	ck_assert(test_manager_logged(&manager, "the config stays as it was: "));
	ck_assert(test_manager_logged(&manager, typo));
	ck_assert(test_wait_until(
		test_manager_said(&manager, "STATUS=config refused: ") >= 0, 10000));
	ck_assert_int_ge(test_manager_said(&manager, typo), 0);
	struct kickmsg_client *first, *second = NULL;
	ck_assert_int_eq(kickmsg_client_new(NULL, &first), 0);
	ck_assert_int_eq(kickmsg_client_new(NULL, &second), -EDQUOT);
	kickmsg_client_free(first);
	end();
}
END_TEST

/* The manager stands still and its socket is full: what is said now and then is left out. */
START_TEST(manager_that_takes_nothing_doesnt_stop_the_broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client;
	unsigned before;

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", manager.notify);
	pthread_mutex_lock(&manager.lock); /* its thread takes nothing */
	while (sendto(fd, "X=1", 3, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof address) > 0)
		;
	poll(NULL, 0, 1200); /* many WATCHDOG=1, and a STATUS=, would wait */
	int r = kickmsg_advertise(client, "t", NULL, &publisher);
	pthread_mutex_unlock(&manager.lock);
	ck_assert_msg(r == 0, "%d: %s", r, kickmsg_client_last_error(client));
	before = manager.watchdogs;
	ck_assert(test_wait_until(manager.watchdogs > before, 10000));
	ck_assert(test_wait_until(
		test_manager_said(&manager, "STATUS=1 clients, 1 topics") >= 0, 10000));
	kickmsg_client_free(client);
	close(fd);
	end();
}
END_TEST

#define MANY 150

/* READY comes when all is taken back, and before that the manager hears that it takes its time. The
 * dead are settled in turns after that. */
START_TEST(long_start_asks_for_time_and_ends_before_ready)
{
	struct kickmsg_client *client;
	struct kickmsg_publisher *publishers[MANY];

	if (test_skip_emulated(
		    "long_start_asks_for_time_and_ends_before_ready", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	ck_assert_int_eq(test_manager_said(&manager, "EXTEND_TIMEOUT_USEC="), -1);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof name, "topic%d", i);
		ck_assert_int_eq(kickmsg_advertise(client, name, NULL, &publishers[i]), 0);
	}
	pid_t child = fork();
	if (child == 0) {
		struct kickmsg_client *dies;
		struct kickmsg_subscriber *subscriber;

		_exit(kickmsg_client_new(NULL, &dies) ||
			kickmsg_subscribe(dies, "topic1", NULL, &subscriber) || raise(SIGSTOP) ||
			pause());
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	test_manager_kill(&manager, SIGKILL);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	test_manager_resume(&manager);
	long ready = test_manager_said(&manager, "READY=1");
	/* 2 sessions, 150 topics and 151 members */
	unsigned steps = 2 + MANY + MANY + 1;
	char text[96];
	snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=taking back: 0 of %u\n",
		steps);
	long place = test_manager_said(&manager, text);
	ck_assert_msg(place >= 0 && place < ready, "not said before READY: %s", text);
	ck_assert(test_manager_logged(&manager, "taken back: 150 topics, 1 clients"));
	kickmsg_client_free(client);
	end();
}
END_TEST

/* --- what is wrong with what it was given ------------------------------------------------------
 */

static void expect_failure(const char *log, int error)
{
	char text[32];

	ck_assert_int_eq(test_manager_fail(&manager), 1);
	ck_assert_msg(test_manager_logged(&manager, log), "not logged: %s", log);
	/* systemd's, and no journal: the level stands before it */
	ck_assert(test_manager_logged(&manager, "\n<3>"));
	ck_assert(!test_manager_logged(&manager, "kickmsgd: "));
	snprintf(text, sizeof text, "ERRNO=%d\n", error);
	ck_assert_msg(test_manager_said(&manager, text) >= 0, "said: %s", manager.said);
	ck_assert_int_ge(test_manager_said(&manager, "STATUS=can't start: "), 0);
	ck_assert_int_eq(test_manager_said(&manager, "READY=1"), -1);
}

/* A client of the broker before goes on as soon as one can start again. */
START_TEST(typo_at_the_start_is_refused_and_mended)
{
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher, *second;

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &publisher), 0);
	test_manager_kill(&manager, SIGTERM);
	write_config("[broker]\n[limitz]\nclients = 3\n");
	expect_failure(":2: there is no section [limitz]", EINVAL);
	ck_assert_int_ge(test_manager_said(&manager, ":2: there is no section [limitz]"), 0);
	write_config("");
	test_manager_resume(&manager);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &second), 0);
	kickmsg_client_free(client);
	end();
}
END_TEST

START_TEST(socket_unit_of_the_wrong_type_is_refused)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	char path[160];

	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	int good = manager.listen_fd;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s%d", manager.socket, i);
		manager.listen_fd = listen_at(path, types[i]);
		expect_failure("no listening SOCK_SEQPACKET socket among them", EINVAL);
		close(manager.listen_fd);
	}
	manager.listen_fd = good;
	test_manager_resume(&manager);
	ck_assert(can_connect());
	end();
}
END_TEST

START_TEST(two_listening_sockets_are_refused)
{
	char path[160];

	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	snprintf(path, sizeof path, "%s2", manager.socket);
	test_manager_keep(&manager, "kickmsgd.socket", listen_at(path, SOCK_SEQPACKET));
	expect_failure("gave two listening sockets", EINVAL);
	test_manager_forget(&manager, "kickmsgd.socket");
	test_manager_resume(&manager);
	ck_assert(can_connect());
	end();
}
END_TEST

/* Descriptors that aren't there, and fewer names than descriptors. */
START_TEST(descriptors_that_are_not_there_are_no_harm)
{
	if (test_skip_emulated("descriptors_that_are_not_there_are_no_harm", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	manager.more_fds = 3;
	ck_assert_int_eq(test_manager_fail(&manager), 1);
	ck_assert(test_manager_logged(
		&manager, "can't take the service manager's descriptors (LISTEN_FDS=8, "));
	manager.more_fds = 0;
	test_manager_resume(&manager);
	ck_assert(can_connect());
	end();
}
END_TEST

/* LISTEN_PID of somebody else: these are not for this process. */
START_TEST(descriptors_for_another_process_are_left_alone)
{
	char path[160];

	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	snprintf(path, sizeof path, "[broker]\nsocket = %s3\n", manager.socket);
	write_config(path);
	manager.listen_pid = 1;
	test_manager_resume(&manager);
	ck_assert(!test_manager_logged(&manager, "from the service manager"));
	snprintf(path, sizeof path, "%s3", manager.socket);
	setenv("KICKMSG_SOCKET", path, 1);
	ck_assert(can_connect());
	end();
}
END_TEST

/* --- a manager that is dead ---------------------------------------------------------------------
 */

START_TEST(dead_notify_socket_does_not_hurt)
{
	static const char *const dead[] = { "/nonexistent/notify", "notify", "",
		"@kickmsg-nobody" };
	char alive[sizeof manager.notify];

	if (test_skip_emulated("dead_notify_socket_does_not_hurt", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	strcpy(alive, manager.notify);
	/* the next broker gets nothing of the last one's */
	for (const char *name = "SRIO"; *name; name++)
		test_manager_forget(&manager, (const char[]){ *name, 0 });
	for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++) {
		struct kickmsg_client *client;
		struct kickmsg_publisher *publisher;

		strcpy(manager.notify, dead[i]);
		test_manager_resume_unready(&manager);
		ck_assert(test_wait_until(can_connect(), 10000));
		ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
		ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &publisher), 0);
		kickmsg_client_free(client);
		int status;
		kill(manager.pid, SIGTERM);
		ck_assert_int_eq(waitpid(manager.pid, &status, 0), manager.pid);
		ck_assert_msg(status == 0, "'%s': status %#x", dead[i], (unsigned)status);
	}
	ck_assert(test_manager_logged(&manager, "the service manager doesn't take descriptors"));
	strcpy(manager.notify, alive);
	test_manager_resume(&manager);
	end();
}
END_TEST

/* The manager goes while the broker serves: it goes on serving. */
START_TEST(manager_that_dies_does_not_hurt)
{
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(unlink(manager.notify), 0);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &publisher), 0);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	kill(manager.pid, SIGHUP);
	ck_assert(
		test_wait_until(test_manager_logged(&manager, "the config was read again"), 10000));
	kickmsg_client_free(client);
	ck_assert(can_connect());
	end();
}
END_TEST

/* --- systemd's own hand -------------------------------------------------------------------------
 */

/* Starts `systemd-socket-activate ARGUMENT kickmsgd` at a socket, notifications to the manager's.
 */
static pid_t activate(const char *path, const char *option, const char *log)
{
	const char *program = getenv("KICKMSGD");
	pid_t parent = getpid(), pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !freopen(log, "w", stderr))
		_exit(99);
	setenv("NOTIFY_SOCKET", manager.notify, 1);
	unsetenv("WATCHDOG_USEC");
	execlp("systemd-socket-activate", "systemd-socket-activate", option,
		"--fdname=kickmsgd.socket", "-E", "NOTIFY_SOCKET", "-l", path,
		program ? program : TEST_KICKMSGD, "--config", manager.config, (char *)NULL);
	_exit(98);
}

static bool log_has(const char *log, const char *text)
{
	struct test_manager named;

	snprintf(named.log, sizeof named.log, "%s", log);
	return test_manager_logged(&named, text);
}

START_TEST(socket_activate_serves_the_client_that_started_it)
{
	char path[160], log[160];
	struct kickmsg_client *client;
	struct kickmsg_client_config config = { .socket_path = path };
	int status;

	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	snprintf(path, sizeof path, "%s4", manager.socket);
	snprintf(log, sizeof log, "%s4", manager.log);
	unsigned ready = manager.ready;
	pid_t pid = activate(path, "--seqpacket", log);
	ck_assert_msg(test_wait_until(log_has(log, "Listening on"), 10000), "no activator");
	ck_assert_uint_eq(manager.ready, ready); /* not before anybody comes */
	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
	ck_assert(test_wait_until(manager.ready == ready + 1, 10000));
	kickmsg_client_free(client);
	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	/* systemd's socket is systemd's to remove */
	ck_assert_int_eq(access(path, F_OK), 0);
	test_manager_resume(&manager);
	end();
}
END_TEST

START_TEST(socket_activate_of_the_wrong_type_is_refused)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char log[160];
	int status;

	test_manager_start(&manager, NULL);
	test_manager_kill(&manager, SIGTERM);
	snprintf(address.sun_path, sizeof address.sun_path, "%s5", manager.socket);
	snprintf(log, sizeof log, "%s5", manager.log);
	pid_t pid = activate(address.sun_path, "--setenv=NONE=1", log); /* a stream, its default */
	ck_assert_msg(test_wait_until(log_has(log, "Listening on"), 10000), "no activator");
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert(log_has(log, "no listening SOCK_SEQPACKET socket"));
	close(peer);
	test_manager_resume(&manager);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service");
	TCase *tcase = tcase_create("flow-service");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, tells_ready_reloading_stopping_in_this_order);
	tcase_add_test(tcase, end_takes_no_longer_with_more_topics);
	tcase_add_test(tcase, reload_with_a_typo_keeps_the_old_and_is_ready);
	tcase_add_test(tcase, manager_that_takes_nothing_doesnt_stop_the_broker);
	tcase_add_test(tcase, long_start_asks_for_time_and_ends_before_ready);
	tcase_add_test(tcase, typo_at_the_start_is_refused_and_mended);
	tcase_add_test(tcase, socket_unit_of_the_wrong_type_is_refused);
	tcase_add_test(tcase, two_listening_sockets_are_refused);
	tcase_add_test(tcase, descriptors_that_are_not_there_are_no_harm);
	tcase_add_test(tcase, descriptors_for_another_process_are_left_alone);
	tcase_add_test(tcase, dead_notify_socket_does_not_hurt);
	tcase_add_test(tcase, manager_that_dies_does_not_hurt);
	if (system("command -v systemd-socket-activate >/dev/null") == 0) {
		tcase_add_test(tcase, socket_activate_serves_the_client_that_started_it);
		tcase_add_test(tcase, socket_activate_of_the_wrong_type_is_refused);
	} else {
		puts("systemd-socket-activate is not installed: left out");
	}
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
