/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and wait sets while messages come: closed and opened again, dup'ed, in two epolls, moved
 * between threads, with a broker that is killed and started again. The publisher sends a burst, and
 * the next only once every subscriber has taken the last message or counted it as lost. So no later
 * wake makes a lost one good, and the books are exact at each burst's end.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tests/support/broker/told.h"
#include "tests/support/uring.h"

#define BEGINS   4 /* subscribers */
#define CAPACITY 4
#define BURST    7
#define NS       INT64_C(1000000)

struct member {
	struct kickmsg_subscriber *subscriber;
	int fd, copy;
	int first, last;         /* values; -1: none has come yet */
	uint64_t received, lost; /* since the end of the burst with `first` */
};

static struct kickmsg_client *client, *sender;
static struct kickmsg_publisher *publisher;
static struct kickmsg_waitset *set;
static struct member members[BEGINS];
static int epolls[2];
static bool reopens, sleeps_at_words, restarts;
static _Atomic int target, taken; /* a burst's last value, and the value all have */
static _Atomic bool is_over, ended;
static int bursts;

static unsigned random_below(unsigned *state, unsigned bound)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 16) % bound;
}

/* --- the publisher's thread ------------------------------------------------------------------------- */

static void say_all(void)
{
	for (int i = 0; i < BEGINS; i++) {
		const struct member *of = &members[i];
		struct pollfd polled = { of->fd, POLLIN, 0 };

		fprintf(stderr, "first %d, last %d, received %lu, lost %lu, readable %d\n",
			of->first, of->last, of->received,
			kickmsg_subscriber_lost(of->subscriber) - of->lost, poll(&polled, 1, 0));
	}
}

static bool await_all(int value, int timeout_ms)
{
	return test_wait_until((kickmsg_client_dispatch(sender), taken == value), timeout_ms);
}

static void *send_bursts(void *unused)
{
	unsigned state = 7;
	int value = 0;

	for (int i = 0; i < bursts; i++) {
		target = value + 1 + (int)random_below(&state, BURST);
		while (value < target)
			flow_send_int(publisher, ++value);
		if (set && i % 3 == 0)
			kickmsg_waitset_interrupt(set);
		bool all = await_all(value, restarts ? 1000 : 2 * FLOW_WAIT_MS);
		/* a ring that was opened in a fresh region shows what it lost by its next
		 * message */
		for (int more = 0; restarts && !all && more < 20; more++) {
			target = value + 1;
			flow_send_int(publisher, ++value);
			all = await_all(value, 1000);
		}
		if (!all)
			say_all();
		ck_assert_msg(all, "a lost wake: %d of %d are taken", taken, value);
	}
	is_over = true;
	/* the last message ends the reader's wait */
	flow_send_int(publisher, ++value);
	return unused;
}

static void *restart_brokers(void *unused)
{
	while (!is_over) {
		test_broker_kill(&broker);
		usleep(50000);
		test_broker_resume(&broker);
		for (int i = 0; i < 50 && !is_over; i++)
			usleep(10000);
	}
	/* a broker dies with the thread that started it */
	ck_assert(test_wait_until(ended, FLOW_WAIT_MS));
	flow_stop();
	return unused;
}

/* --- the reader ---------------------------------------------------------------------------------------- */

static void watch(int epoll, int fd, struct member *member)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = member };

	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void open_member(struct member *member)
{
	*member = (struct member){ .first = -1, .last = -1, .fd = -1, .copy = -1 };
	member->subscriber = flow_subscribe(client, TOPIC);
	if (set) {
		ck_assert_int_eq(
			kickmsg_waitset_add_subscriber(set, member->subscriber, member), 0);
		return;
	}
	member->fd = kickmsg_subscriber_get_fd(member->subscriber);
	member->copy = dup(member->fd);
	ck_assert_int_ge(member->copy, 0);
	watch(epolls[0], member->fd, member);
	watch(epolls[1], member->copy, member);
}

static void close_member(struct member *member)
{
	if (set)
		ck_assert_int_eq(kickmsg_waitset_remove(set, member), 0);
	else
		close(member->copy);
	kickmsg_subscriber_free(member->subscriber);
}

static void take(struct member *member)
{
	int value;

	while ((value = flow_receive_int(member->subscriber)) >= 0) {
		ck_assert_int_gt(value, member->last);
		member->last = value;
		member->received++;
	}
	ck_assert_int_eq(value, -EAGAIN);
}

/* Does the subscriber have everything up to this value? A message to a region that was left may be
 * counted as lost. */
static bool has_all_to(const struct member *of, int value)
{
	uint64_t lost = kickmsg_subscriber_lost(of->subscriber);

	return of->last < 0 || of->last == value ||
	       (of->first >= 0 && of->received + lost - of->lost == (uint64_t)(value - of->first));
}

/* Have all subscribers that were there the last message of the burst? The counts are exact then. */
static bool is_burst_taken(void)
{
	int value = target;

	if (value == taken)
		return false;
	for (int i = 0; i < BEGINS; i++)
		if (!has_all_to(&members[i], value))
			return false;
	for (int i = 0; i < BEGINS; i++) {
		struct member *of = &members[i];
		uint64_t lost = kickmsg_subscriber_lost(of->subscriber);

		if (of->last < 0)
			continue;
		if (of->first < 0) { /* no publisher sends now, so counting starts here */
			of->first = of->last;
			of->received = 0;
			of->lost = lost;
		}
		ck_assert_uint_eq(of->received + lost - of->lost, value - of->first);
	}
	return true;
}

/* Waits by one of the two epolls, or by the set, and takes what is there. */
static void turn(unsigned *state)
{
	struct epoll_event events[BEGINS + 1];
	struct member *ready[BEGINS + 1];
	int n;

	if (set) {
		n = kickmsg_waitset_wait(set, FLOW_WAIT_MS * NS, (void **)ready, BEGINS + 1);
		if (n == -EINTR) { /* another thread is about to change the members */
			struct member *member = &members[random_below(state, BEGINS)];

			close_member(member);
			open_member(member);
			return;
		}
	} else {
		n = epoll_wait(epolls[random_below(state, 2)], events, BEGINS + 1, 100);
		/* a subscriber without an event isn't read, which would make good a lost wake */
		if (n == 0 || (n < 0 && errno == EINTR))
			return;
		for (int i = 0; i < n; i++)
			ready[i] = events[i].data.ptr;
	}
	ck_assert_msg(n > 0, "a lost wake (%d): %d of %d are taken", n, taken, target);
	for (int i = 0; i < n; i++) {
		if (ready[i])
			take(ready[i]);
		else
			kickmsg_client_dispatch(client);
	}
	if (reopens && random_below(state, 8) == 0) {
		struct member *member = &members[random_below(state, BEGINS)];

		close_member(member);
		open_member(member);
	}
}

static void *read_for_a_while(void *argument)
{
	unsigned *state = argument;

	for (int i = 0; i < 50 && !is_over; i++) {
		if (is_burst_taken())
			taken = target;
		else
			turn(state);
	}
	return NULL;
}

/* --- the cases ------------------------------------------------------------------------------------------- */

static void begin(int transport, const char *mechanism)
{
	struct kickmsg_topic_config config = *over(transport);

	setenv("KICKMSG_WAIT", mechanism, 1);
	test_broker_start(&broker, NULL);
	client = flow_client("reader");
	sender = flow_client("sender");
	config.ring_capacity = CAPACITY;
	publisher = flow_advertise(sender, TOPIC, &config);
	epolls[0] = epoll_create1(EPOLL_CLOEXEC);
	epolls[1] = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 2; i++)
		watch(epolls[i], kickmsg_client_get_fd(client), NULL);
}

static void run(void)
{
	pthread_t sending, restarting, reading;
	unsigned state = 3;

	if (set && !sleeps_at_words)
		ck_assert_int_eq(kickmsg_waitset_add_client(set, client, NULL), 0);
	for (int i = 0; i < BEGINS; i++)
		open_member(&members[i]);
	ck_assert_int_eq(pthread_create(&sending, NULL, send_bursts, NULL), 0);
	if (restarts)
		ck_assert_int_eq(pthread_create(&restarting, NULL, restart_brokers, NULL), 0);
	while (!is_over) {
		/* the cases run in turn in this thread and in others, which end */
		read_for_a_while(&state);
		ck_assert_int_eq(pthread_create(&reading, NULL, read_for_a_while, &state), 0);
		pthread_join(reading, NULL);
	}
	pthread_join(sending, NULL);
	for (int i = 0; i < BEGINS; i++)
		close_member(&members[i]);
	kickmsg_waitset_free(set);
	kickmsg_client_free(client);
	kickmsg_client_free(sender);
	ended = true;
	if (restarts)
		pthread_join(restarting, NULL);
	else
		flow_stop();
}

static bool begin_case(int i)
{
	static const char *const mechanisms[] = { "uring", "thread" };

	if (i < 2 && !test_has_uring())
		return false;
	begin(i % 2, mechanisms[i / 2]);
	return true;
}

START_TEST(descriptors_come_and_go)
{
	if (!begin_case(_i))
		return;
	bursts = 200;
	reopens = true;
	run();
}
END_TEST

START_TEST(brokers_come_and_go)
{
	if (!begin_case(_i))
		return;
	bursts = 200;
	restarts = true;
	run();
}
END_TEST

START_TEST(members_of_a_set_come_and_go)
{
	if (!begin_case(_i))
		return;
	bursts = 200;
	reopens = true;
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	run();
}
END_TEST

START_TEST(members_of_a_set_that_sleeps_at_words)
{
	if (!begin_case(_i))
		return;
	bursts = 200;
	reopens = true;
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	sleeps_at_words = true;
	run();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("waiting");
	Suite *suite = suite_create("waiting");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, brokers_come_and_go, 0, 4);
	tcase_add_loop_test(tcase, descriptors_come_and_go, 0, 4);
	tcase_add_loop_test(tcase, members_of_a_set_come_and_go, 0, 4);
	tcase_add_loop_test(tcase, members_of_a_set_that_sleeps_at_words, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
