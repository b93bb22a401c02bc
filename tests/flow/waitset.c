/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait sets. The index of a case is the transport, and how the set sleeps: 0 rings, 1 shared, by waits that
 * stand in an io_uring; 2 rings, 3 shared, by descriptors, since a pipe is in the set; 4 rings, 5 shared, by those
 * of the library's thread; 6 rings, 7 shared, by futex_waitv(2).
 *
 * The file is long because each case runs in all these ways.
 */
#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "common/memory/atomic.h"
#include "tests/support/broker/told.h"

#define CASES   8
#define MEMBERS 4
#define MS      INT64_C(1000000)

static struct kickmsg_client *client;
static struct kickmsg_publisher *publishers[MEMBERS];
static struct kickmsg_subscriber *subscribers[MEMBERS];
static struct kickmsg_waitset *set;
static int ends[2];

static bool has_pipe(int i)
{
	return i >= 2 && i < 6;
}

static void begin(int i)
{
	char name[16];

	if (i >= 4)
		setenv("KICKMSG_WAIT", "thread", 1);
	test_broker_start(&broker, NULL);
	client = told_client("set");
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	ck_assert_int_eq(pipe(ends), 0);
	for (int k = 0; k < MEMBERS; k++) {
		snprintf(name, sizeof name, "t%d", k);
		publishers[k] = flow_advertise(client, name, over(i % 2));
		subscribers[k] = flow_subscribe(client, name);
		ck_assert_int_eq(
			kickmsg_waitset_add_subscriber(set, subscribers[k], &subscribers[k]), 0);
	}
	if (has_pipe(i))
		ck_assert_int_eq(kickmsg_waitset_add_fd(set, ends[0], 1, ends), 0);
}

static void end(void)
{
	kickmsg_waitset_free(set);
	kickmsg_client_free(client);
	close(ends[0]);
	close(ends[1]);
	flow_stop();
}

/* The one member that is ready; an error. A readiness without a message is passed over. */
static void *wait_one(int64_t timeout_ns, int *ret_r)
{
	void *ready = NULL;

	*ret_r = kickmsg_waitset_wait(set, timeout_ns, &ready, 1);
	return *ret_r == 1 ? ready : NULL;
}

START_TEST(says_which_one_is_ready)
{
	int r;

	begin(_i);
	ck_assert_ptr_null(wait_one(0, &r));
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(r, -ETIMEDOUT);
	for (int i = 0; i < 100; i++) {
		int k = i % MEMBERS;

		flow_send_int(publishers[k], i);
		ck_assert_ptr_eq(wait_one(-1, &r), &subscribers[k]);
		ck_assert_ptr_eq(wait_one(0, &r), &subscribers[k]);
		ck_assert_int_eq(flow_receive_int(subscribers[k]), i);
		ck_assert_ptr_null(wait_one(0, &r));
		ck_assert_int_eq(r, -EAGAIN);
	}
	ck_assert_int_eq(kickmsg_waitset_remove(set, &subscribers[1]), 0);
	ck_assert_int_eq(kickmsg_waitset_remove(set, &subscribers[1]), -ENOENT);
	flow_send_int(publishers[1], 1);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(kickmsg_waitset_wait(set, 0, NULL, 0), -EINVAL);
	end();
}
END_TEST

START_TEST(nobody_starves)
{
	void *all[MEMBERS + 1];
	int told_of[MEMBERS] = { 0 }, r;

	begin(_i);
	for (int k = 0; k < MEMBERS; k++)
		flow_send_int(publishers[k], k);
	ck_assert_int_eq(kickmsg_waitset_wait(set, -1, all, MEMBERS + 1), MEMBERS);
	for (int i = 0; i < 1000; i++) {
		struct kickmsg_subscriber **told_one = wait_one(-1, &r);

		told_of[told_one - subscribers]++;
	}
	for (int k = 0; k < MEMBERS; k++)
		ck_assert_int_eq(told_of[k], 1000 / MEMBERS);
	end();
}
END_TEST

#define MESSAGES 4000

static void *send_all(void *unused)
{
	unsigned random = 1;

	for (int i = 0; i < MESSAGES; i++) {
		random = random * 1103515245 + 12345;
		flow_send_int(publishers[random >> 16 & (MEMBERS - 1)], i);
		for (unsigned pause = random >> 20; pause > 0; pause--)
			km_pause();
	}
	return unused;
}

START_TEST(all_messages_are_counted)
{
	uint64_t counted = 0;
	pthread_t thread;
	void *ready[2];

	begin(_i);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, NULL), 0);
	while (counted < MESSAGES) {
		int n = kickmsg_waitset_wait(set, FLOW_WAIT_MS * MS, ready, 2);

		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++)
			while (flow_receive_int(*(struct kickmsg_subscriber **)ready[i]) >= 0)
				counted++;
		uint64_t lost = 0;
		for (int k = 0; k < MEMBERS; k++)
			lost += kickmsg_subscriber_lost(subscribers[k]);
		if (counted + lost == MESSAGES)
			break;
	}
	pthread_join(thread, NULL);
	end();
}
END_TEST

static void *interrupt_later(void *unused)
{
	usleep(2000);
	kickmsg_waitset_interrupt(set);
	return unused;
}

static void interrupt_there(int signal)
{
	(void)signal;
	kickmsg_waitset_interrupt(set);
}

START_TEST(interrupted_exactly_once)
{
	struct sigaction action = { .sa_handler = interrupt_there, .sa_flags = SA_RESTART };
	pthread_t thread;
	int r;

	begin(_i);
	kickmsg_waitset_interrupt(set);
	kickmsg_waitset_interrupt(set);
	ck_assert_ptr_null(wait_one(0, &r));
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_ptr_null(wait_one(-1, &r));
	ck_assert_int_eq(r, -EINTR);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(r, -ETIMEDOUT);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_later, NULL), 0);
		ck_assert_ptr_null(wait_one(-1, &r));
		ck_assert_int_eq(r, -EINTR);
		pthread_join(thread, NULL);
	}
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ualarm(2000, 0);
	ck_assert_ptr_null(wait_one(-1, &r));
	ck_assert_int_eq(r, -EINTR);
	end();
}
END_TEST

START_TEST(a_deadline_once)
{
	struct timespec now;
	int soon, later, r;

	begin(_i);
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t ns = now.tv_sec * 1000 * MS + now.tv_nsec;
	ck_assert_int_eq(kickmsg_waitset_add_deadline(set, INT64_MAX, &later), 0);
	ck_assert_int_eq(kickmsg_waitset_add_deadline(set, ns + 5 * MS, &soon), 0);
	ck_assert_ptr_eq(wait_one(-1, &r), &soon);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(r, -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_waitset_remove(set, &later), 0);
	ck_assert_int_eq(kickmsg_waitset_add_deadline(set, ns + 6 * MS, &later), 0);
	ck_assert_ptr_eq(wait_one(-1, &r), &later);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(r, -ETIMEDOUT);
	end();
}
END_TEST

/* Descriptors are taken only where there are some in the set. */
START_TEST(descriptors_and_clients)
{
	struct kickmsg_client_info info;
	int r;

	begin(_i);
	ck_assert_ptr_null(wait_one(MS, &r));
	kickmsg_client_get_info(client, &info);
	ck_assert(has_pipe(_i) || info.wait_mechanism == KICKMSG_WAIT_NONE);
	if (has_pipe(_i)) {
		ck_assert_int_eq(write(ends[1], "x", 1), 1);
		ck_assert_ptr_eq(wait_one(-1, &r), ends);
		ck_assert_int_eq(kickmsg_waitset_remove(set, ends), 0);
	}
	ck_assert_int_eq(kickmsg_waitset_add_fd(set, -1, 1, NULL), -EBADF);
	ck_assert_int_eq(kickmsg_waitset_add_client(set, client, client), 0);
	test_broker_kill(&broker);
	ck_assert_ptr_eq(wait_one(-1, &r), client);
	test_broker_resume(&broker);
	/* a loop as users have it; the handles go over to fresh regions by it */
	for (int i = 0; told.count < 2 + 2 * MEMBERS && i < 1000; i++) {
		void *ready = wait_one(100 * MS, &r);

		if (ready == client)
			kickmsg_client_dispatch(client);
		else if (ready)
			ck_assert_int_eq(
				flow_receive_int(*(struct kickmsg_subscriber **)ready), -EAGAIN);
	}
	for (int k = 0; k < MEMBERS; k++) {
		void *ready;

		flow_send_int(publishers[k], k);
		while ((ready = wait_one(FLOW_WAIT_MS * MS, &r)) == client)
			kickmsg_client_dispatch(client);
		int value = flow_receive_int(*(struct kickmsg_subscriber **)ready);
		/* the subscriber has gone over, and finds the message in the next look */
		if (value == -EAGAIN) {
			k--;
			continue;
		}
		ck_assert_ptr_eq(ready, &subscribers[value]);
	}
	end();
}
END_TEST

#define MANY 200

START_TEST(more_than_futex_waitv_takes)
{
	static struct kickmsg_subscriber *many[MANY];
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);
	void *ready[MANY];
	int r;

	begin(_i);
	config.max_subscribers = MANY;
	struct kickmsg_publisher *to_all = flow_advertise(client, "many", &config);
	for (int i = 0; i < MANY; i++) {
		many[i] = flow_subscribe(client, "many");
		ck_assert_int_eq(kickmsg_waitset_add_subscriber(set, many[i], &many[i]), 0);
	}
	ck_assert_ptr_null(wait_one(MS, &r));
	flow_send_int(to_all, 1);
	ck_assert_int_eq(kickmsg_waitset_wait(set, -1, ready, MANY), MANY);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(flow_receive_int(many[i]), 1);
	ck_assert_ptr_null(wait_one(MS, &r));
	ck_assert_int_eq(r, -ETIMEDOUT);
	end();
}
END_TEST

START_TEST(an_observer_too)
{
	const struct kickmsg_subscribe_options observes = { .observe = 1 };
	struct kickmsg_subscriber *observer;
	int r;

	begin(_i);
	ck_assert_int_eq(kickmsg_subscribe(client, "t0", &observes, &observer), 0);
	ck_assert_int_eq(kickmsg_waitset_remove(set, &subscribers[0]), 0);
	ck_assert_int_eq(kickmsg_waitset_add_subscriber(set, observer, &observer), 0);
	ck_assert_ptr_null(wait_one(MS, &r));
	flow_send_int(publishers[0], 5);
	ck_assert_ptr_eq(wait_one(-1, &r), &observer);
	end();
}
END_TEST

/* --- whose the waits are ------------------------------------------------------------------------------ */

static unsigned count_threads(void)
{
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

START_TEST(no_descriptor_and_no_thread)
{
	int r;

	begin(_i);
	unsigned descriptors = test_fd_count(getpid()), threads = count_threads();
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_null(wait_one(MS, &r));
		flow_send_int(publishers[i], i);
		ck_assert_ptr_eq(wait_one(-1, &r), &subscribers[i]);
		ck_assert_int_eq(flow_receive_int(subscribers[i]), i);
	}
	ck_assert_uint_eq(test_fd_count(getpid()), descriptors);
	ck_assert_uint_eq(count_threads(), threads);
	end();
}
END_TEST

static void *wait_for_all_members(void *unused)
{
	int r;

	for (int i = 0; i < 2 * MEMBERS; i++) {
		if (wait_one(MS, &r) || r != -ETIMEDOUT)
			return NULL;
		flow_send_int(publishers[i % MEMBERS], i);
		if (wait_one(-1, &r) != &subscribers[i % MEMBERS] ||
			flow_receive_int(subscribers[i % MEMBERS]) != i)
			return NULL;
	}
	return set;
}

/* One thread after the other waits by the set, and a third frees it. */
START_TEST(threads_take_turns)
{
	pthread_t thread;
	void *end_of_it;

	begin(_i);
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_eq(wait_for_all_members(NULL), set);
		ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_all_members, NULL), 0);
		pthread_join(thread, &end_of_it);
		ck_assert_ptr_eq(end_of_it, set);
	}
	end();
}
END_TEST

#define SETS 40

/* A thread has places for 16 rings without descriptors. */
START_TEST(more_sets_than_rings)
{
	struct kickmsg_waitset *sets[SETS];
	void *ready;

	begin(_i);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SETS; i++) {
			ck_assert_int_eq(kickmsg_waitset_new(&sets[i]), 0);
			for (int k = 0; k < MEMBERS; k++)
				ck_assert_int_eq(kickmsg_waitset_add_subscriber(
							 sets[i], subscribers[k], &subscribers[k]),
					0);
			ck_assert_int_eq(kickmsg_waitset_wait(sets[i], MS, &ready, 1), -ETIMEDOUT);
		}
		for (int i = 0; i < SETS; i++) {
			flow_send_int(publishers[i % MEMBERS], i);
			ck_assert_int_eq(kickmsg_waitset_wait(sets[i], -1, &ready, 1), 1);
			ck_assert_ptr_eq(ready, &subscribers[i % MEMBERS]);
			ck_assert_int_eq(flow_receive_int(subscribers[i % MEMBERS]), i);
			ck_assert_int_eq(kickmsg_waitset_wait(sets[i], MS, &ready, 1), -ETIMEDOUT);
		}
		for (int i = 0; i < SETS; i++)
			kickmsg_waitset_free(sets[i]);
	}
	end();
}
END_TEST

/* A member's wait goes with it, also where another member comes in its place. */
START_TEST(members_come_and_go)
{
	int r;

	begin(_i);
	for (int i = 0; i < 50; i++) {
		int k = i % MEMBERS, next = (i + 1) % MEMBERS;

		ck_assert_ptr_null(wait_one(MS, &r));
		ck_assert_int_eq(kickmsg_waitset_remove(set, &subscribers[k]), 0);
		flow_send_int(publishers[k], i);
		ck_assert_ptr_null(wait_one(MS, &r));
		flow_send_int(publishers[next], i);
		ck_assert_ptr_eq(wait_one(-1, &r), &subscribers[next]);
		ck_assert_int_eq(flow_receive_int(subscribers[next]), i);
		kickmsg_subscriber_free(subscribers[k]);
		char name[16];
		snprintf(name, sizeof name, "t%d", k);
		subscribers[k] = flow_subscribe(client, name);
		ck_assert_int_eq(
			kickmsg_waitset_add_subscriber(set, subscribers[k], &subscribers[k]), 0);
		flow_send_int(publishers[k], i);
		ck_assert_ptr_eq(wait_one(-1, &r), &subscribers[k]);
		ck_assert_int_eq(flow_receive_int(subscribers[k]), i);
	}
	end();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("waitset");
	Suite *suite = suite_create("waitset");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, says_which_one_is_ready, 0, CASES);
	tcase_add_loop_test(tcase, nobody_starves, 0, CASES);
	tcase_add_loop_test(tcase, all_messages_are_counted, 0, CASES);
	tcase_add_loop_test(tcase, interrupted_exactly_once, 0, CASES);
	tcase_add_loop_test(tcase, a_deadline_once, 0, CASES);
	tcase_add_loop_test(tcase, descriptors_and_clients, 0, CASES);
	tcase_add_loop_test(tcase, no_descriptor_and_no_thread, 0, 2);
	tcase_add_loop_test(tcase, no_descriptor_and_no_thread, 6, 8);
	tcase_add_loop_test(tcase, threads_take_turns, 0, CASES);
	tcase_add_loop_test(tcase, more_sets_than_rings, 0, 2);
	tcase_add_loop_test(tcase, members_come_and_go, 0, CASES);
	tcase_add_loop_test(tcase, more_than_futex_waitv_takes, 0, 2);
	tcase_add_loop_test(tcase, an_observer_too, 1, 2);
	tcase_add_loop_test(tcase, an_observer_too, 3, 4);
	tcase_add_loop_test(tcase, an_observer_too, 7, 8);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
