/* SPDX-License-Identifier: Apache-2.0 */
/* The rule `transport = shared`: what it refuses, what it gives those who leave the transport open,
 * and why it is there: a subscriber with private rings can write where others read, one with a
 * shared ring can't. */
#include <sys/mman.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

#define LARGE (1u << 20) /* for which AUTO takes private rings */

static struct kickmsg_client *client;

static void setup(void)
{
	test_broker_start(&broker, "[topic kickmsg:open.*]\ntransport = shared\n"
				   "[topic kickmsg:open.trusted]\ntransport = any\n");
	client = flow_client("c");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static struct kickmsg_topic_config config_of(uint32_t transport, uint64_t payload)
{
	struct kickmsg_topic_config ret;

	kickmsg_topic_config_init(&ret);
	ret.transport = transport;
	ret.max_payload_size = payload;
	ret.ring_capacity = 2;
	ret.pool_size = 8;
	ret.max_publishers = 2;
	ret.max_loans = 1;
	return ret;
}

static uint32_t transport_of(const char *topic, enum kickmsg_kind kind)
{
	struct kickmsg_topic_ref ref = { .name = topic, .kind = kind };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	return info.config.transport;
}

START_TEST(private_rings_are_refused_by_the_rule)
{
	struct kickmsg_topic_config rings = config_of(KICKMSG_TRANSPORT_RINGS, 64);
	struct kickmsg_topic_ref ref = { .name = "open.t" };
	struct kickmsg_topic_info info;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	char where[128];

	ck_assert_int_eq(kickmsg_advertise(client, "open.t", &rings, &publisher), -EACCES);
	snprintf(where, sizeof where, "%s:2: ", broker.config);
	ck_assert(flow_said(client, where));
	ck_assert(flow_said(client, "has to have the shared transport"));
	ck_assert_int_eq(
		kickmsg_subscribe_or_create(client, "open.t", &rings, NULL, &subscriber), -EACCES);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ENOENT);
	/* the more specific rule, and no rule */
	flow_advertise(client, "open.trusted", &rings);
	flow_advertise(client, "other", &rings);
}
END_TEST

START_TEST(transport_left_open_becomes_shared)
{
	struct kickmsg_topic_config automatic = config_of(KICKMSG_TRANSPORT_AUTO, LARGE);
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;

	flow_advertise(client, "free", &automatic);
	ck_assert_uint_eq(transport_of("free", KICKMSG_PUBSUB), KICKMSG_TRANSPORT_RINGS);
	flow_advertise(client, "open.a", &automatic);
	ck_assert_uint_eq(transport_of("open.a", KICKMSG_PUBSUB), KICKMSG_TRANSPORT_SHARED);
	/* the second of them agrees with what the first has got */
	flow_advertise(client, "open.a", &automatic);
	/* the pool that is needed is that of the transport that it gets */
	automatic.pool_size = 0;
	publisher = flow_advertise(client, "open.pool", &automatic);
	ck_assert_str_eq(kickmsg_client_last_error(client), "");
	ck_assert_int_eq(kickmsg_advertise_or_join(client, "open.pool", &automatic, &publisher), 0);
	ck_assert(!flow_said(client, "pool_size"));
	automatic.transport = KICKMSG_TRANSPORT_SHARED;
	ck_assert_int_eq(kickmsg_topic_config_check(&automatic, &sizing), 0);
	ck_assert_uint_eq(flow_health("open.pool").slots_free, sizing.needed_pool);
	/* no config at all */
	publisher = flow_advertise(client, "open.b", NULL);
	subscriber = flow_subscribe(client, "open.b");
	ck_assert_uint_eq(transport_of("open.b", KICKMSG_PUBSUB), KICKMSG_TRANSPORT_SHARED);
	flow_send_int(publisher, 5);
	ck_assert_int_eq(flow_receive_int(subscriber), 5);
	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "open.c", &automatic, NULL, &publisher, &subscriber),
		0);
	ck_assert_uint_eq(transport_of("open.c", KICKMSG_BROADCAST), KICKMSG_TRANSPORT_SHARED);
}
END_TEST

START_TEST(who_comes_again_agrees_with_the_rule)
{
	struct kickmsg_topic_config automatic = config_of(KICKMSG_TRANSPORT_AUTO, LARGE);
	struct kickmsg_publisher *publisher = flow_advertise(client, "open.a", &automatic);

	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(({
		kickmsg_client_dispatch(client);
		kickmsg_send(publisher, "x", 1) == 1 &&
			publisher->handle.place.connection == client->connection;
	}),
		FLOW_WAIT_MS));
	ck_assert_uint_eq(transport_of("open.a", KICKMSG_PUBSUB), KICKMSG_TRANSPORT_SHARED);
}
END_TEST

/* The reason for the rule: with private rings a message in another's name takes no right to
 * publish. */
START_TEST(subscriber_writes_where_others_read_with_private_rings_alone)
{
	struct kickmsg_topic_config config = config_of(KICKMSG_TRANSPORT_RINGS, 64);

	flow_advertise(client, "rings", &config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	flow_advertise(client, "open.s", &config);
	struct kickmsg_subscriber *rings = flow_subscribe(client, "rings");
	struct kickmsg_subscriber *shared = flow_subscribe(client, "open.s");
	struct km_place *a = &rings->handle.place, *b = &shared->handle.place;
	/* the control segment of private rings is writable: cells and slots of everybody */
	ck_assert_int_eq(mprotect(a->control, a->control_size, PROT_READ | PROT_WRITE), 0);
	ck_assert_int_eq(mprotect(a->payload, a->payload_size, PROT_READ | PROT_WRITE), -1);
	/* a subscriber of a shared ring can make neither writable */
	ck_assert_int_eq(mprotect(b->control, b->control_size, PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(mprotect(b->payload, b->payload_size, PROT_READ | PROT_WRITE), -1);
}
END_TEST

START_TEST(rule_that_is_wrong_is_refused)
{
	char output[1024], path[128];
	const char *argv[] = { getenv("KICKMSGD"), "--check-config", "--config", path, NULL };

	snprintf(path, sizeof path, "%s/wrong.conf", broker.dir);
	FILE *file = fopen(path, "we");
	fputs("[topic kickmsg:x]\ntransport = rings\n", file);
	fclose(file);
	if (!argv[0])
		argv[0] = TEST_KICKMSGD;
	ck_assert_int_ne(test_run(argv, output, sizeof output), 0);
	ck_assert_msg(strstr(output, "wrong.conf:2: transport = rings: neither 'shared' nor 'any'"),
		"%s", output);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("transport");
	TCase *tc = tcase_create("transport");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, private_rings_are_refused_by_the_rule);
	tcase_add_test(tc, transport_left_open_becomes_shared);
	tcase_add_test(tc, who_comes_again_agrees_with_the_rule);
	tcase_add_test(tc, subscriber_writes_where_others_read_with_private_rings_alone);
	tcase_add_test(tc, rule_that_is_wrong_is_refused);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
