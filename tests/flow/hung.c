/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that hangs: nobody waits for it twice, whoever frees something doesn't wait at all, and
 * when it goes on it knows what has ended meanwhile. The time that the library gives to ppoll(2) is counted:
 * how long calls take is the machine's affair. */
#include <poll.h>

#include "common/clock.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

#define TIMEOUT_NS INT64_C(2000000000)
#define MANY       1000 /* more than the socket takes while nobody reads */

static struct kickmsg_client *client;
static struct kickmsg_publisher *publishers[MANY];

/* Stands in for the ppoll(2) that the library waits by. */
static int64_t granted_ns;

int __real_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);

int __wrap_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	ck_assert_ptr_nonnull(timeout);
	granted_ns += timeout->tv_sec * INT64_C(1000000000) + timeout->tv_nsec;
	return __real_ppoll(fds, count, timeout, mask);
}

static void setup(void)
{
	test_broker_start(&broker, "[limits]\nclient_endpoints = 1000\n");
	struct kickmsg_client_config config = {
		.name = "patient", .socket_path = broker.socket, .timeout_ns = TIMEOUT_NS
	};
	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
}

static void teardown(void)
{
	flow_stop();
}

static void advertise(unsigned count, uint32_t max)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.max_publishers = max;
	for (unsigned i = 0; i < count; i++)
		publishers[i] = flow_advertise(client, "t", &config);
}

static uint32_t count_publishers(struct kickmsg_client *of)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(of, &ref, &info) == 0 ? info.publishers : 0;
}

START_TEST(free_never_waits)
{
	struct kickmsg_subscriber *subscriber;

	advertise(20, 64);
	subscriber = flow_subscribe(client, "t");
	kill(broker.pid, SIGSTOP);
	granted_ns = 0;
	for (int i = 0; i < 19; i++)
		kickmsg_publisher_free(publishers[i]);
	kickmsg_subscriber_free(subscriber);
	kickmsg_client_free(client);
	ck_assert_int_eq(granted_ns, 0);
	kill(broker.pid, SIGCONT);
	client = flow_client("next");
	ck_assert(test_wait_until(count_publishers(client) == 0, FLOW_WAIT_MS));
	kickmsg_client_free(client);
	/* the client left in order: nobody has died */
	ck_assert(!test_broker_logged(&broker, "client died (its process"));
	ck_assert(!test_broker_logged(&broker, "with 1 endpoints"));
}
END_TEST

/* Words that the socket doesn't take are said by a later call of the client. The last endpoint's
 * end is what shows that all were said. */
START_TEST(more_than_the_socket_takes_is_said_later)
{
	advertise(MANY, MANY);
	kill(broker.pid, SIGSTOP);
	granted_ns = 0;
	for (int i = 0; i < MANY - 1; i++)
		kickmsg_publisher_free(publishers[i]);
	ck_assert_int_eq(granted_ns, 0);
	kill(broker.pid, SIGCONT);
	struct kickmsg_client *other = flow_client("other");
	for (int i = 0; i < 1000 && count_publishers(other) > 1; i++) {
		struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };

		if (poll(&readable, 1, 10) > 0)
			ck_assert_int_ge(kickmsg_client_dispatch(client), 0);
	}
	ck_assert_uint_eq(count_publishers(other), 1);
	/* nothing is left to say */
	struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };
	ck_assert_int_eq(poll(&readable, 1, 0), 0);
	ck_assert_int_eq(kickmsg_send(publishers[MANY - 1], "x", 1), 1);
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

static uint32_t count_dead(struct kickmsg_client *of)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_diagnosis diagnosis = { .dead = UINT32_MAX };

	kickmsg_topic_diagnose(of, &ref, &diagnosis);
	return diagnosis.dead;
}

/* A client ends with more than the socket takes to be said: so does each endpoint of it, in good
 * order, and no operator is needed. The index: how many were freed before. */
START_TEST(client_that_ends_says_so_for_all)
{
	struct kickmsg_subscriber *subscriber;
	static const unsigned freed[] = { 0, MANY / 2, MANY };

	flow_stop();
	test_broker_start(
		&broker, "[limits]\nclient_endpoints = 1001\n[recovery]\nautomatic = no\n");
	kickmsg_client_free(client);
	client = flow_client("many");
	struct kickmsg_client *other = flow_client("other");
	advertise(MANY, MANY);
	subscriber = flow_subscribe(client, "t");
	flow_subscribe(other, "t");
	kill(broker.pid, SIGSTOP);
	granted_ns = 0;
	for (unsigned i = 0; i < freed[_i]; i++)
		kickmsg_publisher_free(publishers[i]);
	if (freed[_i] == MANY)
		kickmsg_subscriber_free(subscriber);
	kickmsg_client_free(client);
	ck_assert_int_eq(granted_ns, 0);
	kill(broker.pid, SIGCONT);
	ck_assert(test_wait_until(count_publishers(other) == 0, FLOW_WAIT_MS));
	ck_assert_uint_eq(count_dead(other), 0);
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	/* a client that dies says something else */
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "client left (it maps its memory no more)"),
		FLOW_WAIT_MS));
	/* the places are there again */
	client = other;
	advertise(MANY, MANY);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(broker_is_waited_for_once)
{
	struct kickmsg_topic_ref ref = { .name = "none" };
	struct kickmsg_topic_info info;
	struct kickmsg_publisher *late;
	int r;

	advertise(1, 64);
	kill(broker.pid, SIGSTOP);
	int64_t start = km_clock_ns();
	ck_assert_int_eq(kickmsg_advertise(client, "late", NULL, &late), -ETIMEDOUT);
	ck_assert_int_ge(km_clock_ns() - start, TIMEOUT_NS);
	granted_ns = 0;
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ETIMEDOUT);
		ck_assert(flow_said(client, "did not answer in time"));
	}
	ck_assert_int_lt(granted_ns, TIMEOUT_NS);
	kill(broker.pid, SIGCONT);
	ck_assert(test_wait_until(
		(r = kickmsg_topic_get_info(client, &ref, &info)) != -ETIMEDOUT, FLOW_WAIT_MS));
	ck_assert_int_eq(r, -ENOENT);
	/* what came too late wasn't wanted any more */
	ref.name = "late";
	ck_assert(test_wait_until(
		kickmsg_topic_get_info(client, &ref, &info) == -ENOENT, FLOW_WAIT_MS));
	/* a broker that answers is waited for as before */
	kill(broker.pid, SIGSTOP);
	start = km_clock_ns();
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ETIMEDOUT);
	ck_assert_int_ge(km_clock_ns() - start, TIMEOUT_NS);
	kill(broker.pid, SIGCONT);
	kickmsg_client_free(client);
}
END_TEST

static void *ask(void *answer)
{
	struct kickmsg_topic_ref ref = { .name = "none" };
	struct kickmsg_topic_info info;

	*(_Atomic int *)answer = kickmsg_topic_get_info(client, &ref, &info);
	return NULL;
}

/* A free doesn't wait while another thread waits for the broker. That thread has its answer in the
 * end. */
START_TEST(free_doesnt_wait_for_who_waits)
{
	_Atomic int answer = 1;
	pthread_t thread;

	advertise(20, 64);
	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask, (void *)&answer), 0);
	/* the other thread has the client's turn, and sleeps */
	ck_assert(test_wait_until(pthread_mutex_trylock(&client->turn) != 0 ||
					  (pthread_mutex_unlock(&client->turn), false),
		FLOW_WAIT_MS));
	for (int i = 0; i < 20; i++)
		kickmsg_publisher_free(publishers[i]);
	ck_assert_int_eq(answer, 1);
	kill(broker.pid, SIGCONT);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(answer, -ENOENT);
	ck_assert_uint_eq(count_publishers(client), 0);
	kickmsg_client_free(client);
}
END_TEST

/* The connection is gone, and the next broker hangs before hello. */
START_TEST(reconnecting_is_waited_for_once)
{
	struct kickmsg_topic_ref ref = { .name = "none" };
	struct kickmsg_topic_info info;

	test_broker_kill(&broker);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ENOTCONN);
	test_broker_resume(&broker);
	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ETIMEDOUT);
	granted_ns = 0;
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ETIMEDOUT);
	ck_assert_int_lt(granted_ns, TIMEOUT_NS);
	kill(broker.pid, SIGCONT);
	ck_assert(test_wait_until(
		kickmsg_topic_get_info(client, &ref, &info) == -ENOENT, FLOW_WAIT_MS));
	kickmsg_client_free(client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hung");
	TCase *tcase = tcase_create("hung");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 100);
	tcase_add_test(tcase, free_never_waits);
	tcase_add_test(tcase, more_than_the_socket_takes_is_said_later);
	tcase_add_loop_test(tcase, client_that_ends_says_so_for_all, 0, 3);
	tcase_add_test(tcase, broker_is_waited_for_once);
	tcase_add_test(tcase, free_doesnt_wait_for_who_waits);
	tcase_add_test(tcase, reconnecting_is_waited_for_once);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
