/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers and callers that die, leave, and come again, as processes of their own: each call is
 * answered or ends with an error exactly once, others notice nothing, and nothing is left behind.
 *
 * The file is long because each death has a case, with processes of its own.
 */
#include <sys/prctl.h>

#include "common/clock.h"
#include "libclient/handle/handle.h"
#include "libclient/kickmsg-service.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"

#define CALLS   64
#define WAIT_NS (FLOW_WAIT_MS * INT64_C(1000000))

static struct kickmsg_service_config config;
static struct flow_stock stock;

static void configure(int transport)
{
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)transport;
	config.max_calls = CALLS;
	config.max_replies = 2;
}

static void setup(int transport)
{
	test_broker_start(&broker, "[recovery]\ninterval = 5\n");
	flow_take_stock(&stock);
	configure(transport);
}

static void teardown(void)
{
	flow_check_stock(&stock);
	flow_stop();
}

static struct kickmsg_server *serve(struct kickmsg_client *client)
{
	struct kickmsg_server *ret = NULL;

	ck_assert_msg(kickmsg_serve(client, "s", &config, &ret) == 0, "serve: %s",
		kickmsg_client_last_error(client));
	return ret;
}

static struct kickmsg_caller *open_service(struct kickmsg_client *client)
{
	const struct kickmsg_caller_options options = { .wait_ns = (uint64_t)WAIT_NS };
	struct kickmsg_caller *ret = NULL;

	ck_assert_msg(kickmsg_open_service(client, "s", &options, &ret) == 0, "open: %s",
		kickmsg_client_last_error(client));
	return ret;
}

/* A server that answers each request but every third, which it keeps as long as it can. */
static void serve_some(void *unused)
{
	struct kickmsg_request request, kept[8];
	unsigned count = 0, held = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct kickmsg_server *server = serve(flow_client("some"));
	test_child_ready();
	while (kickmsg_take_request(server, -1, &request) == 0) {
		if (++count % 3 > 0) {
			kickmsg_reply_more(&request, request.data, request.len);
			kickmsg_reply(&request, request.data, request.len);
			continue;
		}
		if (held == 8)
			kickmsg_reply(&kept[--held], "it was kept", 11);
		kept[held++] = request;
	}
	_exit(1);
}

static void serve_all(void *unused)
{
	struct kickmsg_request request;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct kickmsg_server *server = serve(flow_client("all"));
	test_child_ready();
	while (kickmsg_take_request(server, -1, &request) == 0)
		kickmsg_reply(&request, request.data, request.len);
	_exit(1);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct {
	uint64_t ids[CALLS];
	unsigned answered, reset;
} book;

/* As many calls as may be in flight. */
static void begin_all(struct kickmsg_caller *caller)
{
	memset(&book, 0, sizeof book);
	for (int i = 0; i < CALLS; i++)
		ck_assert_int_eq(kickmsg_call_begin(caller, &i, sizeof i, -1, &book.ids[i]), 0);
}

/* Takes ends of calls until `count` have ended; each is one of those that are in the book, once. */
static void take_ends(struct kickmsg_caller *caller, unsigned count)
{
	struct kickmsg_reply reply;

	while (book.answered + book.reset < count) {
		int r = kickmsg_take_reply(caller, WAIT_NS, &reply), i = 0;

		ck_assert_msg(
			r == 0, "%d after %u answers and %u resets", r, book.answered, book.reset);
		while (i < CALLS && book.ids[i] != reply.id)
			i++;
		ck_assert_int_lt(i, CALLS);
		ck_assert(reply.error == 0 || reply.error == -ECONNRESET);
		if (reply.error == 0 && reply.len == sizeof i)
			ck_assert_mem_eq(reply.data, &i, sizeof i);
		kickmsg_reply_release(&reply);
		if (reply.more)
			continue;
		book.ids[i] = 0;
		book.answered += reply.error == 0;
		book.reset += reply.error != 0;
	}
}

static void expect_no_more(struct kickmsg_caller *caller)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -ENOENT);
}

/* --- servers -------------------------------------------------------------------------------------- */

START_TEST(server_killed_with_calls_in_flight)
{
	setup(_i);
	struct kickmsg_client *client = flow_client("caller");
	pid_t server = test_child_start(serve_some, NULL), next;
	struct kickmsg_caller *caller = open_service(client);

	for (unsigned round = 0; round < 20; round++) {
		begin_all(caller);
		take_ends(caller, round % 8);
		end(server);
		take_ends(caller, CALLS);
		ck_assert_uint_ge(book.reset, 1);
		expect_no_more(caller);
		next = test_child_start(serve_some, NULL);
		ck_assert_int_eq(kickmsg_caller_wait_server(caller, WAIT_NS), 0);
		server = next;
	}
	end(server);
	kickmsg_client_free(client);
	teardown();
}
END_TEST

START_TEST(server_that_stands_by_takes_over)
{
	struct kickmsg_reply reply;
	uint64_t id;

	setup(_i);
	struct kickmsg_client *client = flow_client("caller");
	pid_t active = test_child_start(serve_all, NULL);
	struct kickmsg_caller *caller = open_service(client);
	for (int round = 0; round < 10; round++) {
		pid_t standby = test_child_start(serve_all, NULL);

		ck_assert_int_eq(kickmsg_call(caller, &round, sizeof round, WAIT_NS, &reply), 0);
		kickmsg_reply_release(&reply);
		end(active);
		active = standby;
		/* until the broker has told of it a call may still go to the old one */
		while (kickmsg_call_begin(caller, "x", 1, -1, &id) == 0) {
			ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
			ck_assert(reply.error == 0 || reply.error == -ECONNRESET);
			kickmsg_reply_release(&reply);
			if (reply.error == 0)
				break;
		}
		ck_assert_int_eq(kickmsg_caller_wait_server(caller, WAIT_NS), 0);
	}
	end(active);
	kickmsg_client_free(client);
	teardown();
}
END_TEST

static void expect_active(struct kickmsg_caller *caller, struct kickmsg_server *server)
{
	struct kickmsg_request request;

	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
					  kickmsg_caller_wait_server(caller, 0) == 0,
		FLOW_WAIT_MS));
}

/* A call waits. Does the caller keep a line to the server that has left? */
static void expect_past(struct kickmsg_caller *caller, bool kept)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -EAGAIN);
	ck_assert_int_eq(caller->past != NULL, kept);
}

START_TEST(server_that_leaves_ends_its_calls)
{
	struct kickmsg_request request;
	struct kickmsg_reply held;
	uint64_t id;
	void *room;

	setup(_i);
	struct kickmsg_client *client = flow_client("caller"), *serving = flow_client("serving");
	struct kickmsg_server *server = serve(serving), *second;
	struct kickmsg_caller *caller = NULL;
	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	expect_active(caller, server);
	ck_assert_int_eq(kickmsg_server_is_active(server), 1);
	ck_assert_int_eq(kickmsg_call_begin(caller, "held", 4, -1, &id), 0);
	ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
	ck_assert_int_eq(kickmsg_reply(&request, "held", 4), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &held), 0);
	ck_assert_int_eq(kickmsg_call_loan(caller, 8, &room), 0);
	begin_all(caller);
	second = serve(serving);
	ck_assert_int_eq(kickmsg_take_request(second, 0, &request), -EBUSY);
	ck_assert_int_eq(kickmsg_server_is_active(second), 0);
	kickmsg_server_free(server);
	take_ends(caller, CALLS);
	ck_assert_uint_eq(book.reset, CALLS);
	expect_no_more(caller);
	expect_active(caller, second);
	/* a reply of the one that left stays as long as it is held, and so does room that it lent */
	ck_assert_int_eq(kickmsg_call_begin(caller, "held", 4, -1, &id), 0);
	expect_past(caller, true);
	ck_assert_mem_eq(held.data, "held", 4);
	kickmsg_reply_release(&held);
	expect_past(caller, true);
	memset(room, 1, 8);
	ck_assert_int_eq(kickmsg_call_publish(caller, room, 8, -1, &id), -ECONNRESET);
	expect_past(caller, false);
	ck_assert_int_eq(kickmsg_take_request(second, WAIT_NS, &request), 0);
	ck_assert_int_eq(kickmsg_reply(&request, "held", 4), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &held), 0);
	server = serve(serving);
	kickmsg_server_free(second);
	expect_active(caller, server);
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
	expect_past(caller, true);
	ck_assert_mem_eq(held.data, "held", 4);
	kickmsg_reply_release(&held);
	expect_past(caller, false);
	kickmsg_client_free(client);
	kickmsg_client_free(serving);
	teardown();
}
END_TEST

/* --- callers -------------------------------------------------------------------------------------- */

static void call_and_hang(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct kickmsg_client *client = flow_client("hangs");
	struct kickmsg_caller *caller = NULL;
	uint64_t id;

	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	test_child_ready();
	ck_assert_int_eq(kickmsg_caller_wait_server(caller, -1), 0);
	while (kickmsg_call_begin(caller, "dies", 4, -1, &id) == 0)
		;
	pause();
}

START_TEST(caller_killed_with_calls_in_flight)
{
	struct kickmsg_request theirs[CALLS], request;
	struct kickmsg_reply reply;
	uint64_t id;

	setup(_i);
	struct kickmsg_client *client = flow_client("caller"), *serving = flow_client("serving");
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = NULL;
	const int fd = kickmsg_server_get_fd(server);
	ck_assert(fd >= 0 || fd == -EOPNOTSUPP);
	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
					  kickmsg_caller_wait_server(caller, 0) == 0,
		FLOW_WAIT_MS));
	for (int round = 0; round < 10; round++) {
		pid_t victim = test_child_start(call_and_hang, NULL);

		for (int i = 0; i < CALLS / 2; i++)
			ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &theirs[i]), 0);
		ck_assert_int_eq(theirs[0].caller->pid, victim);
		ck_assert_str_eq(theirs[0].caller->name, "hangs");
		ck_assert_int_eq(kickmsg_reply(&theirs[1], "x", 1), 0);
		end(victim);
		ck_assert(test_wait_until(
			kickmsg_request_status(&theirs[0]) == -ECONNRESET, FLOW_WAIT_MS));
		ck_assert_mem_eq(theirs[0].data, "dies", 4);
		ck_assert_str_eq(theirs[0].caller->name, "hangs");
		ck_assert_int_eq(kickmsg_reply(&theirs[0], "x", 1), -ECONNRESET);
		ck_assert_int_eq(kickmsg_reply(&theirs[0], "x", 1), -EINVAL);
		for (int i = 2; i < CALLS / 2; i++)
			ck_assert_int_eq(kickmsg_reply_error(&theirs[i], -EIO), -ECONNRESET);
		/* the others go on */
		ck_assert_int_eq(kickmsg_call_begin(caller, "lives", 5, -1, &id), 0);
		do
			ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
		while (kickmsg_reply(&request, request.data, request.len) == -ECONNRESET);
		ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
		ck_assert_mem_eq(reply.data, "lives", 5);
		kickmsg_reply_release(&reply);
	}
	kickmsg_client_free(client);
	kickmsg_client_free(serving);
	teardown();
}
END_TEST

/* --- brokers -------------------------------------------------------------------------------------- */

/* Under a manager nobody notices; the next broker tells of a client that dies meanwhile. */
START_TEST(next_broker_takes_calls_over)
{
	static struct test_manager manager;
	struct kickmsg_reply reply;

	if (test_skip_emulated("next_broker_takes_calls_over", TEST_LACKS_PEEKING))
		return;
	configure(_i);
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	struct kickmsg_client *client = flow_client("caller");
	pid_t server = test_child_start(serve_some, NULL);
	struct kickmsg_caller *caller = open_service(client);
	begin_all(caller);
	take_ends(caller, 4);
	test_manager_kill(&manager, SIGKILL);
	take_ends(caller, 20);
	test_manager_resume(&manager);
	take_ends(caller, 40);
	test_manager_kill(&manager, SIGKILL);
	end(server);
	test_manager_resume(&manager);
	take_ends(caller, CALLS);
	ck_assert_uint_ge(book.answered, 40);
	ck_assert_uint_ge(book.reset, 8);
	expect_no_more(caller);
	server = test_child_start(serve_all, NULL);
	ck_assert_int_eq(kickmsg_caller_wait_server(caller, WAIT_NS), 0);
	ck_assert_int_eq(kickmsg_call(caller, "x", 1, WAIT_NS, &reply), 0);
	end(server);
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_manager_is_empty(&manager), FLOW_WAIT_MS));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* Does the broker know both ends of the service? */
static bool has_service(struct kickmsg_client *client)
{
	const struct kickmsg_topic_ref ref = { .name = "s", .kind = KICKMSG_SERVICE };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(client, &ref, &info) == 0 && info.publishers == 1 &&
	       info.subscribers == 1;
}

/* Have caller and server found each other at this broker? The server has no request to take. */
static bool have_met(struct kickmsg_client *client, struct kickmsg_caller *caller,
	struct kickmsg_client *serving, struct kickmsg_server *server)
{
	struct kickmsg_request request;

	return kickmsg_take_request(server, 0, &request) != 0 &&
	       kickmsg_client_dispatch(client) >= 0 && kickmsg_client_dispatch(serving) >= 0 &&
	       kickmsg_caller_wait_server(caller, 0) == 0 &&
	       caller->line->channel.connection == client->connection && has_service(client);
}

/* Without one, calls in flight are answered by the server that lives on. New calls go on once the two have
 * found each other at the next broker. */
START_TEST(calls_go_on_with_a_broker_that_knows_nothing)
{
	struct kickmsg_request theirs[CALLS], request;
	struct kickmsg_reply reply;

	setup(_i);
	struct kickmsg_client *client = flow_client("caller"), *serving = flow_client("serving");
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = NULL;
	const int fd = kickmsg_server_get_fd(server);
	ck_assert(fd >= 0 || fd == -EOPNOTSUPP);
	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
					  kickmsg_caller_wait_server(caller, 0) == 0,
		FLOW_WAIT_MS));
	begin_all(caller);
	test_broker_kill(&broker);
	for (int i = 0; i < CALLS; i++)
		ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &theirs[i]), 0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(kickmsg_reply(&theirs[i], theirs[i].data, theirs[i].len), 0);
	take_ends(caller, 10);
	test_broker_resume(&broker);
	/* the new line is there while calls of the old one are in flight */
	ck_assert(test_wait_until(have_met(client, caller, serving, server), FLOW_WAIT_MS));
	for (int i = 10; i < CALLS - 1; i++)
		ck_assert_int_eq(kickmsg_reply(&theirs[i], theirs[i].data, theirs[i].len), 0);
	take_ends(caller, CALLS - 1);
	/* one call is enough to keep the old line */
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -EAGAIN);
	request = theirs[CALLS - 1];
	ck_assert_int_eq(kickmsg_reply(&request, request.data, request.len), 0);
	take_ends(caller, CALLS);
	ck_assert_uint_eq(book.answered, CALLS);
	expect_no_more(caller);
	for (int round = 0; round < 3 * CALLS; round++) {
		uint64_t id;

		ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
		ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
		ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
		ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
		kickmsg_reply_release(&reply);
	}
	/* the server's descriptor waits for callers of the fresh region */
	if (fd >= 0)
		ck_assert_ptr_eq(
			server->header.word, &server->service->handle.place.region.header->changes);
	kickmsg_client_free(client);
	kickmsg_client_free(serving);
	teardown();
}
END_TEST

/* A server that polls looks at its callers' cells between two receives. It has no descriptor. */
START_TEST(server_that_polls_leaves_the_region_of_a_broker_that_is_gone)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t id;

	setup(_i);
	struct kickmsg_client *client = flow_client("caller"), *serving = flow_client("serving");
	struct kickmsg_server *server = serve(serving);
	struct kickmsg_caller *caller = NULL;
	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	for (int round = 0; round < 3; round++) {
		ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
						  kickmsg_caller_wait_server(caller, 0) == 0 &&
						  has_service(client),
			FLOW_WAIT_MS));
		ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
		ck_assert(test_wait_until(
			kickmsg_take_request(server, 0, &request) == 0, FLOW_WAIT_MS));
		ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
		ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
		kickmsg_reply_release(&reply);
		test_broker_kill(&broker);
		for (int look = 0; look < 1000; look++)
			ck_assert_int_eq(kickmsg_take_request(server, 0, &request), -EAGAIN);
		test_broker_resume(&broker);
		ck_assert(test_wait_until(have_met(client, caller, serving, server), FLOW_WAIT_MS));
	}
	kickmsg_client_free(client);
	kickmsg_client_free(serving);
	teardown();
}
END_TEST

/* The server dies while there is no broker: the next one knows of neither, and no call waits for ever. */
START_TEST(server_that_dies_without_a_broker_is_missed)
{
	setup(_i);
	struct kickmsg_client *client = flow_client("caller");
	pid_t server = test_child_start(serve_some, NULL);
	struct kickmsg_caller *caller = open_service(client);
	begin_all(caller);
	take_ends(caller, 10);
	test_broker_kill(&broker);
	end(server);
	test_broker_resume(&broker);
	if (_i)
		server = test_child_start(serve_all, NULL);
	take_ends(caller, CALLS);
	ck_assert_uint_ge(book.reset, 8);
	expect_no_more(caller);
	if (!_i)
		server = test_child_start(serve_all, NULL);
	ck_assert_int_eq(kickmsg_caller_wait_server(caller, WAIT_NS), 0);
	end(server);
	kickmsg_client_free(client);
	teardown();
}
END_TEST

/* One call from its beginning to its reply. The caller looks after its connection meanwhile, the server
 * only if it is `eager`. */
static void call_once(struct kickmsg_caller *caller, struct kickmsg_server *server, bool eager)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t id;

	if (eager)
		ck_assert_int_eq(kickmsg_take_request(server, 1000000, &request), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, 1000000, &reply), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
	ck_assert_int_eq(reply.error, 0);
	kickmsg_reply_release(&reply);
}

START_TEST(calls_go_on_while_the_server_is_not_yet_at_the_next_broker)
{
	struct kickmsg_request none;
	struct kickmsg_caller *caller;

	test_broker_start(&broker, NULL);
	configure(_i);
	struct kickmsg_client *serving = flow_client("serving"), *calling = flow_client("calling");
	struct kickmsg_server *server = serve(serving);
	ck_assert_int_eq(kickmsg_open_service(calling, "s", NULL, &caller), 0);
	while (kickmsg_caller_wait_server(caller, 0) < 0)
		kickmsg_take_request(server, 1000000, &none);
	const uint64_t before = caller->connection;
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	/* until the caller has left the line to the old broker's server */
	for (int i = 0; !caller->past && i < 5000; i++)
		call_once(caller, server, false);
	ck_assert_ptr_nonnull(caller->past);
	for (int i = 0; i < 5; i++)
		call_once(caller, server, false);
	for (int i = 0;
		i < 5000 && !(caller->connection != before && caller->line && caller->line->ready);
		i++)
		call_once(caller, server, true);
	ck_assert(caller->line && caller->line->ready);
	call_once(caller, server, true);
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-death");
	TCase *tcase = tcase_create("service-death");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, server_killed_with_calls_in_flight, 0, 2);
	tcase_add_loop_test(tcase, server_that_stands_by_takes_over, 0, 2);
	tcase_add_loop_test(tcase, server_that_leaves_ends_its_calls, 0, 2);
	tcase_add_loop_test(tcase, caller_killed_with_calls_in_flight, 0, 2);
	tcase_add_loop_test(tcase, next_broker_takes_calls_over, 0, 2);
	tcase_add_loop_test(tcase, calls_go_on_with_a_broker_that_knows_nothing, 0, 2);
	tcase_add_loop_test(
		tcase, server_that_polls_leaves_the_region_of_a_broker_that_is_gone, 0, 2);
	tcase_add_loop_test(tcase, server_that_dies_without_a_broker_is_missed, 0, 2);
	tcase_add_loop_test(
		tcase, calls_go_on_while_the_server_is_not_yet_at_the_next_broker, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
