/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: calls and their replies, in place and copied, in any order, with both transports;
 * limits, deadlines, cancellation, and who calls.
 *
 * The file is long because each way in which a call can go has a case, over one fixture.
 */
#include <pthread.h>

#include "common/clock.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/kickmsg-service.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"

static struct kickmsg_client *serving, *calling;
static struct kickmsg_service_config config;
static struct kickmsg_server *server;
static struct kickmsg_caller *caller;

static struct kickmsg_server *serve(struct kickmsg_client *client)
{
	struct kickmsg_server *ret = NULL;

	ck_assert_msg(kickmsg_serve(client, "adder", &config, &ret) == 0, "serve: %s",
		kickmsg_client_last_error(client));
	return ret;
}

static bool look_for_requests(void)
{
	struct kickmsg_request request;
	int r = kickmsg_take_request(server, 0, &request);

	ck_assert(r == -EAGAIN || r == -EBUSY);
	return true;
}

/* A caller that its server has met. */
static struct kickmsg_caller *open_service(struct kickmsg_client *client)
{
	struct kickmsg_caller *ret = NULL;

	ck_assert_msg(kickmsg_open_service(client, "adder", NULL, &ret) == 0, "open: %s",
		kickmsg_client_last_error(client));
	ck_assert(test_wait_until(
		look_for_requests() && kickmsg_caller_wait_server(ret, 0) == 0, FLOW_WAIT_MS));
	return ret;
}

static void setup(int transport)
{
	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)transport;
	config.max_calls = 4;
	config.max_replies = 3;
	server = serve(serving);
	caller = open_service(calling);
}

static void teardown(void)
{
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	flow_stop();
}

static uint64_t begin(const char *text)
{
	uint64_t id = 0;

	ck_assert_int_eq(kickmsg_call_begin(caller, text, strlen(text), -1, &id), 0);
	return id;
}

static struct kickmsg_request take(const char *text)
{
	struct kickmsg_request request;

	ck_assert_int_eq(
		kickmsg_take_request(server, FLOW_WAIT_MS * INT64_C(1000000), &request), 0);
	ck_assert_uint_eq(request.len, strlen(text));
	ck_assert_mem_eq(request.data, text, request.len);
	ck_assert_uint_eq((uintptr_t)request.data % 64, 0);
	return request;
}

static void answer(struct kickmsg_request *request, const char *text)
{
	ck_assert_int_eq(kickmsg_reply(request, text, strlen(text)), 0);
	ck_assert_int_eq(kickmsg_reply(request, text, 1), -EINVAL);
}

/* The next reply is this one, to this call. */
static void expect(uint64_t id, const char *text, bool more)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_take_reply(caller, FLOW_WAIT_MS * INT64_C(1000000), &reply), 0);
	ck_assert_int_eq(reply.error, 0);
	ck_assert_uint_eq(reply.id, id);
	ck_assert_uint_eq(reply.len, strlen(text));
	ck_assert_mem_eq(reply.data, text, reply.len);
	ck_assert_uint_eq((uintptr_t)reply.data % 64, 0);
	ck_assert_uint_eq(reply.more, more);
	kickmsg_reply_release(&reply);
}

static void expect_end(uint64_t id, int error)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_take_reply(caller, FLOW_WAIT_MS * INT64_C(1000000), &reply), 0);
	ck_assert_uint_eq(reply.id, id);
	ck_assert_int_eq(reply.error, error);
	ck_assert_ptr_null(reply.data);
	kickmsg_reply_release(&reply);
}

static void expect_nothing(int error)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), error);
}

/* Bytes of all topics: there are those of the service alone. */
static uint64_t bytes_sent(void)
{
	struct kickmsg_topic_numbers numbers[8];
	uint64_t cursor = 0, sum = 0;
	ssize_t count = kickmsg_topic_list_numbers(calling, &cursor, numbers, 8);

	ck_assert_int_eq(count, 3);
	for (ssize_t i = 0; i < count; i++)
		sum += numbers[i].bytes;
	return sum;
}

/* --- cases ---------------------------------------------------------------------------------------- */

/* Requests and replies of any length, with the words that the library adds to some. */
START_TEST(bytes_of_calls_are_counted)
{
	static const size_t lengths[] = { 1, 8, 64, 1000 };
	char text[1001];

	setup(_i);
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const uint64_t before = bytes_sent();

		text[lengths[i]] = '\0';
		uint64_t id = begin(text);
		struct kickmsg_request request = take(text);
		answer(&request, text);
		expect(id, text, false);
		ck_assert_uint_ge(bytes_sent() - before, 2 * lengths[i]);
		ck_assert_uint_lt(bytes_sent() - before, 2 * (lengths[i] + 32));
		text[lengths[i]] = 'x';
	}
	teardown();
}
END_TEST

START_TEST(calls_are_answered_in_any_order)
{
	setup(_i);
	for (int round = 0; round < 1000; round++) {
		uint64_t a = begin("one"), b = begin("two"), c = begin("");
		struct kickmsg_request first = take("one"), second = take("two"), third = take("");

		expect_nothing(-EAGAIN);
		answer(&third, "3");
		answer(&first, "");
		expect(c, "3", false);
		answer(&second, "2");
		expect(a, "", false);
		expect(b, "2", false);
		expect_nothing(-ENOENT);
	}
	teardown();
}
END_TEST

START_TEST(requests_and_replies_of_any_length_in_place)
{
	static unsigned char pattern[4096];

	setup(_i);
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(i * 7);
	for (size_t len = 0; len <= sizeof pattern; len = len < 70 ? len + 1 : len * 3 / 2 + 1) {
		struct kickmsg_request request;
		struct kickmsg_reply reply;
		void *payload;
		uint64_t id;

		ck_assert_int_eq(kickmsg_call_loan(caller, sizeof pattern, &payload), 0);
		ck_assert_uint_eq((uintptr_t)payload % 64, 0);
		memcpy(payload, pattern, len);
		ck_assert_int_eq(kickmsg_call_publish(caller, payload, len, -1, &id), 0);
		ck_assert_int_eq(kickmsg_take_request(server, 0, &request), 0);
		ck_assert_uint_eq(request.len, len);
		ck_assert_mem_eq(request.data, pattern, len);
		ck_assert_int_eq(kickmsg_reply_loan(&request, len, &payload), 0);
		memcpy(payload, request.data, len);
		ck_assert_int_eq(kickmsg_reply_publish(&request, payload, len, 0), 0);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_uint_eq(reply.len, len);
		ck_assert_mem_eq(reply.data, pattern, len);
		kickmsg_reply_release(&reply);
		if (len == sizeof pattern)
			break;
		if (len * 3 / 2 + 1 > sizeof pattern)
			len = (sizeof pattern - 1) * 2 / 3;
	}
	teardown();
}
END_TEST

START_TEST(too_long_too_many_and_what_isnt_lent_are_refused)
{
	static unsigned char big[4097];
	struct kickmsg_request requests[4], none;
	struct kickmsg_reply reply;
	uint64_t ids[4], id;
	void *payload;

	setup(_i);
	ck_assert_int_eq(kickmsg_call_begin(caller, big, sizeof big, -1, &id), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_call_loan(caller, sizeof big, &payload), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_call_publish(caller, big, 1, -1, &id), -EINVAL);
	ck_assert_int_eq(kickmsg_call_discard(caller, big), -EINVAL);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(kickmsg_call_loan(caller, 10, &payload), 0);
		ck_assert_int_eq(kickmsg_call_discard(caller, payload), 0);
	}
	for (int i = 0; i < 4; i++)
		ids[i] = begin("x");
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), -EDQUOT);
	ck_assert_int_eq(kickmsg_call(caller, "x", 1, -1, &reply), -EBUSY);
	for (int i = 0; i < 4; i++)
		requests[i] = take("x");
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	ck_assert_int_eq(kickmsg_reply(&requests[0], big, sizeof big), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_reply_publish(&requests[0], big, 1, 0), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_error(&requests[0], 1), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_error(&requests[0], 0), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_error(&requests[0], -4096), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_more(&requests[0], "a", 1), 0);
	ck_assert_int_eq(kickmsg_reply_more(&requests[0], "b", 1), 0);
	ck_assert_int_eq(kickmsg_reply_more(&requests[0], "c", 1), -EDQUOT);
	answer(&requests[0], "d");
	for (int i = 1; i < 4; i++)
		answer(&requests[i], "y");
	/* the call's reply isn't taken yet */
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), -EDQUOT);
	expect(ids[0], "a", true);
	expect(ids[0], "b", true);
	expect(ids[0], "d", false);
	for (int i = 1; i < 4; i++)
		expect(ids[i], "y", false);
	expect_nothing(-ENOENT);
	begin("x");
	teardown();
}
END_TEST

START_TEST(replies_that_are_held_stay_and_more_are_refused)
{
	struct kickmsg_reply held[4], reply;

	setup(_i);
	for (int i = 0; i < 5; i++) {
		char text[2] = { (char)('a' + i) };

		begin("x");
		struct kickmsg_request request = take("x");
		answer(&request, text);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, i < 4 ? &held[i] : &reply),
			i < 4 ? 0 : -EDQUOT);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(*(const char *)held[i].data, 'a' + i);
		kickmsg_reply_release(&held[i]);
	}
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
	ck_assert_int_eq(*(const char *)reply.data, 'e');
	kickmsg_reply_release(&reply);
	teardown();
}
END_TEST

START_TEST(deadline_passes_and_the_server_hears_of_it)
{
	struct kickmsg_request request, other;
	uint64_t id, late;

	setup(_i);
	int64_t before = km_clock_ns();
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, 20000000, &id), 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &request), 0);
	ck_assert_int_ge(request.deadline_ns, before + 20000000);
	ck_assert_int_le(request.deadline_ns, km_clock_ns() + 20000000);
	expect_end(id, -ETIMEDOUT);
	ck_assert_int_ge(km_clock_ns(), request.deadline_ns);
	expect_nothing(-ENOENT);
	ck_assert_int_eq(kickmsg_request_status(&request), -ECANCELED);
	/* a call holds its place until the server is done with it, whose reply is dropped */
	for (int i = 0; i < 3; i++)
		begin("y");
	ck_assert_int_eq(kickmsg_call_begin(caller, "y", 1, -1, &late), -EDQUOT);
	answer(&request, "late");
	for (int i = 0; i < 3; i++) {
		other = take("y");
		answer(&other, "z");
	}
	for (int i = 0; i < 3; i++) {
		struct kickmsg_reply reply;

		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_int_eq(reply.error, 0);
		ck_assert_int_eq(*(const char *)reply.data, 'z');
		kickmsg_reply_release(&reply);
	}
	/* one that is late before it is taken never comes to the server's program */
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, 1, &late), 0);
	expect_end(late, -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &other), -EAGAIN);
	for (int i = 0; i < 4; i++)
		begin("w");
	teardown();
}
END_TEST

START_TEST(cancelled_calls_end_once_and_free_their_places)
{
	struct kickmsg_request request, none;
	struct kickmsg_reply reply;

	setup(_i);
	for (int round = 0; round < 100; round++) {
		uint64_t a = begin("a"), b = begin("b");

		request = take("a");
		ck_assert_int_eq(kickmsg_request_status(&request), 0);
		ck_assert_int_eq(kickmsg_call_cancel(caller, a), 0);
		ck_assert_int_eq(kickmsg_call_cancel(caller, a), -ENOENT);
		ck_assert_int_eq(kickmsg_call_cancel(caller, b), 0);
		ck_assert_int_eq(kickmsg_call_cancel(caller, b + 77), -ENOENT);
		ck_assert_int_eq(kickmsg_request_status(&request), -ECANCELED);
		expect_end(a, -ECANCELED);
		expect_end(b, -ECANCELED);
		expect_nothing(-ENOENT);
		answer(&request, "nobody hears that");
		ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
		expect_nothing(-ENOENT);
	}
	for (int i = 0; i < 4; i++)
		begin("x");
	request = take("x");
	ck_assert_int_eq(kickmsg_reply_error(&request, -EILSEQ), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
	ck_assert_int_eq(reply.error, -EILSEQ);
	teardown();
}
END_TEST

static void *serve_all(void *userdata)
{
	struct kickmsg_request request;

	while (kickmsg_take_request(server, -1, &request) == 0)
		kickmsg_reply(&request, request.data, request.len);
	return NULL;
}

START_TEST(calls_one_at_a_time_sleep_and_wake)
{
	struct kickmsg_reply reply;
	pthread_t thread;

	setup(_i);
	pthread_create(&thread, NULL, serve_all, NULL);
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(kickmsg_call(caller, &i, sizeof i, -1, &reply), 0);
		ck_assert_mem_eq(reply.data, &i, sizeof i);
		kickmsg_reply_release(&reply);
	}
	kickmsg_server_interrupt(server);
	pthread_join(thread, NULL);
	/* nobody takes it any more */
	ck_assert_int_eq(kickmsg_call(caller, "x", 1, 1000000, &reply), -ETIMEDOUT);
	expect_nothing(-ENOENT);
	kickmsg_caller_interrupt(caller);
	ck_assert_int_eq(kickmsg_call(caller, "x", 1, -1, &reply), -EINTR);
	expect_nothing(-ENOENT);
	teardown();
}
END_TEST

START_TEST(server_sees_who_calls)
{
	setup(_i);
	begin("x");
	struct kickmsg_request request = take("x");
	ck_assert_str_eq(request.caller->name, "calling");
	ck_assert_int_eq(request.caller->pid, getpid());
	ck_assert_uint_eq(request.caller->uid, getuid());
	ck_assert_uint_eq(request.caller->gid, getgid());
	ck_assert_uint_gt(request.caller->client_id, 0);
	teardown();
}
END_TEST

START_TEST(many_callers_have_their_turns)
{
	struct kickmsg_caller *callers[40];
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t id;

	setup(_i);
	callers[0] = caller;
	for (int i = 1; i < 40; i++)
		callers[i] = open_service(calling);
	for (int call = 0; call < 2; call++)
		for (int i = 0; i < 40; i++)
			ck_assert_int_eq(kickmsg_call_begin(callers[i], &i, sizeof i, -1, &id), 0);
	/* none comes twice before all have come */
	for (int call = 0; call < 2; call++) {
		uint64_t seen = 0;

		for (int i = 0; i < 40; i++) {
			ck_assert_int_eq(kickmsg_take_request(server, 0, &request), 0);
			seen |= UINT64_C(1) << *(const int *)request.data;
			ck_assert_int_eq(kickmsg_reply(&request, request.data, request.len), 0);
		}
		ck_assert_uint_eq(seen, (UINT64_C(1) << 40) - 1);
	}
	for (int i = 0; i < 40; i++) {
		for (int call = 0; call < 2; call++) {
			ck_assert_int_eq(kickmsg_take_reply(callers[i], 0, &reply), 0);
			ck_assert_mem_eq(reply.data, &i, sizeof i);
			kickmsg_reply_release(&reply);
		}
		ck_assert_int_eq(kickmsg_take_reply(callers[i], 0, &reply), -ENOENT);
		kickmsg_caller_free(callers[i]);
	}
	teardown();
}
END_TEST

/* A server with as many callers as there are by default sleeps at all their words at once. */
START_TEST(default_callers_have_room_in_one_sleep)
{
	struct kickmsg_request request;

	setup(_i);
	for (int i = 1; i < 64; i++)
		open_service(calling);
	ck_assert_int_eq(kickmsg_take_request(server, 1000000, &request), -ETIMEDOUT);
	ck_assert_uint_eq(server->rest.count, 2 + 64);
	ck_assert(!server->rest.is_full);
	teardown();
}
END_TEST

START_TEST(bad_names_configs_and_services_are_refused)
{
	struct kickmsg_service_config other;
	struct kickmsg_server *more = NULL;
	struct kickmsg_caller *none = NULL;
	struct kickmsg_caller_options bad = { .reserved = { 1 } };

	setup(_i);
	ck_assert_int_eq(kickmsg_serve(serving, "", &config, &more), -EINVAL);
	other = config;
	other.max_calls = 5;
	ck_assert_int_eq(kickmsg_serve(serving, "adder", &other, &more), -EEXIST);
	ck_assert(flow_said(serving, "adder"));
	other.max_calls = 0;
	ck_assert_int_eq(kickmsg_serve(serving, "other", &other, &more), -EINVAL);
	ck_assert(flow_said(serving, "max_calls"));
	other.max_calls = 1023;
	other.max_replies = 1024;
	ck_assert_int_eq(kickmsg_serve(serving, "other", &other, &more), -EINVAL);
	other = config;
	other.reserved[3] = 1;
	ck_assert_int_eq(kickmsg_serve(serving, "other", &other, &more), -EINVAL);
	ck_assert_int_eq(kickmsg_open_service(calling, "other", NULL, &none), -ENOENT);
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", &bad, &none), -EINVAL);
	bad = (struct kickmsg_caller_options){ .wait_ns = 1000000 };
	ck_assert_int_eq(kickmsg_open_service(calling, "other", &bad, &none), -ETIMEDOUT);
	/* a topic of its name is another thing */
	flow_advertise(calling, "other", NULL);
	ck_assert_int_eq(kickmsg_open_service(calling, "other", NULL, &none), -ENOENT);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(more);
	teardown();
}
END_TEST

/* The caller's time is over before the service was found, and the call doesn't wait for ever. */
START_TEST(opening_ends_in_time_without_a_server)
{
	struct kickmsg_caller_options options = { .wait_ns = 1 };
	struct kickmsg_caller *none = NULL;

	setup(_i);
	kickmsg_server_free(server);
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", &options, &none), -ETIMEDOUT);
	ck_assert_ptr_null(none);
	teardown();
}
END_TEST

/* A copy of a request that has ended does nothing, and nothing of another request's. */
static void expect_over(struct kickmsg_request copy)
{
	unsigned char any[1];
	void *payload;

	ck_assert_int_eq(kickmsg_request_status(&copy), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_more(&copy, "no", 2), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_error(&copy, -EIO), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_loan(&copy, 1, &payload), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_publish(&copy, any, 1, 0), -EINVAL);
	ck_assert_int_eq(kickmsg_reply_discard(&copy, any), -EINVAL);
	ck_assert_int_eq(kickmsg_reply(&copy, "no", 2), -EINVAL);
}

/* The request's place in the table is free, or another request's; its caller is gone, or another
 * caller has that place. */
START_TEST(copy_of_a_request_that_has_ended_is_refused)
{
	setup(_i);
	begin("first");
	struct kickmsg_request request = take("first"), copy = request;
	ck_assert_int_eq(kickmsg_reply(&request, "yes", 3), 0);
	expect_over(copy);
	begin("second");
	request = take("second");
	ck_assert_uint_eq(request.task, copy.task);
	expect_over(copy);
	ck_assert_int_eq(kickmsg_reply(&request, "yes", 3), 0);
	for (int i = 0; i < 2; i++) {
		struct kickmsg_reply reply;

		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_uint_eq(reply.len, 3);
		kickmsg_reply_release(&reply);
	}
	kickmsg_caller_free(caller);
	ck_assert(test_wait_until(look_for_requests() && !server->visitors, FLOW_WAIT_MS));
	expect_over(copy);
	caller = open_service(calling);
	expect_over(copy);
	begin("third");
	request = take("third");
	ck_assert_ptr_eq(request.visitor, copy.visitor);
	expect_over(copy);
	ck_assert_int_eq(kickmsg_reply(&request, "yes", 3), 0);
	teardown();
}
END_TEST

START_TEST(all_is_given_back)
{
	struct flow_stock stock;
	struct kickmsg_client *other;

	test_broker_start(&broker, NULL);
	flow_take_stock(&stock);
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)_i;
	for (int i = 0; i < 20; i++) {
		serving = flow_client("serving");
		calling = flow_client("calling");
		other = flow_client("other");
		server = serve(serving);
		caller = open_service(calling);
		struct kickmsg_caller *second = open_service(other);
		begin("x");
		if (i % 2)
			kickmsg_caller_free(second);
		if (i % 3)
			kickmsg_server_free(server);
		kickmsg_client_free(i % 4 ? calling : serving);
		kickmsg_client_free(i % 4 ? serving : calling);
		kickmsg_client_free(other);
	}
	flow_check_stock(&stock);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-calls");
	TCase *tcase = tcase_create("service-calls");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, bytes_of_calls_are_counted, 0, 2);
	tcase_add_loop_test(tcase, calls_are_answered_in_any_order, 0, 2);
	tcase_add_loop_test(tcase, requests_and_replies_of_any_length_in_place, 0, 2);
	tcase_add_loop_test(tcase, too_long_too_many_and_what_isnt_lent_are_refused, 0, 2);
	tcase_add_loop_test(tcase, replies_that_are_held_stay_and_more_are_refused, 0, 2);
	tcase_add_loop_test(tcase, deadline_passes_and_the_server_hears_of_it, 0, 2);
	tcase_add_loop_test(tcase, cancelled_calls_end_once_and_free_their_places, 0, 2);
	tcase_add_loop_test(tcase, calls_one_at_a_time_sleep_and_wake, 0, 2);
	tcase_add_loop_test(tcase, server_sees_who_calls, 0, 2);
	tcase_add_loop_test(tcase, many_callers_have_their_turns, 0, 2);
	tcase_add_loop_test(tcase, default_callers_have_room_in_one_sleep, 0, 2);
	tcase_add_loop_test(tcase, bad_names_configs_and_services_are_refused, 0, 2);
	tcase_add_loop_test(tcase, opening_ends_in_time_without_a_server, 0, 2);
	tcase_add_loop_test(tcase, copy_of_a_request_that_has_ended_is_refused, 0, 2);
	tcase_add_loop_test(tcase, all_is_given_back, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
