/* SPDX-License-Identifier: Apache-2.0 */
/* Bad values in requests about topics, past the library's own checks, get an error, and the
 * connection goes on. A message that can't be a request gets an error and the end. */
#include "common/protocol/wire.h"
#include "tests/support/broker/flow.h"

static const uint32_t ops[] = { KM_OP_INFO, KM_OP_STATS, KM_OP_CLIENTS, KM_OP_SCHEMA, KM_OP_CLAIM,
	KM_OP_UNLINK, KM_OP_DIAGNOSE, KM_OP_REPAIR };
#define EACH_OP(op)                                                                                \
	for (uint32_t i_ = 0, op = ops[0]; i_ < sizeof ops / sizeof ops[0];                        \
		i_++, op = ops[i_ % (sizeof ops / sizeof ops[0])])

static struct flow_stock stock;
static struct kickmsg_client *owner;
static int peer;

static void setup(void)
{
	test_broker_start(&broker, NULL);
	flow_take_stock(&stock);
	owner = flow_client("owner");
	flow_advertise(owner, "good", NULL);
	peer = test_peer_hello(broker.socket, "peer", NULL);
}

/* All is as before, and nothing is left behind. */
static void teardown(void)
{
	struct kickmsg_topic_info info[2];
	struct kickmsg_schema schema;
	struct kickmsg_topic_ref good = { .name = "good" };
	uint64_t cursor = 0;

	ck_assert_int_eq(kickmsg_topic_list(owner, &cursor, info, 2), 1);
	ck_assert_str_eq(info[0].name, "good");
	ck_assert_uint_eq(info[0].publishers, 1);
	ck_assert_int_eq(kickmsg_topic_schema(owner, &good, &schema), -ENODATA);
	kickmsg_client_free(owner);
	/* the next hello from here closes the segment of the one before */
	close(peer);
	close(test_peer_hello(broker.socket, "peer", &peer));
	close(peer);
	flow_check_stock(&stock);
	flow_stop();
}

static union km_msg request_of(uint32_t op, const char *topic)
{
	union km_msg request;

	memset(&request, 0, sizeof request);
	request.header.op = op;
	request.header.serial = 77;
	snprintf(request.topic.topic, sizeof request.topic.topic, "%s", topic);
	if (op == KM_OP_REPAIR)
		request.repair.what = KM_REPAIR_ALL;
	return request;
}

static void expect(const union km_msg *request, int error, const char *says)
{
	union km_msg answer;
	int op = test_peer_call(peer, request, km_wire_size(request->header.op), &answer);

	flow_expect_error(&answer, op, error, says);
	ck_assert_uint_eq(answer.header.serial, 77);
}

/* The connection lives. */
static void expect_life(void)
{
	union km_msg request = request_of(KM_OP_INFO, "good"), answer;

	ck_assert_int_eq(
		test_peer_call(peer, &request, sizeof request.topic, &answer), KM_OP_INFO_OK);
	ck_assert_str_eq(answer.info_ok.entry.topic, "good");
}

START_TEST(unclean_name_is_einval_and_the_connection_lives)
{
	static const char *const names[] = { "", "/a", "with space", "a:b", "a%2fb", "%41", "%",
		"\xff\xfe" };

	EACH_OP(op)
	{
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			union km_msg request = request_of(op, names[i]);

			expect(&request, -EINVAL, "is not a topic's name");
		}
		expect_life();
	}
}
END_TEST

START_TEST(owner_only_of_a_mailbox_and_clean)
{
	EACH_OP(op)
	{
		union km_msg request = request_of(op, "good");

		strcpy(request.topic.owner, "owner");
		expect(&request, -EINVAL, "a topic has no owner");
		request.topic.kind = KM_KIND_BROADCAST;
		expect(&request, -EINVAL, "a channel has no owner");
		request.topic.kind = KM_KIND_MAILBOX;
		strcpy(request.topic.owner, "own er");
		expect(&request, -EINVAL, "is not a client's name");
		expect_life();
	}
}
END_TEST

START_TEST(unknown_topic_is_enoent_and_says_which)
{
	EACH_OP(op)
	{
		union km_msg request = request_of(op, "nowhere");

		expect(&request, -ENOENT, "no topic 'nowhere' with prefix 'kickmsg'");
		request = request_of(op, "good");
		strcpy(request.topic.prefix, "elsewhere");
		expect(&request, -ENOENT, "no topic 'good' with prefix 'elsewhere'");
		strcpy(request.topic.prefix, "\x01\xff");
		expect(&request, -ENOENT, "prefix '?\?'");
		request = request_of(op, "good");
		request.topic.kind = KM_KIND_BROADCAST;
		expect(&request, -ENOENT, "no channel 'good'");
		request.topic.kind = KM_KIND_MAILBOX;
		strcpy(request.topic.owner, "owner");
		expect(&request, -ENOENT, "no mailbox 'good' of owner");
		expect_life();
	}
}
END_TEST

START_TEST(claim_of_a_stranger_is_eperm)
{
	union km_msg request = request_of(KM_OP_CLAIM, "good");

	memset(&request.claim.schema, 0xff, sizeof request.claim.schema);
	expect(&request, -EPERM, "only participants of topic 'good'");
	expect_life();
}
END_TEST

START_TEST(foreign_cursor_gives_a_page_or_nothing)
{
	union km_msg request = request_of(KM_OP_CLIENTS, "good"), answer;

	for (uint64_t i = 0; i < 3; i++) {
		request.topic.cursor = i == 0 ? 1 : i == 1 ? UINT64_MAX : UINT64_MAX / 2;
		ck_assert_int_eq(test_peer_call(peer, &request, sizeof request.topic, &answer),
			KM_OP_CLIENTS_OK);
		ck_assert_uint_eq(answer.clients_ok.count, i > 0);
		ck_assert_uint_eq(answer.clients_ok.next, 0);
	}
	expect_life();
}
END_TEST

/* A kind that isn't, words that must be 0, a cursor that means nothing, a text without end. */
START_TEST(what_can_not_be_a_request_is_eproto_and_the_end)
{
	EACH_OP(op)
	{
		for (int i = 0; i < 8; i++) {
			union km_msg request = request_of(op, "good"), answer;
			struct km_msg_topic *topic = &request.topic;

			if (i == 0)
				topic->kind = KM_KIND_LAST + 1;
			else if (i == 1)
				topic->kind = UINT32_MAX;
			else if (i == 2)
				topic->reserved = 1;
			else if (i == 3 &&
				 (op == KM_OP_CLIENTS || op == KM_OP_STATS || op == KM_OP_DIAGNOSE))
				continue;
			else if (i == 3)
				topic->cursor = 1;
			else if (i == 4)
				memset(topic->topic, 'x', sizeof topic->topic);
			else if (i == 5)
				memset(topic->prefix, 'x', sizeof topic->prefix);
			else
				memset(topic->owner, 'x', sizeof topic->owner);
			int fd, socket = test_peer_hello(broker.socket, "bad", &fd);
			int r = test_peer_call(socket, &request, km_wire_size(op), &answer);

			flow_expect_error(&answer, r, -EPROTO, "");
			ck_assert_int_eq(test_peer_answer(socket, &answer), -ENOTCONN);
			close(socket);
			close(fd);
		}
	}
	expect_life();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-daemon-values");
	TCase *tc = tcase_create("values");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, unclean_name_is_einval_and_the_connection_lives);
	tcase_add_test(tc, owner_only_of_a_mailbox_and_clean);
	tcase_add_test(tc, unknown_topic_is_enoent_and_says_which);
	tcase_add_test(tc, claim_of_a_stranger_is_eperm);
	tcase_add_test(tc, foreign_cursor_gives_a_page_or_nothing);
	tcase_add_test(tc, what_can_not_be_a_request_is_eproto_and_the_end);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
