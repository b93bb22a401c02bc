/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker is killed at each system call of a sequence of control calls, before it and after it,
 * and followed by another one: every call of the client succeeds all the same, nothing is done
 * twice, and nothing is left behind.
 *
 *   crash-restart [shared] [EVERY]   at each EVERYth one; default 1
 *
 * shared: another sequence, of a topic with a shared ring.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "internal.h"
#include "kickmsg.h"
#include "manager.h"

#define PATIENCE_MS 30000

static struct test_manager manager;
static unsigned every = 1;
static bool shared;

#define MUST(call)                                                                                 \
	do {                                                                                       \
		int r_ = (int)(call);                                                              \
		if (r_ < 0) {                                                                      \
			fprintf(stderr, "%s: %s\n", #call, kickmsg_strerror(r_));                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void expect(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	_exit(2);
}

/* More than one segment has room for, so that one comes with an answer. */
static void attach_many(struct kickmsg_client *client)
{
	struct kickmsg_topic_config config;
	struct kickmsg_subscriber *subscribers[5];
	struct kickmsg_publisher *publisher;
	char text[8];

	kickmsg_topic_config_init(&config);
	config.max_borrows = 1000;
	for (int i = 0; i < 5; i++)
		MUST(kickmsg_subscribe_or_create(client, "many", &config, NULL, &subscribers[i]));
	MUST(kickmsg_advertise(client, "many", NULL, &publisher));
	MUST(kickmsg_send(publisher, "hello", 6));
	for (int i = 0; i < 5; i++) {
		MUST(kickmsg_try_receive_copy(subscribers[i], text, sizeof text));
		kickmsg_subscriber_free(subscribers[i]);
	}
	kickmsg_publisher_free(publisher);
}

/* One of each control call that changes something. */
static void run_sequence(void)
{
	struct kickmsg_schema schema = { .version = 3 }, stands;
	struct kickmsg_topic_ref ref = { .name = "walk" };
	struct kickmsg_topic_info info;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher, *second;
	struct kickmsg_subscriber *subscriber;
	char text[8];

	MUST(kickmsg_client_new(NULL, &client));
	MUST(kickmsg_advertise(client, "walk", NULL, &publisher));
	MUST(kickmsg_subscribe(client, "walk", NULL, &subscriber));
	MUST(kickmsg_claim_schema(client, &ref, &schema, &stands));
	expect(stands.version == 3, "another schema stands");
	for (int i = 0; i < 3; i++) {
		MUST(kickmsg_send(publisher, "hello", 6));
		MUST(kickmsg_try_receive_copy(subscriber, text, sizeof text));
	}
	MUST(kickmsg_advertise(client, "walk", NULL, &second));
	MUST(kickmsg_topic_info(client, &ref, &info));
	expect(info.publishers == 2 && info.subscribers == 1, "somebody is there twice");
	kickmsg_publisher_free(second);
	MUST(kickmsg_topic_info(client, &ref, &info));
	expect(info.publishers == 1, "who left is still there");
	attach_many(client);
	MUST(kickmsg_unlink_topic(client, "walk"));
	MUST(kickmsg_send(publisher, "still", 6));
	MUST(kickmsg_try_receive_copy(subscriber, text, sizeof text));
	kickmsg_client_free(client);
}

static void expect_int(struct kickmsg_subscriber *subscriber, int value)
{
	int got = 0;

	MUST(kickmsg_try_receive_copy(subscriber, &got, sizeof got));
	expect(got == value, "another message comes");
}

/* A topic with a shared ring comes and goes, with its bell; who writes into its cells leaves, and who
 * was there as well does from then on. */
static void run_shared_sequence(void)
{
	/* writable: what is answered again must still let it be mapped so */
	struct kickmsg_subscribe_options back = { .history = 2, .writable = 1 };
	struct kickmsg_topic_config config;
	struct kickmsg_client *client;
	struct kickmsg_publisher *first, *heir;
	struct kickmsg_subscriber *early, *late;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_publishers = config.max_subscribers = 2;
	config.ring_capacity = 4;
	config.pool_size = 8;
	config.max_loans = config.max_borrows = 1;
	config.max_payload_size = 64;
	MUST(kickmsg_client_new(NULL, &client));
	MUST(kickmsg_advertise(client, "ring", &config, &first));
	MUST(kickmsg_subscribe(client, "ring", NULL, &early));
	MUST(kickmsg_advertise(client, "ring", NULL, &heir));
	const _Atomic uint32_t *privileged = &heir->attachment.region.header->privileged;
	expect(*privileged == first->id, "the first publisher isn't privileged");
	MUST(kickmsg_send(first, &(int){ 1 }, sizeof(int)));
	MUST(kickmsg_send(heir, &(int){ 2 }, sizeof(int)));
	kickmsg_publisher_free(first);
	expect(test_wait_until(*privileged == heir->id, PATIENCE_MS), "nobody is privileged");
	MUST(kickmsg_send(heir, &(int){ 3 }, sizeof(int)));
	MUST(kickmsg_subscribe(client, "ring", &back, &late));
	for (int i = 1; i <= 3; i++)
		expect_int(early, i);
	expect_int(late, 2);
	kickmsg_subscriber_free(early);
	expect_int(late, 3);
	kickmsg_client_free(client);
}

static pid_t start_client(int go)
{
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	signal(SIGCHLD, SIG_DFL);
	if (read(go, &byte, 1) != 1)
		_exit(3);
	if (shared)
		run_shared_sequence();
	else
		run_sequence();
	_exit(0);
}

static bool has_ended(pid_t pid, int *ret_status)
{
	return waitpid(pid, ret_status, WNOHANG) == pid;
}

/* Lets the broker make `stops` stops at system calls, then kills it there. False: the client was
 * through before. */
static bool walk(pid_t client, int go, unsigned stops, int *ret_status)
{
	pid_t broker = manager.pid;
	int status, signal_number = 0;

	ck_assert_int_eq(ptrace(PTRACE_SEIZE, broker, 0, PTRACE_O_TRACESYSGOOD), 0);
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, broker, 0, 0), 0);
	ck_assert_int_eq(waitpid(broker, &status, __WALL), broker);
	ck_assert_int_eq(write(go, "", 1), 1);
	while (stops > 0) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, broker, 0, signal_number), 0);
		for (unsigned tries = 0;; tries++) {
			pid_t pid = waitpid(broker, &status, __WALL | WNOHANG);

			ck_assert_int_ge(pid, 0);
			if (pid == broker)
				break;
			if (has_ended(client, ret_status)) {
				kill(broker, SIGKILL);
				return false;
			}
			if (tries < 20) /* most often it is a matter of microseconds */
				sched_yield();
			else
				test_nap();
		}
		ck_assert(WIFSTOPPED(status));
		signal_number = 0;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			stops--;
		else if (WSTOPSIG(status) != SIGTRAP)
			signal_number = WSTOPSIG(status);
	}
	return true;
}

START_TEST(broker_killed_at_each_system_call_nobody_notices)
{
	unsigned point = 0;
	bool more = true;

	test_manager_start(&manager, NULL);
	for (; more; point += every) {
		int go[2], status = -1;

		ck_assert_int_eq(pipe(go), 0);
		pid_t client = start_client(go[0]);
		more = walk(client, go[1], point, &status);
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
		if (more)
			ck_assert_msg(test_wait_until(has_ended(client, &status), PATIENCE_MS),
				"point %u: the client hangs", point);
		ck_assert_msg(status == 0, "point %u: the client ended with %x", point, status);
		close(go[0]);
		close(go[1]);
		ck_assert_msg(test_wait_until(test_manager_stored(&manager, 0) == 2, 10000),
			"point %u: %zu descriptors are left", point,
			test_manager_stored(&manager, 0));
	}
	/* records and descriptors agreed each time */
	ck_assert(!test_manager_logged(&manager, "kept too little"));
	ck_assert(!test_manager_logged(&manager, "is refused"));
	printf("%s%u points, one in %u\n", shared ? "a shared ring: " : "", point / every, every);
	ck_assert_uint_gt(point, 100);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("crash-restart");
	TCase *tcase = tcase_create("crash-restart");

	shared = argc > 1 && strcmp(argv[1], "shared") == 0;
	if (argc > 1 + shared)
		every = (unsigned)strtoul(argv[1 + shared], NULL, 0);
	if (argc > 2 + shared || every == 0) {
		fprintf(stderr, "usage: crash-restart [shared] [EVERY]\n");
		return 2;
	}
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, broker_killed_at_each_system_call_nobody_notices);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
