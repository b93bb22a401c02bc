/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that say when a message waits. The index of a case is the transport and the mechanism:
 * 0 rings, 1 shared by io_uring; 2 rings, 3 shared by the library's thread; 4 rings, 5 shared by its thread
 * over one io_uring, behind KM_WATCH_RINGS others.
 *
 * The file is long because each thing that ends a wait has a case, over one fixture.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "common/repair/live.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/told.h"
#include "tests/support/refuse.h"
#include "tests/support/uring.h"

#define CASES 6

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static int fd;

static bool by_futex_waitv(int i)
{
	return i == 2 || i == 3;
}

/* The descriptor of one that comes behind those that have rings of their own. */
static int descriptor_behind_others(void)
{
	struct kickmsg_subscriber *others[KM_WATCH_RINGS];
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);

	config.max_subscribers = KM_WATCH_RINGS;
	struct kickmsg_publisher *to_others = flow_advertise(client, "others", &config);
	for (int i = 0; i < KM_WATCH_RINGS; i++) {
		others[i] = flow_subscribe(client, "others");
		ck_assert_int_ge(kickmsg_subscriber_get_fd(others[i]), 3);
	}
	int behind = kickmsg_subscriber_get_fd(subscriber);
	for (int i = 0; i < KM_WATCH_RINGS; i++)
		kickmsg_subscriber_free(others[i]);
	kickmsg_publisher_free(to_others);
	return behind;
}

static void begin(int i)
{
	setenv("KICKMSG_WAIT", by_futex_waitv(i) ? "thread" : "uring", 1);
	test_broker_start(&broker, NULL);
	client = told_client("ready");
	publisher = flow_advertise(client, TOPIC, over(i % 2));
	subscriber = flow_subscribe(client, TOPIC);
	fd = i < 4 ? kickmsg_subscriber_get_fd(subscriber) : descriptor_behind_others();
}

static void end(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static bool is_readable_in(int of, int timeout_ms)
{
	struct pollfd polled = { of, POLLIN, 0 };

	return poll(&polled, 1, timeout_ms) == 1;
}

static bool is_readable(int of)
{
	return is_readable_in(of, 0);
}

/* A wake that was on its way may make the descriptor readable once more, without a message. */
static bool is_quiet(void)
{
	for (int i = 0; i < 10; i++) {
		if (flow_receive_int(subscriber) != -EAGAIN)
			return false;
		if (!is_readable_in(fd, 5))
			return true;
	}
	return false;
}

static void expect_next(int value)
{
	ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
	int r;
	while ((r = flow_receive_int(subscriber)) == -EAGAIN)
		ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
	ck_assert_int_eq(r, value);
}

START_TEST(readable_while_a_message_waits)
{
	begin(_i);
	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(kickmsg_subscriber_get_fd(subscriber), fd);
	for (int i = 0; i < 100; i++) {
		ck_assert(is_quiet());
		ck_assert(!is_readable(fd));
		flow_send_int(publisher, 2 * i);
		flow_send_int(publisher, 2 * i + 1);
		ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
		ck_assert(is_readable(fd));
		ck_assert_int_eq(flow_receive_int(subscriber), 2 * i);
		ck_assert(is_readable(fd));
		ck_assert_int_eq(flow_receive_int(subscriber), 2 * i + 1);
		ck_assert(is_readable(fd));
	}
	kickmsg_subscriber_free(subscriber);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	end();
}
END_TEST

START_TEST(message_before_the_first_look_is_seen)
{
	begin(_i);
	flow_send_int(publisher, 1);
	expect_next(1);
	ck_assert(is_quiet());
	end();
}
END_TEST

#define MESSAGES 4000

static void *send_all(void *unused)
{
	unsigned random = 1;

	for (int i = 0; i < MESSAGES; i++) {
		flow_send_int(publisher, i);
		random = random * 1103515245 + 12345;
		for (unsigned pause = random >> 20; pause > 0; pause--)
			km_pause();
		if (i % 64 == 0)
			usleep(100);
	}
	return unused;
}

static int wait_on(int epoll)
{
	struct epoll_event event;
	int r;

	while ((r = epoll_wait(epoll, &event, 1, FLOW_WAIT_MS)) < 0)
		ck_assert_int_eq(errno, EINTR);
	return r;
}

static int watch(int of, uint32_t events)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = events };

	ck_assert_int_ge(epoll, 0);
	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, of, &event), 0);
	return epoll;
}

/* Every message is received or counted as lost, whatever the moment of its coming. */
static void count_all(int epoll)
{
	pthread_t thread;
	uint64_t received = 0;
	int value = -1, r;

	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, NULL), 0);
	while (value != MESSAGES - 1) {
		ck_assert_int_eq(wait_on(epoll), 1);
		while ((r = flow_receive_int(subscriber)) >= 0) {
			ck_assert_int_gt(r, value);
			value = r;
			received++;
		}
		ck_assert_int_eq(r, -EAGAIN);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(received + kickmsg_subscriber_lost(subscriber), MESSAGES);
	close(epoll);
}

static void count_all_and_rest(int epoll)
{
	count_all(epoll);
	ck_assert(is_quiet());
}

START_TEST(all_are_counted_level_triggered)
{
	begin(_i);
	count_all_and_rest(watch(fd, EPOLLIN));
	end();
}
END_TEST

START_TEST(all_are_counted_edge_triggered)
{
	begin(_i);
	count_all_and_rest(watch(fd, EPOLLIN | EPOLLET));
	end();
}
END_TEST

START_TEST(all_are_counted_by_a_copy_in_another_epoll)
{
	begin(_i);
	int copy = dup(fd), first = watch(fd, EPOLLIN);
	count_all_and_rest(watch(copy, EPOLLIN));
	ck_assert(!is_readable(first));
	flow_send_int(publisher, 1);
	ck_assert(is_readable_in(first, FLOW_WAIT_MS) && is_readable_in(copy, FLOW_WAIT_MS));
	close(copy);
	close(first);
	end();
}
END_TEST

START_TEST(a_receive_that_sleeps_and_the_descriptor)
{
	begin(_i);
	ck_assert(is_quiet());
	int value;
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(kickmsg_receive_copy(subscriber, &value, sizeof value, 1000000),
			-ETIMEDOUT);
		ck_assert(is_readable(fd));
		ck_assert(is_quiet());
		flow_send_int(publisher, i);
		expect_next(i);
		ck_assert(is_quiet());
	}
	end();
}
END_TEST

static void *arm_there(void *unused)
{
	ck_assert(is_quiet());
	return unused;
}

START_TEST(armed_by_a_thread_that_ends)
{
	pthread_t thread;

	begin(_i);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, arm_there, NULL), 0);
		pthread_join(thread, NULL);
		flow_send_int(publisher, i);
		expect_next(i);
		ck_assert(is_quiet());
	}
	end();
}
END_TEST

/* The subscriber goes to a fresh region, so the word that its descriptor waits for is another
 * one. */
START_TEST(in_a_fresh_region_too)
{
	begin(_i);
	ck_assert(is_quiet());
	for (int i = 0; i < 3; i++) {
		unsigned before = told.count;

		test_broker_kill(&broker);
		dispatch_until(client, before + 1);
		ck_assert(is_quiet());
		test_broker_resume(&broker);
		dispatch_until(client, before + 4);
		/* a receive goes over to it */
		ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
		ck_assert(is_quiet());
		flow_send_int(publisher, i);
		expect_next(i);
		ck_assert(is_quiet());
	}
	ck_assert_int_eq(kickmsg_subscriber_get_fd(subscriber), fd);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	end();
}
END_TEST

START_TEST(a_topic_given_up_is_readable_and_says_so)
{
	begin(_i);
	ck_assert(is_quiet());
	const struct km_region *region = &publisher->handle.place.region;
	km_live_give_up(region, region->header->live);
	ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
	ck_assert_int_eq(flow_receive_int(subscriber), -ESTALE);
	ck_assert(is_readable(fd));
	end();
}
END_TEST

START_TEST(an_unlinked_topic_goes_on)
{
	begin(_i);
	ck_assert(is_quiet());
	ck_assert_int_eq(kickmsg_unlink_topic(client, TOPIC), 0);
	flow_send_int(publisher, 1);
	expect_next(1);
	ck_assert(is_quiet());
	end();
}
END_TEST

START_TEST(without_descriptors_it_is_usable_by_receive)
{
	struct kickmsg_subscriber *other;
	struct rlimit before, none;

	begin(_i);
	other = flow_subscribe(client, TOPIC);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(kickmsg_subscriber_get_fd(other), -EMFILE);
	flow_send_int(publisher, 3);
	ck_assert_int_eq(flow_receive_int(other), 3);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0); /* poll(2) heeds it too */
	expect_next(3);
	ck_assert(is_quiet());
	ck_assert_int_ge(kickmsg_subscriber_get_fd(other), 3);
	end();
}
END_TEST

#define MANY 200

START_TEST(many_of_a_client)
{
	static struct kickmsg_subscriber *subscribers[MANY];
	struct kickmsg_client_info info;
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);
	struct kickmsg_publisher *to_all;
	int value = -1;

	begin(_i);
	config.max_subscribers = MANY;
	to_all = flow_advertise(client, "many", &config);
	size_t fds = test_fd_count(getpid());
	for (int i = 0; i < MANY; i++) {
		subscribers[i] = flow_subscribe(client, "many");
		ck_assert_int_ge(kickmsg_subscriber_get_fd(subscribers[i]), 3);
		ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
	}
	kickmsg_client_get_info(client, &info);
	ck_assert_int_eq(
		info.wait_mechanism, by_futex_waitv(_i) ? KICKMSG_WAIT_THREAD : KICKMSG_WAIT_URING);
	ck_assert_uint_eq(info.wait_rings, by_futex_waitv(_i) ? 0 : 64);
	ck_assert_uint_eq(info.wait_threads, by_futex_waitv(_i) ? 2 : 1);
	ck_assert_uint_le(test_fd_count(getpid()), fds + MANY + 65);
	for (int round = 0; round < 3; round++) {
		flow_send_int(to_all, round);
		for (int i = 0; i < MANY; i++) {
			int of = kickmsg_subscriber_get_fd(subscribers[i]);

			do
				ck_assert(is_readable_in(of, FLOW_WAIT_MS));
			while ((value = flow_receive_int(subscribers[i])) == -EAGAIN);
			ck_assert_int_eq(value, round);
			ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
		}
	}
	for (int i = 0; i < MANY; i++)
		kickmsg_subscriber_free(subscribers[i]);
	/* the thread's ring stays */
	ck_assert_uint_le(test_fd_count(getpid()), fds + (_i < 2));
	end();
}
END_TEST

/* How often the library's thread has gone to sleep. */
static long sleeps_of_thread(void)
{
	char path[64], line[128];
	long sleeps = -1;
	DIR *tasks = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *task; sleeps < 0 && (task = readdir(tasks));) {
		snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
		int tid = atoi(task->d_name); /* 0: "." or ".." */
		FILE *status = tid == 0 || tid == getpid() ? NULL : fopen(path, "r");

		while (status && fgets(line, sizeof line, status))
			sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
		if (status)
			fclose(status);
	}
	closedir(tasks);
	return sleeps;
}

static unsigned receive_from_the_readable(struct kickmsg_subscriber **from, unsigned count)
{
	unsigned readable = 0;

	for (unsigned i = 0; i < count; i++)
		if (is_readable(kickmsg_subscriber_get_fd(from[i]))) {
			ck_assert_int_eq(flow_receive_int(from[i]), -EAGAIN);
			readable++;
		}
	return readable;
}

static bool is_at_rest(int epoll, struct kickmsg_subscriber **all, unsigned count)
{
	unsigned readable = receive_from_the_readable(all, count);
	struct epoll_event event;
	long before = sleeps_of_thread();

	return readable == 0 && epoll_wait(epoll, &event, 1, 50) == 0 &&
	       sleeps_of_thread() == before;
}

START_TEST(a_thousand_idle_ones_have_one_thread)
{
	enum { THOUSAND = 1000 };
	static struct kickmsg_subscriber *idle[THOUSAND];
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);
	struct kickmsg_client_info info;
	struct rlimit limit;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	setenv("KICKMSG_WAIT", "uring", 1);
	test_broker_start(&broker, "[limits]\nclient_endpoints = 2000\n");
	client = flow_client("idle");
	config.max_subscribers = THOUSAND;
	struct kickmsg_publisher *to_all = flow_advertise(client, "idle", &config);
	unsigned fds = test_fd_count(getpid());
	for (int i = 0; i < THOUSAND; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		idle[i] = flow_subscribe(client, "idle");
		ck_assert_int_eq(
			epoll_ctl(epoll, EPOLL_CTL_ADD, kickmsg_subscriber_get_fd(idle[i]), &event),
			0);
	}
	for (int i = 0; i < THOUSAND; i++)
		ck_assert_int_eq(flow_receive_int(idle[i]), -EAGAIN);
	kickmsg_client_get_info(client, &info);
	ck_assert_uint_eq(info.wait_threads, 1);
	ck_assert_uint_eq(info.wait_rings, 0);
	/* the thread has one descriptor more */
	ck_assert_uint_eq(test_fd_count(getpid()), fds + THOUSAND + 1);
	for (int i = 0; i < 100 && !is_at_rest(epoll, idle, THOUSAND); i++)
		ck_assert_int_lt(i, 99);
	flow_send_int(to_all, 7);
	for (int i = 0; i < THOUSAND; i++) {
		ck_assert(is_readable_in(kickmsg_subscriber_get_fd(idle[i]), FLOW_WAIT_MS));
		ck_assert_int_eq(flow_receive_int(idle[i]), 7);
	}
	close(epoll);
	end();
}
END_TEST

/* The first ones were armed by rings of their own before there were many. Each keeps its ring until it is
 * armed again, and none misses a message. */
START_TEST(first_ones_of_many_go_over_to_the_thread)
{
	enum { ALL = KM_WATCH_MANY + 1 };
	static struct kickmsg_subscriber *subscribers[ALL];
	struct kickmsg_topic_config config = *over(_i);
	struct kickmsg_client_info info;
	struct kickmsg_publisher *to[ALL];
	char name[16];

	setenv("KICKMSG_WAIT", "uring", 1);
	test_broker_start(&broker, "[limits]\nclient_endpoints = 2000\n");
	client = flow_client("many");
	for (int i = 0; i < ALL; i++) {
		snprintf(name, sizeof name, "t%d", i);
		to[i] = flow_advertise(client, name, &config);
		subscribers[i] = flow_subscribe(client, name);
		ck_assert_int_ge(kickmsg_subscriber_get_fd(subscribers[i]), 3);
		ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
	}
	for (int round = 0; round < 3; round++) {
		kickmsg_client_get_info(client, &info);
		ck_assert_uint_eq(info.wait_rings, round == 0 ? KM_WATCH_RINGS : 0);
		ck_assert_uint_eq(info.wait_threads, 1);
		for (int i = 0; i < ALL; i++) {
			int value;

			flow_send_int(to[i], round);
			do
				ck_assert(is_readable_in(
					kickmsg_subscriber_get_fd(subscribers[i]), FLOW_WAIT_MS));
			while ((value = flow_receive_int(subscribers[i])) == -EAGAIN);
			ck_assert_int_eq(value, round);
			ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
		}
	}
	end();
}
END_TEST

/* A sandbox is set up behind the program's beginning. The thread looks each millisecond then. */
START_TEST(those_of_the_thread_go_on_where_io_uring_is_forbidden)
{
	static struct kickmsg_subscriber *subscribers[MANY];
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);
	struct kickmsg_publisher *to_all;

	begin(1);
	config.max_subscribers = MANY;
	to_all = flow_advertise(client, "many", &config);
	for (int i = 0; i < MANY; i++) {
		subscribers[i] = flow_subscribe(client, "many");
		ck_assert_int_ge(kickmsg_subscriber_get_fd(subscribers[i]), 3);
		ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
	}
	ck_assert(test_refuse(SYS_io_uring_setup, EPERM));
	ck_assert(test_refuse(SYS_io_uring_enter, EPERM));
	for (int round = 0; round < 3; round++) {
		flow_send_int(to_all, round);
		for (int i = 64; i < MANY; i++) {
			int value, of = kickmsg_subscriber_get_fd(subscribers[i]);

			do
				ck_assert(is_readable_in(of, FLOW_WAIT_MS));
			while ((value = flow_receive_int(subscribers[i])) == -EAGAIN);
			ck_assert_int_eq(value, round);
			ck_assert_int_eq(flow_receive_int(subscribers[i]), -EAGAIN);
		}
	}
	end();
}
END_TEST

/* The descriptors of one bell share its word: arming one is no message for the others. The last one
 * in the thread's list has another bell: when it is readable, the thread has looked at all. */
START_TEST(many_of_one_bell_come_to_rest)
{
	enum { OF_BELL = 100, LOOKS = 20 };
	struct kickmsg_subscriber *of_bell[OF_BELL];
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);
	unsigned readable = 0;

	begin(_i);
	config.max_subscribers = OF_BELL;
	flow_advertise(client, "many", &config);
	for (int i = 0; i < OF_BELL; i++) {
		of_bell[i] = flow_subscribe(client, "many");
		ck_assert_int_ge(kickmsg_subscriber_get_fd(of_bell[i]), 3);
	}
	kickmsg_subscriber_free(subscriber);
	subscriber = flow_subscribe(client, TOPIC);
	fd = kickmsg_subscriber_get_fd(subscriber);
	for (int i = 0; i < LOOKS; i++) {
		readable += receive_from_the_readable(of_bell, OF_BELL);
		ck_assert(is_quiet());
		flow_send_int(publisher, i);
		expect_next(i);
	}
	/* at first, and once if the thread looked while the first one was armed */
	ck_assert_uint_le(readable, 2 * OF_BELL);
	end();
}
END_TEST

/* The descriptor's copies in a child are closed; the parent's goes on. */
START_TEST(a_child_of_fork_has_none)
{
	int status;

	begin(_i);
	ck_assert(is_quiet());
	pid_t pid = fork();
	if (pid == 0) {
		bool good = kickmsg_subscriber_get_fd(subscriber) == -ECHILD &&
			    fcntl(fd, F_GETFD) == -1 && flow_receive_int(subscriber) == -ECHILD;

		kickmsg_client_free(client);
		_exit(good ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	flow_send_int(publisher, 1);
	expect_next(1);
	ck_assert(is_quiet());
	end();
}
END_TEST

/* --- observers -------------------------------------------------------------------------- */

/* Puts an observer in the place of the fixture's subscriber. */
static void begin_observing(int i)
{
	const struct kickmsg_subscribe_options observes = { .observe = 1 };

	begin(i);
	kickmsg_subscriber_free(subscriber);
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, &observes, &subscriber), 0);
	fd = kickmsg_subscriber_get_fd(subscriber);
	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(kickmsg_subscriber_get_fd(subscriber), fd);
}

START_TEST(an_observer_looks_less_and_less_often)
{
	static const int ms[] = { 1, 2, 4, 8, 16, 16 };
	const struct km_watched *watched;

	begin_observing(_i);
	watched = &subscriber->ready->watched;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++) {
			ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
			ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
			ck_assert_int_eq(watched->look_ns, ms[i] * 1000000);
		}
		flow_send_int(publisher, round);
		expect_next(round);
		ck_assert(is_readable(fd));
	}
	end();
}
END_TEST

START_TEST(an_observer_counts_all)
{
	begin_observing(_i);
	count_all(watch(fd, EPOLLIN));
	end();
}
END_TEST

/* The bell says that nobody is to be woken, before and after. */
START_TEST(a_publisher_knows_nothing_of_an_observer)
{
	begin_observing(_i);
	const _Atomic uint32_t *bell = &publisher->handle.place.region.bell->word;
	flow_send_int(publisher, 0);
	expect_next(0);
	uint32_t word = *bell;
	for (int i = 1; i < 10; i++) {
		ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
		flow_send_int(publisher, i);
		expect_next(i);
	}
	ck_assert_uint_eq(*bell, word);
	ck_assert_ptr_null(subscriber->handle.place.region.bell);
	end();
}
END_TEST

START_TEST(an_observer_in_a_fresh_region_and_given_up)
{
	int value = 0, r;

	begin_observing(_i);
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	do { /* until it hears the publisher there */
		flow_send_int(publisher, ++value);
		kickmsg_client_dispatch(client);
		ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
		r = flow_receive_int(subscriber);
	} while (!subscriber->handle.place.rejoined || r < 0);
	ck_assert_int_eq(kickmsg_subscriber_get_fd(subscriber), fd);
	const struct km_region *region = &publisher->handle.place.region;
	km_live_give_up(region, region->header->live);
	ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
	while (flow_receive_int(subscriber) != -ESTALE)
		ck_assert(is_readable_in(fd, FLOW_WAIT_MS));
	ck_assert(is_readable(fd));
	end();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("ready");
	Suite *suite = suite_create("ready");
	int first = test_has_uring() ? 0 : 2, end = test_has_uring() ? CASES : 4;

	if (first > 0)
		printf("no io_uring with FUTEX_WAIT here: its cases are left out\n");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, readable_while_a_message_waits, first, end);
	tcase_add_loop_test(tcase, message_before_the_first_look_is_seen, first, end);
	tcase_add_loop_test(tcase, all_are_counted_level_triggered, first, end);
	tcase_add_loop_test(tcase, all_are_counted_edge_triggered, first, end);
	tcase_add_loop_test(tcase, all_are_counted_by_a_copy_in_another_epoll, first, end);
	tcase_add_loop_test(tcase, a_receive_that_sleeps_and_the_descriptor, first, end);
	tcase_add_loop_test(tcase, armed_by_a_thread_that_ends, first, end);
	tcase_add_loop_test(tcase, in_a_fresh_region_too, first, end);
	tcase_add_loop_test(tcase, a_topic_given_up_is_readable_and_says_so, first, end);
	tcase_add_loop_test(tcase, an_unlinked_topic_goes_on, first, end);
	tcase_add_loop_test(tcase, without_descriptors_it_is_usable_by_receive, first, end);
	tcase_add_loop_test(tcase, many_of_a_client, first, end);
	tcase_add_loop_test(tcase, many_of_one_bell_come_to_rest, 3, 4);
	tcase_add_loop_test(tcase, many_of_one_bell_come_to_rest, 5, end);
	tcase_add_loop_test(tcase, a_child_of_fork_has_none, first, end);
	if (end == CASES)
		tcase_add_test(tcase, a_thousand_idle_ones_have_one_thread);
	if (end == CASES)
		tcase_add_loop_test(tcase, first_ones_of_many_go_over_to_the_thread, 0, 2);
	if (first < 2)
		tcase_add_test(tcase, those_of_the_thread_go_on_where_io_uring_is_forbidden);
	for (int i = first + 1; i < end; i += 2) { /* of a shared ring alone */
		tcase_add_loop_test(tcase, an_observer_looks_less_and_less_often, i, i + 1);
		tcase_add_loop_test(tcase, an_observer_counts_all, i, i + 1);
		tcase_add_loop_test(tcase, a_publisher_knows_nothing_of_an_observer, i, i + 1);
		tcase_add_loop_test(tcase, an_observer_in_a_fresh_region_and_given_up, i, i + 1);
	}
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
