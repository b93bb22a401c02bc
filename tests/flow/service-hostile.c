/* SPDX-License-Identifier: Apache-2.0 */
/* A caller and a server that mean harm: they say what no library would by the memory that they have. It
 * hurts nobody but the other end, and that one only by calls that end with an error.
 *
 * The file is long because it is a list of such ends. */
#include "libclient/endpoint/publisher.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/kickmsg-service.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "libclient/service/tagged.h"
#include "tests/support/broker/flow.h"

#define CALLS   4
#define WAIT_NS (FLOW_WAIT_MS * INT64_C(1000000))

static struct kickmsg_client *serving, *calling, *harming;
static struct kickmsg_server *server;
static struct kickmsg_caller *caller, *hostile;

static struct kickmsg_caller *open_service(struct kickmsg_client *client)
{
	struct kickmsg_caller *ret = NULL;
	struct kickmsg_request none;

	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &ret), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &none) == -EAGAIN &&
					  kickmsg_caller_wait_server(ret, 0) == 0,
		FLOW_WAIT_MS));
	return ret;
}

static void setup(int transport)
{
	struct kickmsg_service_config config;

	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	harming = flow_client("harming");
	kickmsg_service_config_init(&config);
	config.transport = (uint32_t)transport;
	config.max_calls = CALLS;
	config.max_replies = 2;
	ck_assert_int_eq(kickmsg_serve(serving, "s", &config, &server), 0);
	caller = open_service(calling);
	hostile = open_service(harming);
}

static void teardown(void)
{
	kickmsg_client_free(calling);
	kickmsg_client_free(harming);
	kickmsg_client_free(serving);
	flow_stop();
}

/* A message with this label, of `len` bytes. */
static void say(struct kickmsg_publisher *out, const struct km_label *label, size_t len)
{
	const unsigned char message[128] = { 0 };
	const uint64_t tag = km_message_tag(label);
	void *payload;

	if (out->handle.place.region.shared)
		km_tagged_send(out, message, len, tag, label->word);
	else if (kickmsg_loan(out, len, &payload) == 0) {
		memcpy(payload, message, len);
		km_tagged_publish(out, payload, len, tag, label->word);
	}
}

/* The good caller is answered, whatever else the server has to do. */
static void expect_good_calls(void)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t id;

	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(kickmsg_call_begin(caller, "good", 4, -1, &id), 0);
		for (;;) {
			ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
			bool is_good = request.caller->client_id ==
				       server->visitors->next->info.client_id;
			int r = kickmsg_reply(&request, request.data, request.len);

			ck_assert(is_good ? r == 0 : r == 0 || r == -EAGAIN || r == -EMSGSIZE);
			if (is_good)
				break;
		}
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_uint_eq(reply.id, id);
		ck_assert_int_eq(reply.error, 0);
		ck_assert_mem_eq(reply.data, "good", 4);
		kickmsg_reply_release(&reply);
	}
}

START_TEST(caller_that_sends_rubbish)
{
	static const uint64_t ids[] = { 0, 1, KM_CALL_IDS }, words[] = { 0, INT64_MAX, UINT64_MAX };
	struct kickmsg_publisher *out;

	setup(_i);
	out = hostile->line->channel.out;
	for (unsigned kind = 0; kind < 16; kind++)
		for (size_t i = 0; i < 9; i++) {
			const struct km_label label = {
				.id = ids[i % 3], .word = words[i / 3], .kind = kind
			};

			for (size_t len = 0; len <= 16; len += 4)
				say(out, &label, len);
			expect_good_calls();
		}
	/* the time stands where the tag is to be */
	kickmsg_send(out, "short", 5);
	kickmsg_send(out, NULL, 0);
	expect_good_calls();
	teardown();
}
END_TEST

/* More calls than it may, all with one id, and no reply taken. */
START_TEST(caller_that_floods_and_takes_no_reply)
{
	const struct km_label label = { .id = 1, .word = INT64_MAX, .kind = KM_MESSAGE_REQUEST };

	setup(_i);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 20; i++)
			say(hostile->line->channel.out, &label, 8);
		expect_good_calls();
	}
	/* the server holds no more of it than it may have in flight, and the one with which it reads on */
	struct kickmsg_request request;
	int held = 0;
	for (int i = 0; i < 100; i++)
		say(hostile->line->channel.out, &label, 8);
	while (kickmsg_take_request(server, 0, &request) == 0)
		held++;
	ck_assert_int_eq(held, CALLS + 1);
	teardown();
}
END_TEST

/* The caller holds all slots of its replies' topic. Answers to it fail, and the server still has
 * them to send. */
START_TEST(caller_that_leaves_no_slot_free)
{
	struct kickmsg_request request;
	uint64_t id;

	setup(KICKMSG_TRANSPORT_RINGS);
	ck_assert_int_eq(kickmsg_call_begin(hostile, "x", 1, -1, &id), 0);
	ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
	const struct km_region *replies = &hostile->line->channel.in->handle.place.region;
	for (uint32_t i = 0; i < replies->geometry.pool_size; i++)
		atomic_fetch_or(&replies->slots[i].word, 1);
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), -EAGAIN);
	ck_assert_int_eq(kickmsg_request_status(&request), 0);
	expect_good_calls();
	/* the broker takes that back, or gives the topic up */
	ck_assert(test_wait_until(kickmsg_reply(&request, "y", 1) != -EAGAIN, FLOW_WAIT_MS));
	expect_good_calls();
	teardown();
}
END_TEST

START_TEST(server_that_makes_replies_up)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t a, b;

	setup(_i);
	struct kickmsg_publisher *out = server->visitors->next->channel.out;
	ck_assert_uint_eq(server->visitors->next->endpoint, caller->endpoint);
	for (int round = 0; round < 20; round++) {
		ck_assert_int_eq(kickmsg_call_begin(caller, "a", 1, -1, &a), 0);
		ck_assert_int_eq(kickmsg_call_begin(caller, "b", 1, -1, &b), 0);
		const struct km_label lies[] = {
			{ .id = a + (UINT64_C(1) << 16), .kind = KM_MESSAGE_LAST },
			{ .id = a - (UINT64_C(1) << 16), .kind = KM_MESSAGE_LAST },
			{ .id = a | UINT16_MAX, .kind = KM_MESSAGE_LAST },
			{ .id = UINT64_MAX, .kind = KM_MESSAGE_MORE },
			{ .id = a, .kind = KM_MESSAGE_REQUEST },
			{ .id = a, .kind = KM_MESSAGE_CANCEL },
			{ .id = a, .kind = 0 },
			{ .id = a, .kind = KM_MESSAGE_HELLO },
			{ .id = a, .kind = 15 },
			{ .id = a + (UINT64_C(1) << 16), .kind = KM_MESSAGE_ERROR },
		};
		for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
			say(out, &lies[i], 8);
			ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -EAGAIN);
		}
		/* an end that is true, sent twice, ends the call once; an error that can't be ends
		 * it with another one */
		const struct km_label last = {
			.id = a, .word = 17, .kind = round % 2 ? KM_MESSAGE_ERROR : KM_MESSAGE_LAST
		};
		say(out, &last, 8);
		say(out, &last, 8);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_uint_eq(reply.id, a);
		ck_assert_int_eq(reply.error, round % 2 ? -EPROTO : 0);
		kickmsg_reply_release(&reply);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -EAGAIN);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
			ck_assert_int_eq(kickmsg_reply(&request, "z", 1), 0);
		}
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_uint_eq(reply.id, b);
		kickmsg_reply_release(&reply);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -ENOENT);
	}
	teardown();
}
END_TEST

/* A server pushes its own replies out. Its caller gets what is left, and the call ends once, by its deadline. */
START_TEST(server_that_floods_replies)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	uint64_t id;

	setup(_i);
	struct kickmsg_publisher *out = server->visitors->next->channel.out;
	for (int round = 0; round < 10; round++) {
		int heard = 0, r;

		ck_assert_int_eq(kickmsg_call_begin(caller, "a", 1, INT64_C(20000000), &id), 0);
		const struct km_label more = { .id = id, .kind = KM_MESSAGE_MORE };
		for (int i = 0; i < 500; i++)
			say(out, &more, 8);
		while ((r = kickmsg_take_reply(caller, WAIT_NS, &reply)) == 0 && reply.more) {
			ck_assert_uint_eq(reply.id, id);
			kickmsg_reply_release(&reply);
			ck_assert_int_lt(++heard, 500);
		}
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(reply.id, id);
		ck_assert_int_eq(reply.error, -ETIMEDOUT);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -ENOENT);
		/* what it says behind the end is for nobody */
		for (int i = 0; i < 500; i++)
			say(out, &more, 8);
		while (kickmsg_take_request(server, 0, &request) == 0)
			ck_assert_int_eq(kickmsg_reply(&request, "z", 1), 0);
		ck_assert_int_eq(kickmsg_take_reply(caller, 0, &reply), -ENOENT);
		expect_good_calls();
	}
	teardown();
}
END_TEST

/* A server that takes requests comes to others whatever one caller sends meanwhile. */
START_TEST(caller_that_floods_cancels)
{
	const struct km_label cancel = { .id = 77, .kind = KM_MESSAGE_CANCEL };
	struct kickmsg_subscriber_stats stats;
	struct kickmsg_request none;

	setup(_i);
	struct kickmsg_subscriber *in = server->visitors->channel.in;
	for (int i = 0; i < 16; i++)
		say(hostile->line->channel.out, &cancel, 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	kickmsg_subscriber_get_stats(in, &stats);
	ck_assert_uint_eq(stats.waiting, 16 - CALLS - 1 - KM_SERVICE_CANCELS);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	kickmsg_subscriber_get_stats(in, &stats);
	ck_assert_uint_eq(stats.waiting, 0);
	expect_good_calls();
	teardown();
}
END_TEST

/* The topic of a caller's replies is the caller's. One whose messages have no place for a tag is no channel. */
START_TEST(caller_whose_replies_have_no_tag)
{
	struct km_geometry replies, requests;
	struct kickmsg_subscriber *service, *in;
	struct kickmsg_publisher *out;
	struct kickmsg_request none;
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE, .topic = "s" };

	setup(KICKMSG_TRANSPORT_SHARED);
	ck_assert_int_eq(km_subscriber_attach(harming, &request, NULL, &service), 0);
	replies = km_service_replies(&server->shape);
	replies.timestamps = 0;
	request = (struct km_msg_attach){ .kind = KM_KIND_REPLIES,
		.flags = KM_ATTACH_CREATE,
		.has_geometry = 1,
		.geometry = replies,
		.topic = "s" };
	snprintf(request.owner, sizeof request.owner, "%lu",
		(unsigned long)service->handle.place.endpoint);
	ck_assert_int_eq(km_subscriber_attach(harming, &request, NULL, &in), 0);
	requests = km_service_requests(&server->shape);
	request.kind = KM_KIND_REQUESTS;
	request.flags = 0;
	request.geometry = requests;
	/* the broker tells the server */
	(void)km_publisher_attach(harming, &request, &out);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &none) == -EAGAIN &&
					  server->newest >= service->handle.place.endpoint,
		FLOW_WAIT_MS));
	expect_good_calls();
	for (struct km_visitor *visitor = server->visitors; visitor; visitor = visitor->next)
		ck_assert_uint_ne(visitor->endpoint, service->handle.place.endpoint);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &none), -EAGAIN);
	teardown();
}
END_TEST

/* Is the caller met by the server, while that does nothing else? */
static bool is_served(struct kickmsg_server *by, struct kickmsg_caller *whom)
{
	struct kickmsg_request none;

	return test_wait_until(kickmsg_take_request(by, 0, &none) == -EAGAIN &&
				       kickmsg_caller_wait_server(whom, 0) == 0,
		FLOW_WAIT_MS);
}

/* An endpoint at the service, and no topics: it stands still as it opens the service, or means harm. */
START_TEST(caller_without_topics_keeps_nobody_waiting)
{
	struct kickmsg_service_config config;
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE, .topic = "s" };
	struct kickmsg_subscriber *service;

	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	harming = flow_client("harming");
	kickmsg_service_config_init(&config);
	ck_assert_int_eq(kickmsg_serve(serving, "s", &config, &server), 0);
	ck_assert_int_eq(km_subscriber_attach(harming, &request, NULL, &service), 0);
	ck_assert_int_eq(kickmsg_open_service(calling, "s", NULL, &caller), 0);
	ck_assert(is_served(server, caller));
	kickmsg_subscriber_free(service);
	teardown();
}
END_TEST

/* A caller's server is gone, and so are its topics. The next server comes while the caller doesn't
 * look. */
START_TEST(idle_caller_keeps_nobody_waiting)
{
	struct kickmsg_service_config config;
	struct kickmsg_client *next = NULL;
	struct kickmsg_server *second = NULL;
	struct kickmsg_caller *idle;

	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	harming = flow_client("idle");
	next = flow_client("next");
	kickmsg_service_config_init(&config);
	ck_assert_int_eq(kickmsg_serve(serving, "s", &config, &server), 0);
	idle = open_service(harming);
	kickmsg_server_free(server);
	ck_assert(test_wait_until(kickmsg_caller_wait_server(idle, 0) != 0, FLOW_WAIT_MS));
	/* long enough to give its topics up */
	ck_assert_int_eq(kickmsg_caller_wait_server(idle, 3 * KM_PATIENCE_NS), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_serve(next, "s", &config, &second), 0);
	ck_assert_int_eq(kickmsg_open_service(calling, "s", NULL, &caller), 0);
	ck_assert(is_served(second, caller));
	/* the idle caller is served once it looks again */
	ck_assert(is_served(second, idle));
	kickmsg_client_free(next);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-hostile");
	TCase *tcase = tcase_create("service-hostile");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, caller_that_sends_rubbish, 0, 2);
	tcase_add_loop_test(tcase, caller_that_floods_and_takes_no_reply, 0, 2);
	tcase_add_test(tcase, caller_that_leaves_no_slot_free);
	tcase_add_loop_test(tcase, server_that_makes_replies_up, 0, 2);
	tcase_add_loop_test(tcase, server_that_floods_replies, 0, 2);
	tcase_add_loop_test(tcase, caller_that_floods_cancels, 0, 2);
	tcase_add_test(tcase, caller_whose_replies_have_no_tag);
	tcase_add_test(tcase, caller_without_topics_keeps_nobody_waiting);
	tcase_add_test(tcase, idle_caller_keeps_nobody_waiting);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
