/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: calls that nobody waits for any more. Nothing is pushed out of the rings whatever the two ends
 * do, each call ends, and a server hears of each cancel.
 *
 * The file is long because its last case plays both programs, by all calls of theirs, over the same fixture.
 */
#include "common/clock.h"
#include "libclient/kickmsg-service.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"

#define MOST  1023
#define LOANS KM_SERVICE_LOANS

static struct kickmsg_client *serving, *calling;
static struct kickmsg_service_config config;
static struct kickmsg_server *server;
static struct kickmsg_caller *caller;
static struct kickmsg_request taken[MOST];
static uint64_t ids[MOST];

static void setup(int transport, uint32_t max_calls, uint32_t max_replies)
{
	struct kickmsg_request none;

	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)transport;
	config.max_calls = max_calls;
	config.max_replies = max_replies;
	config.max_request_size = config.max_reply_size = 64;
	ck_assert_int_eq(kickmsg_serve(serving, "s", &config, &server), 0);
	ck_assert_int_eq(kickmsg_open_service(calling, "s", NULL, &caller), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &none) == -EAGAIN &&
					  kickmsg_caller_wait_server(caller, 0) == 0,
		FLOW_WAIT_MS));
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

/* Begins so many calls, which the server takes. */
static void begin_held(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ids[i] = begin("held");
	for (uint32_t i = 0; i < count; i++)
		ck_assert_int_eq(kickmsg_take_request(server, 0, &taken[i]), 0);
}

static void cancel(uint64_t id)
{
	struct kickmsg_reply reply;

	ck_assert_int_eq(kickmsg_call_cancel(caller, id), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
	ck_assert_uint_eq(reply.id, id);
	ck_assert_int_eq(reply.error, -ECANCELED);
}

static void answer(struct kickmsg_request *request)
{
	ck_assert_int_eq(kickmsg_reply(request, "x", 1), 0);
}

static void expect_nothing(void)
{
	struct kickmsg_reply reply;
	int r = kickmsg_take_reply(caller, 0, &reply);

	ck_assert(r == -EAGAIN || r == -ENOENT);
}

static void expect_nothing_lost(void)
{
	ck_assert_uint_eq(kickmsg_subscriber_lost(server->visitors->channel.in), 0);
	ck_assert_uint_eq(kickmsg_subscriber_lost(caller->line->channel.in), 0);
}

/* Both ends do what they have to do until all places are free. */
static void expect_all_free(void)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;

	for (int i = 0; i < 10 * MOST && caller->free_count < config.max_calls; i++) {
		while (kickmsg_take_request(server, 0, &request) == 0)
			answer(&request);
		if (kickmsg_take_reply(caller, 0, &reply) == 0)
			kickmsg_reply_release(&reply);
	}
	ck_assert_uint_eq(caller->free_count, config.max_calls);
	ck_assert_uint_eq(caller->in_flight, 0);
	ck_assert_uint_eq(server->visitors->busy, 0);
	expect_nothing_lost();
}

/* --- cases ---------------------------------------------------------------------------------------- */

/* The server answers what it took, without a look at its ring, where cancels and new requests pile up. */
START_TEST(cancels_push_no_request_out)
{
	enum { MANY = 16 };
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t fresh[MANY];
	uint32_t begun = 0, at = 1, came = 0;
	bool precious = false;

	setup(_i, MANY, 1);
	begin_held(MANY);
	answer(&taken[0]);
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
	kickmsg_reply_release(&reply);
	fresh[begun++] = begin("precious");
	for (uint32_t some; at < MANY; at += some) {
		some = MANY - at < 8 ? MANY - at : 8;
		for (uint32_t i = at; i < at + some; i++)
			cancel(ids[i]);
		for (uint32_t i = at; i < at + some; i++)
			answer(&taken[i]);
		expect_nothing();
		for (uint32_t i = 0; i < some; i++)
			fresh[begun++] = begin("new");
	}
	for (int i = 8; i < MANY; i++)
		cancel(fresh[i]);
	while (kickmsg_take_request(server, 0, &request) == 0) {
		precious |= request.len == 8;
		answer(&request);
	}
	ck_assert(precious);
	while (kickmsg_take_reply(caller, 0, &reply) == 0) {
		came += reply.error == 0;
		kickmsg_reply_release(&reply);
	}
	ck_assert_uint_eq(came, 8);
	expect_all_free();
	teardown();
}
END_TEST

/* The server waits for the cancel of each request, and answers none without. */
START_TEST(all_cancels_are_told)
{
	static const uint32_t counts[] = { 1, 12, 16, MOST };
	const uint32_t count = counts[_i / 2];
	uint32_t told = 0;

	setup(_i % 2, count == 12 ? 16 : count, 1);
	begin_held(count);
	for (uint32_t i = 0; i < count; i++)
		cancel(ids[i]);
	for (uint32_t round = 0; round < 4 * count && told < count; round++) {
		for (uint32_t i = 0; i < count; i++)
			if (taken[i].server && kickmsg_request_status(&taken[i]) == -ECANCELED) {
				ck_assert_int_eq(kickmsg_reply_error(&taken[i], -ECANCELED), 0);
				told++;
			}
		expect_nothing();
	}
	ck_assert_uint_eq(told, count);
	expect_all_free();
	teardown();
}
END_TEST

/* The calls are answered all the same, and the server has nothing to say any more when it reads their
 * cancels. The one that it is told of next is the one that it does. */
START_TEST(cancel_is_told_behind_others_of_calls_that_were_answered)
{
	setup(_i, 16, 1);
	for (int round = 0; round < 10; round++) {
		begin_held(KM_SERVICE_CANCELS);
		for (int i = 0; i < KM_SERVICE_CANCELS; i++)
			cancel(ids[i]);
		for (int i = 0; i < KM_SERVICE_CANCELS; i++)
			answer(&taken[i]);
		expect_nothing();
		begin_held(1);
		cancel(ids[0]);
		ck_assert_int_eq(kickmsg_request_status(&taken[0]), -ECANCELED);
		answer(&taken[0]);
		expect_nothing();
	}
	expect_all_free();
	teardown();
}
END_TEST

/* The server holds all that the caller may have in flight, and reads on. */
START_TEST(cancel_is_seen_while_all_calls_are_held)
{
	static const uint32_t counts[] = { 1, 4, MOST };
	const uint32_t count = counts[_i / 2];
	struct kickmsg_request none;

	setup(_i % 2, count, 1);
	ck_assert_int_ge(kickmsg_server_get_fd(server), 0);
	begin_held(count);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	ck_assert(!server->visitors->channel.muted);
	ck_assert_int_eq(kickmsg_request_status(&taken[count - 1]), 0);
	cancel(ids[count - 1]);
	ck_assert_int_eq(kickmsg_request_status(&taken[count - 1]), -ECANCELED);
	for (uint32_t i = 0; i < count; i++)
		answer(&taken[i]);
	expect_all_free();
	teardown();
}
END_TEST

/* A server whose program has lent all that it may answers nevertheless, also late requests by itself. */
START_TEST(server_answers_beside_its_loans)
{
	struct kickmsg_reply reply;
	struct kickmsg_request none;
	void *rooms[LOANS], *more;
	uint64_t id;

	setup(_i, 4, 3);
	begin_held(1);
	for (int i = 0; i < LOANS; i++)
		ck_assert_int_eq(kickmsg_reply_loan(&taken[0], 8, &rooms[i]), 0);
	ck_assert_int_eq(kickmsg_reply_loan(&taken[0], 8, &more), -EDQUOT);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(kickmsg_call_begin(caller, "late", 4, 1, &id), 0);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_int_eq(reply.error, -ETIMEDOUT);
		ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
		ck_assert_uint_eq(server->visitors->busy, 1);
		expect_nothing();
		ck_assert_uint_eq(caller->free_count, 3);
	}
	ck_assert_int_eq(kickmsg_reply_more(&taken[0], "more", 4), 0);
	ck_assert_int_eq(kickmsg_reply_publish(&taken[0], rooms[0], 1, 1), 0);
	ck_assert_int_eq(kickmsg_reply_loan(&taken[0], 8, &rooms[0]), 0);
	for (int i = 0; i < LOANS; i++)
		ck_assert_int_eq(kickmsg_reply_discard(&taken[0], rooms[i]), 0);
	answer(&taken[0]);
	expect_all_free();
	teardown();
}
END_TEST

/* A caller whose program has lent all that it may calls, and takes its calls back. */
START_TEST(caller_calls_and_cancels_beside_its_loans)
{
	void *rooms[LOANS], *more;

	setup(_i, 4, 1);
	for (int i = 0; i < LOANS; i++)
		ck_assert_int_eq(kickmsg_call_loan(caller, 8, &rooms[i]), 0);
	ck_assert_int_eq(kickmsg_call_loan(caller, 8, &more), -EDQUOT);
	begin_held(4);
	cancel(ids[2]);
	ck_assert_int_eq(kickmsg_request_status(&taken[1]), 0);
	ck_assert_int_eq(kickmsg_request_status(&taken[2]), -ECANCELED);
	for (int i = 0; i < 4; i++)
		answer(&taken[i]);
	for (int i = 0; i < LOANS; i++)
		ck_assert_int_eq(kickmsg_call_discard(caller, rooms[i]), 0);
	expect_all_free();
	teardown();
}
END_TEST

/* --- anything, in any order ------------------------------------------------------------------------ */

static uint64_t drawn;

static uint32_t draw(uint32_t below)
{
	drawn = drawn * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(drawn >> 33) % below;
}

/* The calls, requests, replies and rooms that the two programs have. */
static struct {
	uint32_t in_flight; /* ids */
	bool in_time[MOST], given_up[MOST];
	uint32_t taken, sent[MOST];
	struct kickmsg_reply held[MOST];
	uint32_t held_count;
	void *call_rooms[LOANS], *reply_rooms[LOANS];
	uint32_t call_loans, reply_loans;
} have;

static void do_begin(void)
{
	static const int64_t timeouts[] = { -1, -1, -1, 1, 20000, 1000000 };
	const int64_t timeout_ns = timeouts[draw(6)];
	bool in_place = have.call_loans > 0 && draw(3) == 0;
	uint64_t id;
	int r = in_place ? kickmsg_call_publish(
				   caller, have.call_rooms[have.call_loans - 1], 8, timeout_ns, &id)
			 : kickmsg_call_begin(caller, "request", 7, timeout_ns, &id);

	ck_assert_int_eq(r, caller->free_count > 0 || r == 0 ? 0 : -EDQUOT);
	if (r < 0)
		return;
	have.call_loans -= in_place;
	have.in_time[have.in_flight] = timeout_ns < 0;
	have.given_up[have.in_flight] = false;
	ids[have.in_flight++] = id;
}

static void do_lend(void)
{
	void *room;
	int r = kickmsg_call_loan(caller, 8, &room);

	ck_assert_int_eq(r, have.call_loans < LOANS ? 0 : -EDQUOT);
	if (r == 0)
		have.call_rooms[have.call_loans++] = room;
}

/* The program may not have been told yet that the call has ended. */
static void do_cancel(void)
{
	uint32_t at = have.in_flight > 0 ? draw(have.in_flight) : 0;

	if (have.in_flight > 0)
		have.given_up[at] |= kickmsg_call_cancel(caller, ids[at]) == 0;
}

static void do_release(void)
{
	if (have.held_count > 0)
		kickmsg_reply_release(&have.held[--have.held_count]);
}

static void do_hear(void)
{
	struct kickmsg_reply reply;
	uint32_t at = 0;
	int r = kickmsg_take_reply(caller, 0, &reply);

	if (r < 0) {
		ck_assert(r == -EAGAIN || r == (have.in_flight > 0 ? r : -ENOENT) ||
			  (r == -EDQUOT && have.held_count == config.max_calls));
		return;
	}
	while (at < have.in_flight && ids[at] != reply.id)
		at++;
	ck_assert_uint_lt(at, have.in_flight);
	ck_assert(reply.error == 0 || reply.error == -EIO ||
		  reply.error == (have.given_up[at] ? -ECANCELED : -ETIMEDOUT));
	ck_assert(reply.error != -ETIMEDOUT || !have.in_time[at]);
	/* a reply that others follow may have come before its call was given up */
	if (!reply.more) {
		ck_assert_int_eq(reply.error == -ECANCELED, have.given_up[at]);
		have.in_flight--;
		ids[at] = ids[have.in_flight];
		have.in_time[at] = have.in_time[have.in_flight];
		have.given_up[at] = have.given_up[have.in_flight];
	}
	if (reply.data && draw(2))
		have.held[have.held_count++] = reply;
	else
		kickmsg_reply_release(&reply);
}

static void do_take(void)
{
	int r = kickmsg_take_request(server, 0, &taken[have.taken]);

	ck_assert(r == 0 || r == -EAGAIN);
	if (r == 0)
		have.sent[have.taken++] = 0;
	ck_assert_uint_le(have.taken, config.max_calls);
}

static void do_ask(void)
{
	if (have.taken > 0)
		kickmsg_request_status(&taken[draw(have.taken)]);
}

static void do_more(void)
{
	uint32_t at = have.taken > 0 ? draw(have.taken) : 0;

	if (have.taken == 0)
		return;
	int r = kickmsg_reply_more(&taken[at], "more", 4);
	ck_assert_int_eq(r, ++have.sent[at] < config.max_replies ? 0 : -EDQUOT);
}

static void do_answer(void)
{
	uint32_t at = have.taken > 0 ? draw(have.taken) : 0, how = draw(3);
	int r;

	if (have.taken == 0)
		return;
	if (how == 0 && have.reply_loans > 0)
		r = kickmsg_reply_publish(
			&taken[at], have.reply_rooms[--have.reply_loans], 8, false);
	else if (how == 1)
		r = kickmsg_reply_error(&taken[at], -EIO);
	else
		r = kickmsg_reply(&taken[at], taken[at].data, taken[at].len);
	ck_assert_int_eq(r, 0);
	have.taken--;
	taken[at] = taken[have.taken];
	have.sent[at] = have.sent[have.taken];
}

static void do_lend_reply(void)
{
	void *room;

	if (have.taken == 0)
		return;
	int r = kickmsg_reply_loan(&taken[0], 8, &room);
	ck_assert_int_eq(r, have.reply_loans < LOANS ? 0 : -EDQUOT);
	if (r == 0)
		have.reply_rooms[have.reply_loans++] = room;
}

static void (*const deeds[])(void) = { do_begin, do_lend, do_cancel, do_release, do_hear, do_take,
	do_ask, do_more, do_answer, do_lend_reply };
#define DEEDS (sizeof deeds / sizeof *deeds)

static const struct {
	uint32_t max_calls, max_replies;
} shapes[] = { { 1, 1 }, { 8, 1 }, { 9, 1 }, { 24, 1 }, { 56, 1 }, { 15, 1 }, { 5, 3 }, { 21, 3 } };
#define SHAPES ((int)(sizeof shapes / sizeof *shapes))

/* For a while the two do but some of all that they may. The rings are just large enough. */
START_TEST(nothing_is_pushed_out_whatever_the_two_do)
{
	uint32_t mood = 0;

	memset(&have, 0, sizeof have);
	drawn = (uint64_t)_i;
	setup(_i % 2, shapes[_i / 2].max_calls, shapes[_i / 2].max_replies);
	for (int step = 0; step < 100000; step++) {
		uint32_t deed = draw(DEEDS);

		if (draw(4 * config.max_calls + 20) == 0)
			mood = draw(1u << DEEDS);
		if (mood >> deed & 1)
			continue;
		deeds[deed]();
		expect_nothing_lost();
	}
	while (have.call_loans > 0)
		kickmsg_call_discard(caller, have.call_rooms[--have.call_loans]);
	while (have.held_count > 0)
		do_release();
	while (have.taken > 0)
		do_answer();
	expect_all_free();
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-cancels");
	TCase *tcase = tcase_create("service-cancels");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, cancels_push_no_request_out, 0, 2);
	tcase_add_loop_test(tcase, all_cancels_are_told, 0, 8);
	tcase_add_loop_test(tcase, cancel_is_told_behind_others_of_calls_that_were_answered, 0, 2);
	tcase_add_loop_test(tcase, cancel_is_seen_while_all_calls_are_held, 0, 6);
	tcase_add_loop_test(tcase, server_answers_beside_its_loans, 0, 2);
	tcase_add_loop_test(tcase, caller_calls_and_cancels_beside_its_loans, 0, 2);
	tcase_add_loop_test(tcase, nothing_is_pushed_out_whatever_the_two_do, 0, 2 * SHAPES);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
