/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker is killed at each system call of a sequence of control calls, before it and after it,
 * and followed by another one: every call of the client succeeds all the same, nothing is done
 * twice, and nothing is left behind.
 *
 *   crash-restart [shared|waits|parking|start] [EVERY]   at each EVERYth one; default 1
 *
 * With EVERY, each run begins at another one, so a few runs walk all. A walk takes as long as the square of the
 * number of system calls, since each point is reached from the sequence's begin.
 *
 * shared: another sequence, of a topic with a shared ring.
 * waits: another one, of subscribers that wait for topics and get the first message.
 * parking: another one, in which a pass over the parking is due (daemon/keep/parking.h).
 * start: it is killed at each system call of its start, with a pass due there too.
 *
 * The file is long because each of its sequences is told step by step, with its own books.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/manager.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/suite.h"

#define PATIENCE_MS 30000

static struct test_manager manager;
static unsigned every = 1;
static enum { CALLS, SHARED, WAITS, PARKING, BEGINNING } walked;
static const char *const names[] = { "calls", "shared", "waits", "parking", "start" };

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

/* Attaches more endpoints than one client segment has room for, so that a second segment comes
 * with an answer. */
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

static void hear(void *userdata, const struct kickmsg_happening *happening)
{
	*(bool *)userdata |= strcmp(happening->kind, "topic-unlinked") == 0 ||
			     strcmp(happening->kind, "serving") == 0;
}

/* Has the client heard of the unlink? The next broker may tell "serving" instead of what the
 * last one was about to tell. */
static bool has_heard(struct kickmsg_client *client, const bool *unlinked)
{
	return kickmsg_client_dispatch(client) >= 0 && *unlinked;
}

/* Makes one of each control call that changes something. */
static void run_sequence(void)
{
	struct kickmsg_schema schema = { .version = 3 }, stands;
	struct kickmsg_topic_ref ref = { .name = "walk" };
	struct kickmsg_topic_info info;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher, *second;
	struct kickmsg_subscriber *subscriber;
	bool unlinked = false;
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
	MUST(kickmsg_topic_get_info(client, &ref, &info));
	expect(info.publishers == 2 && info.subscribers == 1, "somebody is there twice");
	kickmsg_publisher_free(second);
	MUST(kickmsg_topic_get_info(client, &ref, &info));
	expect(info.publishers == 1, "who left is still there");
	const struct km_gone *gone = &subscriber->handle.place.region.header->gone_publishers;
	expect(km_load(M3, relaxed, &gone->left) == 1 && km_load(M3, relaxed, &gone->died) == 0,
		"who left once is counted otherwise");
	attach_many(client);
	MUST(kickmsg_broker_watch(client, hear, &unlinked));
	MUST(kickmsg_unlink_topic(client, "walk"));
	MUST(kickmsg_send(publisher, "still", 6));
	MUST(kickmsg_try_receive_copy(subscriber, text, sizeof text));
	expect(test_wait_until(has_heard(client, &unlinked), PATIENCE_MS), "nothing is told");
	kickmsg_client_free(client);
}

static void expect_int(struct kickmsg_subscriber *subscriber, int value)
{
	int got = 0;

	MUST(kickmsg_try_receive_copy(subscriber, &got, sizeof got));
	expect(got == value, "another message comes");
}

/* Runs a sequence in which a topic with a shared ring comes and goes, with its bell. The
 * publisher that writes into its cells leaves, and then the other one writes. */
static void run_shared_sequence(void)
{
	/* an answer that is repeated must still let the memory be mapped writable */
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
	const _Atomic uint32_t *privileged = &heir->handle.place.region.header->privileged;
	expect(*privileged == first->handle.place.id, "the first publisher isn't privileged");
	MUST(kickmsg_send(first, &(int){ 1 }, sizeof(int)));
	MUST(kickmsg_send(heir, &(int){ 2 }, sizeof(int)));
	kickmsg_publisher_free(first);
	expect(test_wait_until(*privileged == heir->handle.place.id, PATIENCE_MS),
		"nobody is privileged");
	MUST(kickmsg_send(heir, &(int){ 3 }, sizeof(int)));
	MUST(kickmsg_subscribe(client, "ring", &back, &late));
	for (int i = 1; i <= 3; i++)
		expect_int(early, i);
	expect_int(late, 2);
	kickmsg_subscriber_free(early);
	expect_int(late, 3);
	kickmsg_client_free(client);
}

static void *receive_both(void *userdata)
{
	const struct kickmsg_subscribe_options options = { .wait_ns = UINT64_MAX };
	struct kickmsg_subscriber *subscriber;
	int got = 0;

	MUST(kickmsg_subscribe(userdata, "later", &options, &subscriber));
	for (int i = 1; i <= 2; i++) {
		MUST(kickmsg_receive_copy(
			subscriber, &got, sizeof got, PATIENCE_MS * INT64_C(1000000)));
		expect(got == i, "a message is missed");
	}
	kickmsg_subscriber_free(subscriber);
	return NULL;
}

/* Does the client wait for an answer? A request keeps its turn until then. */
static bool waits(struct kickmsg_client *client)
{
	km_client_lock(client);
	bool any = !LIST_EMPTY(&client->awaited);
	km_client_unlock(client);
	return any;
}

/* Runs a sequence in which two clients wait for a topic, and one of them makes it. */
static void run_waiting_sequence(void)
{
	const struct kickmsg_subscribe_options shortly = { .wait_ns = 1000000 };
	struct kickmsg_topic_ref ref = { .name = "later" };
	struct kickmsg_client *clients[2];
	struct kickmsg_topic_info info;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		MUST(kickmsg_client_new(NULL, &clients[i]));
		pthread_create(&threads[i], NULL, receive_both, clients[i]);
		expect(test_wait_until(waits(clients[i]), PATIENCE_MS), "it doesn't wait");
	}
	int r = kickmsg_subscribe(clients[1], "never", &shortly, &subscriber);
	expect(r == -ETIMEDOUT, "there is a topic");
	MUST(kickmsg_advertise(clients[1], "later", NULL, &publisher));
	MUST(kickmsg_send(publisher, &(int){ 1 }, sizeof(int)));
	MUST(kickmsg_subscribe(clients[0], "later", NULL, &subscriber));
	/* a client reads an answer that comes twice here, and gives nothing back that it still
	 * has */
	for (int i = 0; i < 4; i++)
		MUST(kickmsg_topic_get_info(clients[i % 2], &ref, &info));
	MUST(kickmsg_send(publisher, &(int){ 2 }, sizeof(int)));
	expect_int(subscriber, 2);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* the other client's farewell may come after this client's requests */
	expect(test_wait_until(kickmsg_topic_get_info(clients[0], &ref, &info) == 0 &&
				       info.publishers == 1 && info.subscribers == 1,
		       PATIENCE_MS),
		"somebody is there twice");
	for (int i = 0; i < 2; i++)
		kickmsg_client_free(clients[i]);
}

/* Makes topics, of which some stay, and as many are gone as may wait without a pass: the next
 * ones make a pass due. */
enum { STAY = 3, GONE = 33 };

struct crowd {
	struct kickmsg_client *client;
	struct kickmsg_publisher *publishers[STAY];
	struct kickmsg_subscriber *subscribers[STAY];
	unsigned sent;
};

static void come_and_go(struct kickmsg_client *client, unsigned count)
{
	struct kickmsg_publisher *publisher;

	for (unsigned i = 0; i < count; i++) {
		MUST(kickmsg_advertise(client, "guest", NULL, &publisher));
		kickmsg_publisher_free(publisher);
	}
}

static void gather_crowd(struct crowd *crowd)
{
	struct kickmsg_topic_config config;
	char name[] = "stays0";

	kickmsg_topic_config_init(&config);
	memset(crowd, 0, sizeof *crowd);
	MUST(kickmsg_client_new(NULL, &crowd->client));
	for (unsigned i = 0; i < STAY; i++, name[5]++) {
		config.transport = i % 2 ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
		MUST(kickmsg_advertise(crowd->client, name, &config, &crowd->publishers[i]));
		MUST(kickmsg_subscribe(crowd->client, name, NULL, &crowd->subscribers[i]));
	}
	come_and_go(crowd->client, GONE);
}

/* Checks that the whole crowd is still there, and that the broker knows each once. */
static void see_crowd(struct crowd *crowd)
{
	char name[] = "stays0";
	struct kickmsg_topic_ref ref = { .name = name };
	struct kickmsg_topic_info info;
	unsigned got;

	for (unsigned i = 0; i < STAY; i++, name[5]++) {
		MUST(kickmsg_send(crowd->publishers[i], &crowd->sent, sizeof crowd->sent));
		MUST(kickmsg_try_receive_copy(crowd->subscribers[i], &got, sizeof got));
		expect(got == crowd->sent, "another message comes");
		MUST(kickmsg_topic_get_info(crowd->client, &ref, &info));
		expect(info.publishers == 1 && info.subscribers == 1, "somebody is there twice");
	}
	crowd->sent++;
}

static void run_parking_sequence(struct crowd *crowd)
{
	struct kickmsg_publisher *fresh;

	come_and_go(crowd->client, 3);
	see_crowd(crowd);
	MUST(kickmsg_advertise(crowd->client, "fresh", NULL, &fresh));
	come_and_go(crowd->client, 2);
	MUST(kickmsg_send(fresh, "x", 1));
	kickmsg_client_free(crowd->client);
}

static pid_t start_client(int go, int ready)
{
	struct crowd crowd;
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	signal(SIGCHLD, SIG_DFL);
	if (walked == PARKING)
		gather_crowd(&crowd);
	if (write(ready, "", 1) != 1 || read(go, &byte, 1) != 1)
		_exit(3);
	if (walked == PARKING)
		run_parking_sequence(&crowd);
	else if (walked == SHARED)
		run_shared_sequence();
	else if (walked == WAITS)
		run_waiting_sequence();
	else
		run_sequence();
	_exit(0);
}

static bool has_ended(pid_t pid, int *ret_status)
{
	return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void seize(pid_t broker)
{
	int status;

	ck_assert_int_eq(ptrace(PTRACE_SEIZE, broker, 0, PTRACE_O_TRACESYSGOOD), 0);
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, broker, 0, 0), 0);
	ck_assert_int_eq(waitpid(broker, &status, __WALL), broker);
}

/* Starts a broker and seizes it before its program begins. */
static void start_seized(void)
{
	int gate[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate), 0);
	manager.gate = gate[1];
	test_manager_resume_unready(&manager);
	manager.gate = 0;
	ck_assert_int_eq(read(gate[0], &byte, 1), 1);
	seize(manager.pid);
	ck_assert_int_eq(write(gate[0], "", 1), 1);
	close(gate[0]);
	close(gate[1]);
}

/* Lets the broker make `stops` stops at system calls. False: the sequence was over before. */
static bool walk(unsigned stops, bool (*is_over)(void *userdata), void *userdata)
{
	pid_t broker = manager.pid;
	int status, signal_number = 0;

	while (stops > 0) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, broker, 0, signal_number), 0);
		for (unsigned tries = 0;; tries++) {
			pid_t pid = waitpid(broker, &status, __WALL | WNOHANG);

			ck_assert_int_ge(pid, 0);
			if (pid == broker)
				break;
			if (is_over(userdata))
				return false;
			/* the broker's parts mostly agree after microseconds */
			if (tries < 20)
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

struct client {
	pid_t pid;
	int status;
};

static bool client_has_ended(void *userdata)
{
	struct client *client = userdata;

	return has_ended(client->pid, &client->status);
}

START_TEST(broker_killed_at_each_system_call_nobody_notices)
{
	const unsigned first = (unsigned)getpid() % every;
	unsigned point = first;
	bool more = true;

	test_manager_start(&manager, NULL);
	for (; more; point += every) {
		int go[2], ready[2];
		char byte;

		ck_assert_int_eq(pipe(go), 0);
		ck_assert_int_eq(pipe(ready), 0);
		struct client client = { .status = -1 };
		client.pid = start_client(go[0], ready[1]);
		close(ready[1]);
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		seize(manager.pid);
		ck_assert_int_eq(write(go[1], "", 1), 1);
		more = walk(point, client_has_ended, &client);
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
		if (more)
			ck_assert_msg(test_wait_until(client_has_ended(&client), PATIENCE_MS),
				"point %u: the client hangs", point);
		ck_assert_msg(client.status == 0, "point %u: the client ended with %x", point,
			client.status);
		close(go[0]);
		close(go[1]);
		ck_assert_msg(test_wait_until(test_manager_is_empty(&manager), 10000),
			"point %u: %zu descriptors and %zu parked entries are left", point,
			test_manager_stored(&manager, 0), test_manager_parked(&manager));
	}
	/* records and descriptors agreed each time */
	ck_assert(!test_manager_logged(&manager, "kept too little"));
	ck_assert(!test_manager_logged(&manager, "is refused"));
	printf("%s: %u points, one in %u from %u on\n", names[walked], point / every, every, first);
	ck_assert_uint_gt(point, 100);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

static bool manager_is_ready(void *userdata)
{
	return manager.ready != *(unsigned *)userdata;
}

START_TEST(broker_killed_at_each_system_call_of_its_start_nobody_notices)
{
	struct crowd crowd;
	const unsigned first = (unsigned)getpid() % every;
	unsigned point = first;
	bool more = true;

	test_manager_start(&manager, NULL);
	gather_crowd(&crowd);
	for (; more; point += every) {
		unsigned ready = manager.ready;

		come_and_go(crowd.client, 2 + point % GONE);
		test_manager_kill(&manager, SIGKILL);
		start_seized();
		more = walk(point, manager_is_ready, &ready);
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
		see_crowd(&crowd);
	}
	kickmsg_client_free(crowd.client);
	ck_assert_msg(test_wait_until(test_manager_is_empty(&manager), 10000),
		"%zu descriptors and %zu parked entries are left", test_manager_stored(&manager, 0),
		test_manager_parked(&manager));
	ck_assert(!test_manager_logged(&manager, "kept too little"));
	ck_assert(!test_manager_logged(&manager, "is refused"));
	ck_assert(!test_manager_logged(&manager, "connect anew"));
	printf("%s: %u points, one in %u from %u on\n", names[walked], point / every, every, first);
	ck_assert_uint_gt(point, 100);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	Suite *suite = suite_create("crash-restart");
	TCase *tcase = tcase_create("crash-restart");

	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	for (unsigned i = SHARED; argc > 1 && i <= BEGINNING; i++)
		if (strcmp(argv[1], names[i]) == 0)
			walked = i;
	int named = walked != CALLS;
	if (argc > 1 + named)
		every = (unsigned)strtoul(argv[1 + named], NULL, 0);
	if (argc > 2 + named || every == 0) {
		fprintf(stderr, "usage: crash-restart [shared|waits|parking|start] [EVERY]\n");
		return 2;
	}
	tcase_set_timeout(tcase, 900);
	if (walked == BEGINNING)
		tcase_add_test(
			tcase, broker_killed_at_each_system_call_of_its_start_nobody_notices);
	else
		tcase_add_test(tcase, broker_killed_at_each_system_call_nobody_notices);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
