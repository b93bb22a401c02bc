/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receive that is interrupted: by another thread, by a signal handler, before it sleeps and while it
 * does, exactly once. The index of a case is the transport.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/told.h"

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;

static void begin(int transport, const struct kickmsg_subscribe_options *options)
{
	test_broker_start(&broker, NULL);
	client = flow_client("interrupted");
	publisher = flow_advertise(client, TOPIC, over(transport));
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, options, &subscriber), 0);
}

static void end(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static int receive(int64_t timeout_ns)
{
	int value = -1;
	ssize_t n = kickmsg_receive_copy(subscriber, &value, sizeof value, timeout_ns);

	return n == sizeof value ? value : (int)n;
}

/* Is this thread asleep in futex(2)? /proc has the number that the machine's kernel knows, which under
 * an emulator is an x86-64's. */
static bool sleeps(pid_t tid)
{
	char path[64], call[16] = "";

	snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
	FILE *file = fopen(path, "re");
	ck_assert(file);
	bool read = fscanf(file, "%15s", call) == 1;
	fclose(file);
	return read && atoi(call) == (test_is_emulated() ? 202 : SYS_futex);
}

struct sleeper {
	pthread_t thread;
	_Atomic pid_t tid;
	int64_t timeout_ns;
	int result;
};

static void *sleep_there(void *argument)
{
	struct sleeper *sleeper = argument;

	sleeper->tid = gettid();
	sleeper->result = receive(sleeper->timeout_ns);
	return NULL;
}

static void start(struct sleeper *sleeper, int64_t timeout_ns)
{
	*sleeper = (struct sleeper){ .timeout_ns = timeout_ns };
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleep_there, sleeper), 0);
	ck_assert(test_wait_until(sleeper->tid != 0, FLOW_WAIT_MS));
	ck_assert(test_wait_until(sleeps(sleeper->tid), FLOW_WAIT_MS));
}

static int join(struct sleeper *sleeper)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FLOW_WAIT_MS / 1000;
	ck_assert_int_eq(pthread_timedjoin_np(sleeper->thread, NULL, &until), 0);
	return sleeper->result;
}

START_TEST(thread_ends_a_sleep_for_ever)
{
	struct sleeper sleeper;

	begin(_i, NULL);
	for (int i = 0; i < 50; i++) {
		start(&sleeper, -1);
		kickmsg_subscriber_interrupt(subscriber);
		ck_assert_int_eq(join(&sleeper), -EINTR);
	}
	ck_assert_int_eq(receive(1), -ETIMEDOUT);
	end();
}
END_TEST

START_TEST(asked_before_next_that_would_sleep_once)
{
	begin(_i, NULL);
	kickmsg_subscriber_interrupt(subscriber);
	kickmsg_subscriber_interrupt(subscriber);
	ck_assert_int_eq(receive(0), -EAGAIN);
	flow_send_int(publisher, 7);
	ck_assert_int_eq(receive(-1), 7);
	ck_assert_int_eq(receive(-1), -EINTR);
	ck_assert_int_eq(receive(1), -ETIMEDOUT);
	end();
}
END_TEST

static void ask(int signal)
{
	(void)signal;
	kickmsg_subscriber_interrupt(subscriber);
}

static void ignore(int signal)
{
	(void)signal;
}

static void handle(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

START_TEST(handler_that_asks_ends_it)
{
	struct sleeper sleeper;

	begin(_i, NULL);
	handle(ask, SA_RESTART);
	for (int i = 0; i < 50; i++) {
		start(&sleeper, -1);
		pthread_kill(sleeper.thread, SIGUSR1);
		ck_assert_int_eq(join(&sleeper), -EINTR);
	}
	end();
}
END_TEST

START_TEST(handler_alone_ends_only_who_wants_it)
{
	const struct kickmsg_subscribe_options interruptible = { .interruptible = 1 };
	struct sleeper sleeper;

	begin(_i, &interruptible);
	handle(ignore, SA_RESTART);
	start(&sleeper, -1);
	pthread_kill(sleeper.thread, SIGUSR1);
	ck_assert_int_eq(join(&sleeper), -EINTR);
	kickmsg_subscriber_free(subscriber);

	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, NULL, &subscriber), 0);
	start(&sleeper, -1);
	for (int i = 0; i < 20; i++)
		pthread_kill(sleeper.thread, SIGUSR1);
	ck_assert(test_wait_until(sleeps(sleeper.tid), FLOW_WAIT_MS));
	flow_send_int(publisher, 3);
	ck_assert_int_eq(join(&sleeper), 3);
	end();
}
END_TEST

/* The receive has a spin that is longer than the test may last. */
START_TEST(asked_while_it_spins)
{
	const struct kickmsg_subscribe_options spins = { .spin_ns = UINT64_C(3600000000000) };

	begin(_i, &spins);
	kickmsg_subscriber_interrupt(subscriber);
	ck_assert_int_eq(receive(-1), -EINTR);
	end();
}
END_TEST

/* A spin that ends with the receive's own time was none in vain. */
START_TEST(spins_as_long_as_can_be)
{
	const struct kickmsg_subscribe_options spins = { .spin_ns = UINT64_MAX };

	begin(_i, &spins);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(receive(5000000), -ETIMEDOUT);
	ck_assert_uint_eq(subscriber->spins_in_vain, 0);
	end();
}
END_TEST

/* An interruption finds the word at which the receive sleeps, also after the subscriber went to
 * another region. */
START_TEST(in_a_fresh_region_too)
{
	struct sleeper sleeper;

	test_broker_start(&broker, NULL);
	client = told_client("interrupted");
	publisher = flow_advertise(client, TOPIC, over(_i));
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, NULL, &subscriber), 0);
	test_broker_kill(&broker);
	dispatch_until(client, 1);
	test_broker_resume(&broker);
	dispatch_until(client, 4);
	flow_send_int(publisher, 1);
	ck_assert_int_eq(receive(-1), 1);
	start(&sleeper, -1);
	kickmsg_subscriber_interrupt(subscriber);
	ck_assert_int_eq(join(&sleeper), -EINTR);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	end();
}
END_TEST

START_TEST(observer_too)
{
	const struct kickmsg_subscribe_options observes = { .observe = 1, .interruptible = 1 };

	begin(KICKMSG_TRANSPORT_SHARED, &observes);
	kickmsg_subscriber_interrupt(subscriber);
	ck_assert_int_eq(receive(-1), -EINTR);
	ck_assert_int_eq(receive(1), -ETIMEDOUT);
	end();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("interrupt");
	Suite *suite = suite_create("interrupt");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, thread_ends_a_sleep_for_ever, 0, 2);
	tcase_add_loop_test(tcase, asked_before_next_that_would_sleep_once, 0, 2);
	tcase_add_loop_test(tcase, handler_that_asks_ends_it, 0, 2);
	tcase_add_loop_test(tcase, handler_alone_ends_only_who_wants_it, 0, 2);
	tcase_add_loop_test(tcase, asked_while_it_spins, 0, 2);
	tcase_add_loop_test(tcase, spins_as_long_as_can_be, 0, 2);
	tcase_add_loop_test(tcase, in_a_fresh_region_too, 0, 2);
	tcase_add_test(tcase, observer_too);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
