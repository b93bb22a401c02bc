/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles in a child of fork: every call of the version map says -ECHILD (or does nothing, where it
 * has no errno to say so by), with every kind of handle and both transports. tests/support/fork has
 * the calls, whose list is held against the map here.
 */
#include <fcntl.h>
#include <pthread.h>

#include "tests/support/fork/fork.h"

#define PATIENCE_S 60 /* of a child: a call that hangs ends it */

static const struct fork_table *const tables[] = { &fork_control_calls, &fork_data_calls,
	&fork_looks_calls, &fork_services_calls };

/* The i-th of all calls; null behind the last. */
static const struct fork_call *call_at(size_t i)
{
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		if (i < tables[t]->count)
			return &tables[t]->calls[i];
		i -= tables[t]->count;
	}
	return NULL;
}

/* Tries all calls with all handles; the process ends. */
static void try_all(int flags_left_out)
{
	const struct fork_call *call;

	alarm(PATIENCE_S);
	for (size_t i = 0; i < fork_handle_count; i++)
		for (size_t k = 0; (call = call_at(k)); k++)
			if (!(call->flags & flags_left_out) && !call->works(&fork_handles[i])) {
				fprintf(stderr, "%s of %s is wrong in a child\n", call->name,
					fork_handles[i].kind);
				_exit(1);
			}
	_exit(0);
}

static void expect_good_end(pid_t child)
{
	int status;

	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "the child ended with status %#x", (unsigned)status);
}

static void setup(void)
{
	test_broker_start(&broker, NULL);
	fork_attach_all();
}

static void teardown(void)
{
	kickmsg_client_free(fork_client);
	flow_stop();
}

static void expect_untouched(void)
{
	fork_expect_untouched();
	ck_assert(flow_is_healthy("rings") && flow_is_healthy("shared"));
}

/* --- cases ----------------------------------------------------------------------------- */

START_TEST(list_of_calls_is_the_version_map)
{
	FILE *map = fopen(TEST_VERSION_MAP, "re");
	const struct fork_call *call;
	char line[256], name[128];
	size_t found = 0;

	ck_assert_ptr_nonnull(map);
	while (fgets(line, sizeof line, map)) {
		bool known = false;

		if (sscanf(line, " %127[a-z0-9_];", name) != 1 || strncmp(name, "kickmsg_", 8) != 0)
			continue;
		found++;
		for (size_t i = 0; !known && (call = call_at(i)); i++)
			known = strcmp(call->name, name) == 0;
		ck_assert_msg(known, "%s isn't tried in a child", name);
	}
	fclose(map);
	/* each is tried once, and no other */
	ck_assert_ptr_null(call_at(found));
	ck_assert_ptr_nonnull(call_at(found - 1));
}
END_TEST

START_TEST(forked_child_hears_echild_of_every_call)
{
	pid_t child = fork();

	if (child == 0)
		try_all(0);
	expect_good_end(child);
	expect_untouched();
}
END_TEST

START_TEST(grandchild_and_childs_own_client)
{
	pid_t child = fork();

	if (child == 0) {
		struct kickmsg_client *own = flow_client("child");
		struct kickmsg_publisher *publisher = flow_advertise(own, "own", NULL);
		pid_t grandchild = fork();

		if (grandchild == 0) {
			if (kickmsg_send(publisher, fork_bytes, 1) != -ECHILD ||
				kickmsg_client_dispatch(own) != -ECHILD)
				_exit(1);
			try_all(0);
		}
		expect_good_end(grandchild);
		flow_send_int(publisher, 1);
		kickmsg_client_free(own);
		_exit(0);
	}
	expect_good_end(child);
	expect_untouched();
}
END_TEST

/* A child in which no handler ran: what leads to the broker compares pids. */
START_TEST(child_without_handlers_hears_it_of_control_calls)
{
	pid_t child = _Fork();

	if (child == 0)
		try_all(FORK_DATA);
	expect_good_end(child);
	expect_untouched();
}
END_TEST

START_TEST(vforked_child_touches_nothing)
{
	pid_t child = vfork();

	if (child == 0) {
		kickmsg_publisher_free(fork_handles[0].publisher);
		kickmsg_subscriber_free(fork_handles[1].subscriber);
		kickmsg_client_free(fork_client);
		_exit(kickmsg_client_dispatch(fork_client) != -ECHILD);
	}
	expect_good_end(child);
	expect_untouched();
}
END_TEST

/* --- locks ----------------------------------------------------------------------------- */

static void *ask_once(void *unused)
{
	struct kickmsg_topic_info mine;

	(void)unused;
	return (void *)(intptr_t)kickmsg_topic_get_info(fork_client, &fork_ref, &mine);
}

static bool is_asked(void)
{
	return test_thread_count(getpid()) > 1;
}

/* A thread waits for a broker that is stopped, and so has the client's turn. */
START_TEST(turn_that_another_thread_has_stops_no_child)
{
	const struct fork_call *call;
	pthread_t thread;

	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_once, NULL), 0);
	ck_assert(test_wait_until(is_asked(), FLOW_WAIT_MS));
	for (int i = 0; i < 20; i++)
		test_nap();
	pid_t child = fork();
	if (child == 0) {
		for (size_t k = 0; (call = call_at(k)); k++)
			if (strcmp(call->name, "kickmsg_client_new") != 0 &&
				!call->works(&fork_handles[0]))
				_exit(1);
		_exit(0);
	}
	kill(broker.pid, SIGCONT);
	expect_good_end(child);
	pthread_join(thread, NULL);
	expect_untouched();
}
END_TEST

static _Atomic bool is_over;

/* Asserts nothing: a case can't be ended from a second thread. */
static void *come_and_go(void *unused)
{
	const struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *other;

	(void)unused;
	while (!is_over) {
		if (kickmsg_subscribe(fork_client, "rings", NULL, &subscriber) == 0)
			kickmsg_subscriber_free(subscriber);
		if (kickmsg_client_new(&config, &other) < 0)
			continue;
		if (kickmsg_advertise(other, "rings", NULL, &publisher) == 0)
			kickmsg_publisher_free(publisher);
		kickmsg_client_free(other);
	}
	return NULL;
}

START_TEST(threads_that_come_and_go_stop_no_child)
{
	pthread_t threads[2];

	is_over = false;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();

		if (child == 0)
			try_all(0);
		expect_good_end(child);
	}
	is_over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static pid_t events_child = -1;

static void fork_in_event(void *userdata, const struct kickmsg_event *event)
{
	(void)userdata;
	(void)event;
	if (events_child < 0)
		events_child = fork();
}

START_TEST(dispatch_that_forks_in_its_event_ends)
{
	struct kickmsg_client_config config = { .on_event = fork_in_event };
	struct kickmsg_client *listener;
	pid_t parent = getpid();

	events_child = -1;
	ck_assert_int_eq(kickmsg_client_new(&config, &listener), 0);
	test_broker_kill(&broker);
	int r = kickmsg_client_dispatch(listener);
	if (getpid() != parent)
		_exit(r != -ECHILD);
	expect_good_end(events_child);
	test_broker_resume(&broker);
	kickmsg_client_free(listener);
}
END_TEST

/* --- descriptors ----------------------------------------------------------------------- */

/* A child that lives on doesn't keep its parent's connection open. */
START_TEST(childs_copies_of_descriptors_are_closed)
{
	const size_t before = test_fd_count(getpid());
	struct kickmsg_client *other = flow_client("other");
	const size_t at_broker = test_fd_count(broker.pid);
	char byte;
	int ends[2];

	ck_assert_uint_gt(test_fd_count(getpid()), before);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		/* three of each of the two clients; the pipe it has */
		if (test_fd_count(getpid()) != before - 3 + 2)
			_exit(1);
		close(ends[1]);
		while (read(ends[0], &byte, 1) < 0)
			;
		_exit(0);
	}
	kickmsg_client_free(other);
	ck_assert(test_wait_until(test_fd_count(broker.pid) < at_broker, FLOW_WAIT_MS));
	close(ends[0]);
	close(ends[1]);
	expect_good_end(child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");
	TCase *tc = tcase_create("fork");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, list_of_calls_is_the_version_map);
	tcase_add_test(tc, forked_child_hears_echild_of_every_call);
	tcase_add_test(tc, grandchild_and_childs_own_client);
	tcase_add_test(tc, child_without_handlers_hears_it_of_control_calls);
	tcase_add_test(tc, vforked_child_touches_nothing);
	tcase_add_test(tc, turn_that_another_thread_has_stops_no_child);
	tcase_add_test(tc, threads_that_come_and_go_stop_no_child);
	tcase_add_test(tc, dispatch_that_forks_in_its_event_ends);
	tcase_add_test(tc, childs_copies_of_descriptors_are_closed);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
