/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of kickmsg-operator.h. tests/ctl has the cases of kickmsgctl. */
#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

static struct kickmsg_client *client;

static void setup(void)
{
	test_broker_start(&broker, "[recovery]\nautomatic = no\n");
	client = flow_client("me");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

START_TEST(names_are_written_as_people_read_them)
{
	struct kickmsg_topic_ref ref = { .name = "a b", .prefix = "p", .owner = "o:" };
	char text[KICKMSG_WHOLE_NAME_SIZE] = "untouched";

	ck_assert_int_eq(kickmsg_name_write(&ref, text, 2), -EINVAL);
	ck_assert_str_eq(text, "untouched");
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "p:a%20b");
	ref.kind = KICKMSG_BROADCAST;
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "channel:p:a%20b");
	ref.kind = KICKMSG_MAILBOX;
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "mailbox:p:o%3A:a%20b");
	ref.kind = KICKMSG_SERVICE;
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "service:p:a%20b");
	ref.kind = KICKMSG_REQUESTS;
	ref.owner = "7";
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "requests:p:7:a%20b");
	ref.kind = KICKMSG_REPLIES;
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), 0);
	ck_assert_str_eq(text, "replies:p:7:a%20b");
	ref.kind = (enum kickmsg_kind)6;
	ck_assert_int_eq(kickmsg_name_write(&ref, text, sizeof text), -EINVAL);
	ck_assert_ptr_null(kickmsg_kind_name(ref.kind));
	ck_assert_int_eq(kickmsg_part_write("", text, sizeof text), -EINVAL);
	ck_assert_int_eq(kickmsg_part_write("ab", text, 2), -EINVAL);
	ck_assert_int_eq(kickmsg_part_read("%zz", text, sizeof text), -EINVAL);
	ck_assert_int_eq(kickmsg_part_read("o%3A", text, sizeof text), 0);
	ck_assert_str_eq(text, "o:");
}
END_TEST

START_TEST(socket_path_is_the_one_that_a_client_takes)
{
	char path[128] = "untouched";

	ck_assert_int_eq(kickmsg_socket_path(NULL, path, sizeof path), 0);
	ck_assert_str_eq(path, broker.socket); /* KICKMSG_SOCKET */
	ck_assert_int_eq(kickmsg_socket_path("/x", path, sizeof path), 0);
	ck_assert_str_eq(path, "/x");
	ck_assert_int_eq(kickmsg_socket_path("/xy", path, 3), -EINVAL);
	ck_assert_int_eq(kickmsg_socket_path("", path, sizeof path), -EINVAL);
	ck_assert_str_eq(path, "/x");
	ck_assert_str_eq(kickmsg_system_socket(), "/run/kickmsg/kickmsgd.sock");
}
END_TEST

START_TEST(subscribe_to_takes_any_kind_of_the_own_prefix)
{
	struct kickmsg_topic_ref ref = { .name = "c", .kind = KICKMSG_BROADCAST };
	struct kickmsg_subscriber *member, *other = NULL;
	struct kickmsg_publisher *publisher;

	ck_assert_int_eq(kickmsg_subscribe_to(client, &ref, NULL, &other), -ENOENT);
	ck_assert_int_eq(kickmsg_join_broadcast(client, "c", NULL, NULL, &publisher, &member), 0);
	ref.prefix = "kickmsg";
	ck_assert_int_eq(kickmsg_subscribe_to(client, &ref, NULL, &other), 0);
	flow_send_int(publisher, 5);
	ck_assert_int_eq(flow_receive_int(other), 5);
	ref.prefix = "another";
	ck_assert_int_eq(kickmsg_subscribe_to(client, &ref, NULL, &other), -EINVAL);
	ck_assert(flow_said(client, "'kickmsg', not 'another'"));
}
END_TEST

/* Ends with loans out. */
static void die_with_loans(void *count)
{
	struct kickmsg_client *own = flow_client("dead:one");
	struct kickmsg_publisher *publisher = flow_advertise(own, "t", NULL);
	void *loan;

	for (int i = 0; i < *(int *)count; i++)
		ck_assert_int_eq(kickmsg_loan(publisher, 1, &loan), 0);
	test_child_ready();
	pause();
}

static bool is_dead(void)
{
	return flow_health("t").slots_orphaned > 0;
}

/* A page of one each: all come, each once. */
START_TEST(anomalies_come_one_by_one_with_their_owner)
{
	const struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_anomaly anomaly;
	uint64_t cursor = 0;
	int loans = 4, orphans = 0;
	ssize_t n;

	flow_subscribe(client, (flow_advertise(client, "t", NULL), "t"));
	ck_assert_int_eq(kickmsg_topic_anomalies(client, &ref, &cursor, &anomaly, 1), 0);
	ck_assert_int_eq(kickmsg_topic_anomalies(client, &ref, &cursor, &anomaly, 1), 0);
	test_child_end(test_child_start(die_with_loans, &loans), SIGKILL);
	ck_assert(test_wait_until(is_dead(), FLOW_WAIT_MS));
	for (cursor = 0; (n = kickmsg_topic_anomalies(client, &ref, &cursor, &anomaly, 1)) == 1;) {
		ck_assert_str_eq(anomaly.owner_name, "dead:one");
		ck_assert_uint_eq(anomaly.owner_alive, 0);
		orphans += anomaly.kind == KICKMSG_ANOMALY_ORPHANED_SLOT;
		ck_assert(anomaly.kind != KICKMSG_ANOMALY_ORPHANED_SLOT ||
			  anomaly.slot != KICKMSG_NO_NUMBER);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(orphans, loans);
	cursor = 0;
	ck_assert_int_eq(kickmsg_topic_anomalies(client, &ref, &cursor, &anomaly, 0), -EINVAL);
}
END_TEST

START_TEST(rights_of_ones_own_and_of_others)
{
	const struct kickmsg_topic_ref ref = { .name = "t" };
	static uint32_t groups[1 << 16];
	struct kickmsg_user user = { .uid = 54321, .gid = UINT32_MAX, .groups = groups };
	struct kickmsg_topic_rights rights;

	ck_assert_int_eq(kickmsg_topic_get_rights(client, &ref, NULL, &rights), 0);
	ck_assert_uint_eq(rights.exists, 0);
	ck_assert_uint_eq(rights.uid, geteuid());
	ck_assert_uint_eq(rights.rights[KICKMSG_RIGHT_PUBLISH].allowed, 1);
	ck_assert(strlen(rights.rights[KICKMSG_RIGHT_PUBLISH].origin) > 0);
	flow_advertise(client, "t", NULL);
	ck_assert_int_eq(kickmsg_topic_get_rights(client, &ref, &user, &rights), 0);
	ck_assert_uint_eq(rights.exists, 1);
	ck_assert_uint_eq(rights.owner_uid, geteuid());
	ck_assert_uint_eq(rights.uid, 54321);
	ck_assert_uint_eq(rights.rights[KICKMSG_RIGHT_ADMINISTER].allowed, 0);
	user.group_count = 1 << 16;
	ck_assert_int_eq(kickmsg_topic_get_rights(client, &ref, &user, &rights), -E2BIG);
}
END_TEST

START_TEST(broker_tells_how_it_is)
{
	struct kickmsg_broker_status status;
	struct kickmsg_publisher *none;

	ck_assert_int_eq(kickmsg_broker_get_status(client, &status), 0);
	ck_assert_str_eq(status.version, kickmsg_version());
	ck_assert_int_eq(status.pid, broker.pid);
	ck_assert_uint_eq(status.repairs, 0);
	ck_assert_uint_eq(status.survives_restart, 0);
	ck_assert_uint_eq(status.clients, 1);
	ck_assert_uint_eq(status.topics, 0);
	ck_assert_uint_gt(status.max_topics, 0);
	ck_assert_uint_eq(status.refused, 0);
	ck_assert_uint_gt(status.started_realtime_ns, 0);
	flow_advertise(client, "t", NULL);
	flow_subscribe(client, "t");
	kickmsg_client_free(flow_client("short"));
	ck_assert_int_eq(kickmsg_open_mailbox(client, "nobody", "x", &none), -ENOENT);
	ck_assert(test_wait_until(
		kickmsg_broker_get_status(client, &status) == 0 && status.gone == 1, FLOW_WAIT_MS));
	ck_assert_uint_eq(status.topics, 1);
	ck_assert_uint_eq(status.endpoints, 2);
	ck_assert_uint_gt(status.bytes, 1 << 16);
	ck_assert_uint_eq(status.refused, 1);
	uint64_t reads = status.config_reads;
	ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
	ck_assert(test_wait_until(
		kickmsg_broker_get_status(client, &status) == 0 && status.config_reads == reads + 1,
		FLOW_WAIT_MS));
}
END_TEST

/* More than a page of the broker's, in pages of another size. */
START_TEST(clients_come_once_each_in_the_order_of_their_ids)
{
	enum { MANY = 150 };
	static struct kickmsg_client *others[MANY];
	struct kickmsg_broker_client page[13];
	uint64_t cursor = 0, last = 0;
	size_t seen = 0;
	ssize_t n;

	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof name, "c%d", i);
		others[i] = flow_client(name);
	}
	flow_advertise(others[70], "t", NULL);
	flow_subscribe(others[70], "t");
	flow_subscribe(others[70], "t");
	while ((n = kickmsg_broker_clients(client, &cursor, page, 13)) > 0)
		for (ssize_t i = 0; i < n; i++, seen++) {
			ck_assert_uint_gt(page[i].client_id, last);
			last = page[i].client_id;
			ck_assert_int_eq(page[i].pid, getpid());
			ck_assert_uint_eq(page[i].uid, geteuid());
			ck_assert_uint_eq(page[i].alive, 1);
			ck_assert_uint_eq(page[i].connected, 1);
			bool is_it = strcmp(page[i].name, "c70") == 0;
			ck_assert_uint_eq(page[i].publishers, is_it ? 1 : 0);
			ck_assert_uint_eq(page[i].subscribers, is_it ? 2 : 0);
		}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(seen, MANY + 1);
	ck_assert_int_eq(kickmsg_broker_clients(client, &cursor, page, 0), -EINVAL);
	for (int i = 0; i < MANY; i++)
		kickmsg_client_free(others[i]);
}
END_TEST

START_TEST(numbers_of_all_topics_are_those_of_each)
{
	enum { MANY = 200 };
	struct kickmsg_topic_config tiny = { 2, 2, 16, 2, 8, 1, 1 };
	static struct kickmsg_publisher *publishers[MANY];
	static struct kickmsg_subscriber *subscribers[MANY];
	struct kickmsg_topic_numbers page[33];
	struct kickmsg_sample sample;
	uint64_t cursor = 0;
	size_t seen = 0;
	ssize_t n;

	for (int i = 0; i < MANY; i++) {
		struct kickmsg_client *mine = i % 100 == 0 ? flow_client("maker") : NULL;
		static struct kickmsg_client *maker;
		char name[16];

		maker = mine ? mine : maker;
		tiny.transport = i % 2 ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
		snprintf(name, sizeof name, "n%d", i);
		publishers[i] = flow_advertise(maker, name, &tiny);
		subscribers[i] = flow_subscribe(maker, name);
		/* one is received, and in a ring of two the others are lost but for the last two */
		for (int m = 0; m < i % 7 + 1; m++) {
			ck_assert_int_eq(kickmsg_send(publishers[i], "x", 1), 1);
			if (m == 0)
				ck_assert_int_eq(kickmsg_try_receive(subscribers[i], &sample), 0);
			if (m == 0)
				kickmsg_sample_release(&sample);
		}
		/* with a shared ring a loss is known once its subscriber has looked */
		kickmsg_subscriber_lost(subscribers[i]);
	}
	while ((n = kickmsg_topic_list_numbers(client, &cursor, page, 33)) > 0)
		for (ssize_t i = 0; i < n; i++, seen++) {
			uint64_t sent = seen % 7 + 1;

			ck_assert_uint_eq(page[i].topic_id, seen + 1);
			ck_assert_uint_eq(page[i].complete, 1);
			ck_assert_uint_eq(page[i].sent, sent);
			ck_assert_uint_eq(page[i].bytes, sent);
			ck_assert_uint_eq(page[i].received, 1);
			ck_assert_uint_eq(page[i].failed, 0);
			if (seen % 2 == 0)
				ck_assert_uint_eq(page[i].lost, sent > 3 ? sent - 3 : 0);
			ck_assert_uint_gt(page[i].monotonic_ns, 0);
		}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(seen, MANY);
	/* numbers of those that are gone stay with the topic */
	kickmsg_subscriber_free(subscribers[6]);
	cursor = 6;
	ck_assert_int_eq(kickmsg_topic_list_numbers(client, &cursor, page, 1), 1);
	ck_assert_uint_eq(page[0].sent, 7);
	ck_assert_uint_eq(page[0].received, 1);
	ck_assert_uint_eq(page[0].lost, 4);
}
END_TEST

static bool logs(const char *name)
{
	char line[64];

	kickmsg_client_free(flow_client(name));
	snprintf(line, sizeof line, "client=%s\n", name);
	/* the entry is written before the client is answered */
	return test_broker_logged(&broker, line);
}

static void set_nothing(void *unused)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);

	NEED(kickmsg_broker_set_log_level(mine, 7) == -EPERM);
	NEED(flow_said(mine, "only root, the broker's user and the group kickmsg-admin may set"));
	kickmsg_client_free(mine);
	test_child_ready();
}

START_TEST(log_level_counts_for_this_broker)
{
	struct kickmsg_broker_status status;
	int child_status;

	ck_assert_int_eq(kickmsg_broker_set_log_level(client, 2), -EINVAL);
	ck_assert_int_eq(kickmsg_broker_set_log_level(client, 8), -EINVAL);
	ck_assert(flow_said(client, "8 is no level of a log"));
	ck_assert_int_eq(kickmsg_broker_set_log_level(client, 3), 0);
	ck_assert(test_broker_logged(&broker, "the log's level is error now"));
	ck_assert(!logs("quiet"));
	ck_assert_int_eq(kickmsg_broker_set_log_level(client, 7), 0);
	ck_assert(test_broker_logged(&broker, "the log's level is debug now"));
	ck_assert(logs("loud"));
	ck_assert_int_eq(kickmsg_broker_set_log_level(client, 4), 0);
	ck_assert_int_eq(kickmsg_broker_get_status(client, &status), 0);
	ck_assert_uint_eq(status.log_level, 4);
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(broker.dir, 0755), 0);
		ck_assert_int_eq(chmod(broker.socket, 0666), 0);
		pid_t child = test_child_start(set_nothing, NULL);
		ck_assert(waitpid(child, &child_status, 0) == child && child_status == 0);
		ck_assert_int_eq(kickmsg_broker_get_status(client, &status), 0);
		ck_assert_uint_eq(status.log_level, 4);
	}
	/* what the config says comes back when it is read again */
	uint64_t reads = status.config_reads;
	ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
	ck_assert(test_wait_until(
		kickmsg_broker_get_status(client, &status) == 0 && status.config_reads > reads,
		FLOW_WAIT_MS));
	ck_assert_uint_ne(status.log_level, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("operator");
	TCase *tc = tcase_create("operator");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, names_are_written_as_people_read_them);
	tcase_add_test(tc, socket_path_is_the_one_that_a_client_takes);
	tcase_add_test(tc, subscribe_to_takes_any_kind_of_the_own_prefix);
	tcase_add_test(tc, anomalies_come_one_by_one_with_their_owner);
	tcase_add_test(tc, rights_of_ones_own_and_of_others);
	tcase_add_test(tc, broker_tells_how_it_is);
	tcase_add_test(tc, clients_come_once_each_in_the_order_of_their_ids);
	tcase_add_test(tc, numbers_of_all_topics_are_those_of_each);
	tcase_add_test(tc, log_level_counts_for_this_broker);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
