/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a topic's memory is for people: a participant that overwrites it keeps nobody out,
 * changes nobody's topic, and is named. A test's index is the transport. */
#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

#define ADD_OF_BOTH(test)                                                                          \
	tcase_add_loop_test(tc, test, KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1)
#define CONSTANT offsetof(struct km_control_header, live)

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static const struct kickmsg_topic_ref ref = { .name = "t" };

static void start(uint32_t transport)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = transport;
	test_broker_start(&broker, "[recovery]\ninterval = 50\n");
	client = flow_client("honest");
	publisher = flow_advertise(client, "t", &config);
	subscriber = flow_subscribe(client, "t");
}

static void stop(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* All that the header says, wrong: another process of the topic's participants does it. */
static void spoil(struct km_control_header *header)
{
	memset(header, 0x5a, CONSTANT);
}

static void spoil_and_stay(void *unused)
{
	struct kickmsg_client *mine = flow_client("hostile");
	struct kickmsg_publisher *p = flow_advertise(mine, "t", NULL);

	spoil(p->handle.place.region.header);
	test_child_ready();
	pause();
}

static void check_traffic(void)
{
	flow_send_int(publisher, 7);
	ck_assert_int_eq(
		kickmsg_receive_copy(subscriber, &(int){ 0 }, sizeof(int), 0), sizeof(int));
}

/* Newcomers come at every moment after the mischief: nobody waits for the broker to mend
 * anything. */
START_TEST(newcomers_get_the_broker_s_word)
{
	struct kickmsg_topic_info info;

	start((uint32_t)_i);
	for (int i = 0; i < 50; i++) {
		spoil(publisher->handle.place.region.header);
		struct kickmsg_client *newcomer = flow_client("newcomer");
		struct kickmsg_subscriber *s = flow_subscribe(newcomer, "t");
		struct kickmsg_publisher *p = flow_advertise(newcomer, "t", NULL);

		ck_assert_ptr_null(km_geometry_diff(&s->handle.place.region.geometry,
			&publisher->handle.place.region.geometry));
		flow_send_int(p, i);
		ck_assert_int_eq(flow_receive_int(s), i);
		ck_assert_int_eq(flow_receive_int(subscriber), i);
		kickmsg_client_free(newcomer);
	}
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	ck_assert(!info.quarantined && !info.config.persistent && !info.has_schema);
	check_traffic();
	stop();
}
END_TEST

START_TEST(what_was_overwritten_is_mended_and_said)
{
	struct kickmsg_topic_diagnosis health;
	struct km_control_header before;
	char suspect[64], output[4096];

	start((uint32_t)_i);
	memcpy((void *)&before, publisher->handle.place.region.header, CONSTANT);
	pid_t hostile = test_child_start(spoil_and_stay, NULL);
	/* the tick sees it, without any request */
	ck_assert(test_wait_until(
		memcmp(&before, publisher->handle.place.region.header, CONSTANT) == 0,
		FLOW_WAIT_MS));
	snprintf(suspect, sizeof suspect, "'hostile' (pid %d, uid %u)", hostile, geteuid());
	ck_assert(test_wait_until(test_broker_logged(&broker, suspect), FLOW_WAIT_MS));
	ck_assert(test_broker_logged(&broker, "its header was overwritten at byte 0"));
	ck_assert_int_eq(kickmsg_topic_diagnose(client, &ref, &health), 0);
	ck_assert_msg(strstr(health.reason, suspect), "%s", health.reason);
	ck_assert(!health.quarantined && health.healthy);
	ck_assert_int_eq(flow_ctl(output, sizeof output, "diagnose", "t", NULL), 0);
	ck_assert_msg(strstr(output, suspect), "%s", output);
	check_traffic();
	test_child_end(hostile, SIGKILL);
	stop();
}
END_TEST

static void subscribe_and_stay(void *unused)
{
	flow_subscribe(flow_client("onlooker"), "t");
	test_child_ready();
	pause();
}

/* The usual subscriber of a shared ring has the segment read only. */
START_TEST(who_can_not_write_is_not_named)
{
	start((uint32_t)_i);
	pid_t onlooker = test_child_start(subscribe_and_stay, NULL);
	spoil(publisher->handle.place.region.header);
	ck_assert(test_wait_until(test_broker_logged(&broker, "'honest' (pid"), FLOW_WAIT_MS));
	ck_assert_int_eq(
		test_broker_logged(&broker, "'onlooker' (pid"), _i == KICKMSG_TRANSPORT_RINGS);
	test_child_end(onlooker, SIGKILL);
	stop();
}
END_TEST

static bool is_back(void)
{
	struct kickmsg_topic_info info;

	kickmsg_client_dispatch(client);
	return kickmsg_topic_get_info(client, &ref, &info) == 0 && info.publishers == 1 &&
	       info.subscribers == 1;
}

/* With the broker dead nobody mends: the clients make the topic anew as the broker said it was. */
START_TEST(topic_is_made_anew_as_it_was)
{
	struct kickmsg_schema mine = { .version = 7, .name = "mine" }, schema;
	struct kickmsg_topic_info before, after;

	start((uint32_t)_i);
	ck_assert_int_eq(kickmsg_claim_schema(client, &ref, &mine, NULL), 0);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &before), 0);
	test_broker_kill(&broker);
	struct km_control_header *header = publisher->handle.place.region.header;
	header->persistent = 1;
	header->linger_ns = 1000000000;
	header->geometry.max_payload_size *= 2;
	memset(header->schema, 'H', sizeof header->schema);
	atomic_store(&header->schema_state, 1);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(is_back(), FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &after), 0);
	ck_assert_uint_eq(after.config_hash, before.config_hash);
	ck_assert_uint_eq(after.config.persistent, 0);
	ck_assert_uint_eq(after.config.linger_ns, 0);
	/* the schema, too, is the one that this client claimed */
	ck_assert_int_eq(kickmsg_topic_schema(client, &ref, &schema), 0);
	ck_assert_uint_eq(kickmsg_schema_diff(&schema, &mine), 0);
	stop();
}
END_TEST

static void create_and_stay(void *unused)
{
	flow_advertise(flow_client("/the creator"), "other", NULL);
	test_child_ready();
	pause();
}

/* The broker keeps something beside the header: who made the topic. That is still known when the
 * maker is gone. */
START_TEST(creator_is_told_when_it_is_gone)
{
	struct kickmsg_topic_ref other = { .name = "other" };
	struct kickmsg_topic_info info;
	char output[8192], line[128];

	start((uint32_t)_i);
	pid_t creator = test_child_start(create_and_stay, NULL);
	flow_subscribe(client, "other");
	test_child_end(creator, SIGKILL);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &other, &info), 0);
	ck_assert_int_eq(info.creator_pid, creator);
	ck_assert_str_eq(info.creator_name, "the creator");
	ck_assert_int_eq(flow_ctl(output, sizeof output, "info", "other", NULL), 0);
	snprintf(line, sizeof line, " Pid: %d\n", creator);
	ck_assert_msg(
		strstr(output, "Creator: the%20creator\n") && strstr(output, line), "%s", output);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("header");
	TCase *tc = tcase_create("header");

	tcase_set_timeout(tc, 60);
	ADD_OF_BOTH(newcomers_get_the_broker_s_word);
	ADD_OF_BOTH(what_was_overwritten_is_mended_and_said);
	ADD_OF_BOTH(who_can_not_write_is_not_named);
	ADD_OF_BOTH(topic_is_made_anew_as_it_was);
	ADD_OF_BOTH(creator_is_told_when_it_is_gone);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
