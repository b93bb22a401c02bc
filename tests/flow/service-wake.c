/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server, one that stands by and a caller are woken by what they wait for. The thread that a case is about
 * sleeps without its time-out, so a look that nobody asked for can't hide a wake that is missing. The index of
 * a case is the transport.
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "libclient/endpoint/subscriber.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"

static _Thread_local bool is_patient;

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_futex_waitv && is_patient)
		d = 0;
	return __real_syscall(number, a, b, c, d, e, f);
}

static struct kickmsg_client *serving, *calling;
static struct kickmsg_service_config config;

/* Answers requests until it is interrupted. */
static void *serve(void *userdata)
{
	struct kickmsg_server *server = userdata;
	struct kickmsg_request request;
	int r;

	is_patient = true;
	while ((r = kickmsg_take_request(server, -1, &request)) == 0)
		ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	ck_assert_int_eq(r, -EINTR);
	return NULL;
}

static void setup(int i)
{
	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	kickmsg_service_config_init(&config);
	config.transport = i ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	config.max_callers = 64;
}

static struct kickmsg_server *new_server(struct kickmsg_client *client)
{
	struct kickmsg_server *server;

	ck_assert_int_eq(kickmsg_serve(client, "adder", &config, &server), 0);
	return server;
}

static struct kickmsg_caller *open_now(void)
{
	const struct kickmsg_caller_options options = { .wait_ns = FLOW_WAIT_MS *
								   UINT64_C(1000000) };
	struct kickmsg_caller *caller;

	ck_assert_int_eq(kickmsg_open_service(calling, "adder", &options, &caller), 0);
	return caller;
}

START_TEST(server_that_sleeps_is_woken_by_each_newcomer)
{
	pthread_t thread;

	setup(_i);
	struct kickmsg_server *server = new_server(serving);
	pthread_create(&thread, NULL, serve, server);
	for (int i = 0; i < 30; i++)
		open_now();
	kickmsg_server_interrupt(server);
	pthread_join(thread, NULL);
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}
END_TEST

START_TEST(server_that_stands_by_is_woken_when_it_is_to_serve)
{
	struct kickmsg_reply reply;
	pthread_t thread;

	setup(_i);
	struct kickmsg_client *standing = flow_client("standing");
	struct kickmsg_server *first = new_server(serving), *second = new_server(standing);
	pthread_create(&thread, NULL, serve, second);
	for (int i = 0; i < 10; i++) {
		pthread_t active;

		pthread_create(&active, NULL, serve, first);
		struct kickmsg_caller *caller = open_now();
		ck_assert_int_eq(kickmsg_call(caller, "x", 1, -1, &reply), 0);
		kickmsg_reply_release(&reply);
		kickmsg_server_interrupt(first);
		pthread_join(active, NULL);
		kickmsg_server_free(first);
		first = second;
		/* the broker may not have told yet that the first one is gone */
		int r;
		do {
			ck_assert_int_eq(
				kickmsg_caller_wait_server(caller, FLOW_WAIT_MS * INT64_C(1000000)),
				0);
			r = kickmsg_call(caller, "x", 1, -1, &reply);
		} while (r == -ECONNRESET || r == -ECONNREFUSED);
		ck_assert_int_eq(r, 0);
		kickmsg_reply_release(&reply);
		kickmsg_caller_free(caller);
		kickmsg_server_interrupt(second);
		pthread_join(thread, NULL);
		second = new_server(i % 2 ? standing : serving);
		pthread_create(&thread, NULL, serve, second);
	}
	kickmsg_server_interrupt(second);
	pthread_join(thread, NULL);
	kickmsg_client_free(calling);
	kickmsg_client_free(standing);
	kickmsg_client_free(serving);
	flow_stop();
}
END_TEST

static void *wait_for_server(void *userdata)
{
	is_patient = true;
	ck_assert_int_eq(kickmsg_caller_wait_server(userdata, -1), 0);
	return NULL;
}

START_TEST(caller_that_sleeps_is_woken_when_its_server_comes)
{
	struct kickmsg_request request;
	pthread_t thread;

	setup(_i);
	struct kickmsg_caller *caller;
	struct kickmsg_server *server = new_server(serving);
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", NULL, &caller), 0);
	kickmsg_server_free(server);
	for (int i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, wait_for_server, caller);
		server = new_server(serving);
		while (pthread_tryjoin_np(thread, NULL) == EBUSY)
			ck_assert_int_eq(
				kickmsg_take_request(server, 1000000, &request), -ETIMEDOUT);
		kickmsg_server_free(server);
	}
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}
END_TEST

/* --- by its descriptor ---------------------------------------------------------------------------- */

/* Takes what the descriptor tells of, and takes its timer away. */
static void take_in_vain(struct kickmsg_server *server)
{
	const struct itimerspec never = { 0 };
	struct kickmsg_request request;

	ck_assert_int_eq(kickmsg_take_request(server, 0, &request), -EAGAIN);
	ck_assert_int_eq(timerfd_settime(server->loop->timer, 0, &never, NULL), 0);
}

START_TEST(server_that_asked_too_early_is_told_when_its_caller_is_ready)
{
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE };
	struct kickmsg_subscriber *at_service;
	struct kickmsg_sample sample;
	struct km_channel channel;
	struct km_label label;

	setup(_i);
	struct kickmsg_server *server = new_server(serving);
	struct pollfd polled = { kickmsg_server_get_fd(server), POLLIN, 0 };
	memcpy(request.topic, server->name, sizeof request.topic);
	ck_assert_int_eq(km_subscriber_attach(calling, &request, NULL, &at_service), 0);
	take_in_vain(server);
	ck_assert(server->asks);
	while (poll(&polled, 1, 20) == 1)
		take_in_vain(server);
	ck_assert_int_eq(km_channel_open(&channel, calling, server->name,
				 at_service->handle.place.endpoint, &server->shape),
		0);
	ck_assert_int_eq(poll(&polled, 1, FLOW_WAIT_MS), 1);
	take_in_vain(server);
	ck_assert_int_eq(km_channel_receive(&channel, &sample, &label), 0);
	ck_assert_int_eq(label.kind, KM_MESSAGE_HELLO);
	km_sample_release(&sample);
	km_channel_close(&channel);
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service-wake");
	TCase *tc = tcase_create("service-wake");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, server_that_sleeps_is_woken_by_each_newcomer, 0, 2);
	tcase_add_loop_test(tc, server_that_stands_by_is_woken_when_it_is_to_serve, 0, 2);
	tcase_add_loop_test(tc, caller_that_sleeps_is_woken_when_its_server_comes, 0, 2);
	tcase_add_loop_test(tc, server_that_asked_too_early_is_told_when_its_caller_is_ready, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
