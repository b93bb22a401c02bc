/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines over the end of what they hang on: a server at the next broker, server and broker together, the
 * broker alone, a connection. No call waits for ever, and no side spins meanwhile. The tests count how often a
 * side looks after its connection, since each such look tries to get the client's lock.
 *
 * The index of a case has the transport as its lowest bit, and how the caller waits above it.
 */
#include <pthread.h>
#include <sys/socket.h>

#include "libclient/endpoint/subscriber.h"
#include "libclient/handle/handle.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"

#define WAIT_NS (FLOW_WAIT_MS * INT64_C(1000000))
/* Looks in a few seconds of one that sleeps: it looks each 100 ms, and when it is woken. One that spins looks
 * some 100 000 times a second. */
#define FEW_LOOKS 1000

bool __real_km_client_trylock(struct kickmsg_client *client);
bool __wrap_km_client_trylock(struct kickmsg_client *client);
static _Atomic unsigned looks;

bool __wrap_km_client_trylock(struct kickmsg_client *client)
{
	looks++;
	return __real_km_client_trylock(client);
}

static struct kickmsg_client *serving, *calling;
static struct kickmsg_service_config config;

static void setup_with(int i, const char *text)
{
	test_broker_start(&broker, text);
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)(i & 1);
	config.max_calls = 4;
	serving = flow_client("serving");
	calling = flow_client("calling");
}

static void setup(int i)
{
	setup_with(i, NULL);
}

static void teardown(void)
{
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}

static struct kickmsg_server *serve(struct kickmsg_client *client)
{
	struct kickmsg_server *ret = NULL;

	ck_assert_msg(kickmsg_serve(client, "s", &config, &ret) == 0, "serve: %s",
		kickmsg_client_last_error(client));
	return ret;
}

static struct kickmsg_caller *open_service(struct kickmsg_client *client, uint64_t wait_ns)
{
	const struct kickmsg_caller_options options = { .wait_ns = wait_ns };
	struct kickmsg_caller *ret = NULL;

	ck_assert_msg(kickmsg_open_service(client, "s", &options, &ret) == 0, "open: %s",
		kickmsg_client_last_error(client));
	return ret;
}

/* Is the caller met by the server, while that does nothing else? */
static bool is_met(struct kickmsg_server *by, struct kickmsg_caller *whom)
{
	struct kickmsg_request none;

	return test_wait_until(kickmsg_take_request(by, 0, &none) == -EAGAIN &&
				       kickmsg_caller_wait_server(whom, 0) == 0,
		FLOW_WAIT_MS);
}

static uint64_t begin(struct kickmsg_caller *caller)
{
	uint64_t id = 0;

	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
	return id;
}

/* A server that answers nothing. */
static void serve_in_silence(void *unused)
{
	struct kickmsg_request request;

	struct kickmsg_server *server = serve(flow_client("silent"));
	test_child_ready();
	while (kickmsg_take_request(server, -1, &request) == 0)
		;
	_exit(1);
}

/* How a caller waits. */
enum way { SLEEPS, POLLS, POLLS_AND_DISPATCHES, SPINS, WAYS };

static int take(struct kickmsg_caller *caller, enum way way, struct kickmsg_reply *ret)
{
	int r = -EAGAIN;

	if (way == SPINS)
		caller->spin_ns = INT64_MAX / 4;
	if (way == SLEEPS || way == SPINS)
		return kickmsg_take_reply(caller, WAIT_NS, ret);
	test_wait_until((way == POLLS || kickmsg_client_dispatch(calling) >= 0) &&
				(r = kickmsg_take_reply(caller, 0, ret)) != -EAGAIN,
		FLOW_WAIT_MS);
	return r;
}

static void expect_reset(struct kickmsg_caller *caller, enum way way)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(take(caller, way, &reply), 0);
	ck_assert_int_eq(reply.error, -ECONNRESET);
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -ENOENT);
}

/* Has the caller a line by the next broker, beside `old`? */
static bool has_come_over(struct kickmsg_caller *caller, const struct km_line *old)
{
	return kickmsg_client_dispatch(calling) >= 0 &&
	       kickmsg_caller_wait_server(caller, 0) == 0 && caller->line != old;
}

/* --- servers and brokers -------------------------------------------------------------------------- */

START_TEST(server_dies_once_the_two_have_met_at_the_next_broker)
{
	setup(_i);
	pid_t server = test_child_start(serve_in_silence, NULL);
	struct kickmsg_caller *caller = open_service(calling, (uint64_t)WAIT_NS);
	const struct km_line *old = caller->line;
	begin(caller);
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(has_come_over(caller, old), FLOW_WAIT_MS));
	ck_assert_ptr_eq(caller->past, old);
	ck_assert_uint_eq(old->calls, 1);
	test_child_end(server, SIGKILL);
	looks = 0;
	expect_reset(caller, (enum way)(_i / 2));
	if (_i / 2 == SLEEPS)
		ck_assert_uint_lt(looks, FEW_LOOKS);
	teardown();
}
END_TEST

START_TEST(server_and_broker_die_together)
{
	setup(_i);
	pid_t server = test_child_start(serve_in_silence, NULL);
	struct kickmsg_caller *caller = open_service(calling, (uint64_t)WAIT_NS);
	begin(caller);
	test_broker_kill(&broker);
	test_child_end(server, SIGKILL);
	test_broker_resume(&broker);
	expect_reset(caller, (enum way)(_i / 2));
	teardown();
}
END_TEST

/* Answers its first request once the caller of it has come to it by the next broker. */
static void *answer_late(void *argument)
{
	struct kickmsg_server *server = argument;
	struct kickmsg_request request, none;

	if (kickmsg_take_request(server, WAIT_NS, &request) < 0)
		return NULL;
	const struct km_visitor *first = request.visitor;
	test_wait_until(kickmsg_take_request(server, 0, &none) < 0 && first->orphan_ns > 0 &&
				server->visitors != first,
		FLOW_WAIT_MS);
	kickmsg_reply(&request, "late", 4);
	return NULL;
}

START_TEST(server_that_outlives_the_broker_answers)
{
	struct kickmsg_reply reply;
	pthread_t thread;

	setup(_i);
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = open_service(calling, 0);
	ck_assert(is_met(server, caller));
	begin(caller);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_late, server), 0);
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert_int_eq(take(caller, (enum way)(_i / 2), &reply), 0);
	ck_assert_int_eq(reply.error, 0);
	ck_assert_uint_eq(reply.len, 4);
	kickmsg_reply_release(&reply);
	pthread_join(thread, NULL);
	teardown();
}
END_TEST

/* --- hang-ups ------------------------------------------------------------------------------------- */

/* Hangs the client's connection up. Returns once the client is back. */
static void hang_up(struct kickmsg_client *client, const struct km_handle *handle)
{
	const uint64_t before = client->connection;

	shutdown(client->socket, SHUT_RDWR);
	ck_assert(test_wait_until(kickmsg_client_dispatch(client) >= 0 &&
					  client->connection > before &&
					  handle->latest == client->connection,
		FLOW_WAIT_MS));
}

START_TEST(server_that_was_hung_up_meets_new_callers)
{
	setup(_i);
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = open_service(calling, 0);
	ck_assert(is_met(server, caller));
	hang_up(serving, &server->service->handle);
	ck_assert(is_met(server, open_service(calling, 0)));
	ck_assert(is_met(server, caller));
	teardown();
}
END_TEST

/* The caller has an endpoint at the service, and makes its line by the next connection. */
START_TEST(caller_that_was_hung_up_before_a_server_came)
{
	setup(_i);
	struct kickmsg_server *server = serve(serving);
	kickmsg_server_free(server);
	server = NULL;
	struct kickmsg_client *second = flow_client("second");
	server = serve(second);
	struct kickmsg_caller *first = open_service(calling, 0);
	ck_assert(is_met(server, first));
	kickmsg_server_free(server);
	struct kickmsg_caller *caller = open_service(calling, 0);
	ck_assert_ptr_null(caller->line);
	hang_up(calling, &caller->service->handle);
	server = serve(second);
	ck_assert(is_met(server, caller));
	kickmsg_client_free(second);
	teardown();
}
END_TEST

/* --- spins ---------------------------------------------------------------------------------------- */

START_TEST(spin_for_ever_is_interrupted)
{
	struct kickmsg_reply reply;

	setup(_i);
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = open_service(calling, 0);
	ck_assert(is_met(server, caller));
	begin(caller);
	caller->spin_ns = INT64_MAX / 4;
	kickmsg_caller_interrupt(caller);
	ck_assert_int_eq(kickmsg_take_reply(caller, -1, &reply), -EINTR);
	teardown();
}
END_TEST

/* A caller that has no topics can't be met, so the server asks again, more and more seldom. */
START_TEST(server_sleeps_until_it_asks_again)
{
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE, .topic = "s" };
	struct kickmsg_subscriber *service;
	struct kickmsg_request none;

	setup(_i);
	struct kickmsg_server *server = serve(serving);
	ck_assert_int_eq(km_subscriber_attach(calling, &request, NULL, &service), 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	ck_assert(server->asks);
	server->asked_in_vain = 1000;
	looks = 0;
	ck_assert_int_eq(kickmsg_take_request(server, 1000000000, &none), -ETIMEDOUT);
	ck_assert_uint_lt(looks, FEW_LOOKS);
	kickmsg_subscriber_free(service);
	teardown();
}
END_TEST

/* --- newcomers ------------------------------------------------------------------------------------ */

/* A crowd of silent callers: a look at them ends, and a caller that comes behind them is met. */
START_TEST(crowd_of_silent_callers_is_met_in_parts)
{
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE, .topic = "s" };
	struct kickmsg_subscriber *service;
	struct kickmsg_request none;
	uint32_t most = 0;

	setup(_i);
	config.max_callers = 256;
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_client *crowd = flow_client("crowd");
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(km_subscriber_attach(crowd, &request, NULL, &service), 0);
	for (int i = 0; i < 100; i++) {
		const uint32_t before = serving->serial;

		/* as if the pause were over */
		server->asked_ns = 0;
		ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
		if (serving->serial - before > most)
			most = serving->serial - before;
	}
	ck_assert_uint_gt(most, 0);
	ck_assert_uint_le(most, 17);
	ck_assert_uint_gt(server->asked_in_vain, 2);
	ck_assert(is_met(server, open_service(calling, 0)));
	kickmsg_client_free(crowd);
	teardown();
}
END_TEST

/* A server ends, and something of it stays at a caller's topics for a while. */
START_TEST(caller_whose_last_server_is_still_there_is_met_later)
{
	struct km_msg_attach request = { .kind = KM_KIND_REQUESTS, .topic = "s" };
	struct kickmsg_subscriber *half;
	struct kickmsg_request none;

	setup(_i);
	struct kickmsg_client *first = flow_client("first");
	struct kickmsg_server *ends = serve(first), *server = serve(serving);
	struct kickmsg_caller *caller = open_service(calling, 0);
	snprintf(request.owner, sizeof request.owner, "%lu", (unsigned long)caller->endpoint);
	ck_assert_int_eq(km_subscriber_attach(first, &request, NULL, &half), 0);
	kickmsg_server_free(ends);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &none) == -EAGAIN &&
					  server->asked_in_vain + server->newest > 0,
		FLOW_WAIT_MS));
	ck_assert_ptr_null(server->visitors);
	kickmsg_subscriber_free(half);
	ck_assert(is_met(server, caller));
	kickmsg_client_free(first);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-lines");
	TCase *tcase = tcase_create("service-lines");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, server_dies_once_the_two_have_met_at_the_next_broker, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, server_and_broker_die_together, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, server_that_outlives_the_broker_answers, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, server_that_was_hung_up_meets_new_callers, 0, 2);
	tcase_add_loop_test(tcase, caller_that_was_hung_up_before_a_server_came, 0, 2);
	tcase_add_loop_test(tcase, spin_for_ever_is_interrupted, 0, 2);
	tcase_add_loop_test(tcase, server_sleeps_until_it_asks_again, 0, 2);
	tcase_add_loop_test(tcase, crowd_of_silent_callers_is_met_in_parts, 0, 2);
	tcase_add_loop_test(tcase, caller_whose_last_server_is_still_there_is_met_later, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
