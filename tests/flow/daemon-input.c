/* SPDX-License-Identifier: Apache-2.0 */
/* What peers get wrong: each is told so, the broker goes on, and nothing is left behind. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/protocol/wire.h"
#include "tests/support/broker/flow.h"

static struct flow_stock stock;

static void setup(void)
{
	test_broker_start(&broker,
		"[limits]\nuser_clients = 8\ntopics = 3\nendpoints = 4\nmemory = 64M\n"
		"[recovery]\ninterval = 20\n");
	flow_take_stock(&stock);
}

static void teardown(void)
{
	flow_check_stock(&stock);
	flow_stop();
}

static void expect_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, int error, const char *says)
{
	struct kickmsg_publisher *publisher = NULL;
	int r = kickmsg_advertise(client, topic, config, &publisher);

	ck_assert_msg(r == error, "advertise '%.40s' gave %d (%s), not %d", topic, r,
		kickmsg_client_last_error(client), error);
	ck_assert_ptr_null(publisher);
	ck_assert_msg(strstr(kickmsg_client_last_error(client), says), "'%s' doesn't say '%s'",
		kickmsg_client_last_error(client), says);
}

START_TEST(topic_that_is_not_there_is_enoent)
{
	struct kickmsg_client *client = flow_client("c");
	struct kickmsg_subscriber *subscriber = NULL;

	ck_assert_int_eq(kickmsg_subscribe(client, "nowhere", NULL, &subscriber), -ENOENT);
	ck_assert_ptr_nonnull(strstr(kickmsg_client_last_error(client), "nowhere"));
	kickmsg_client_free(client);
}
END_TEST

/* Past the library's own checks: what the broker itself says to bad values. */
static int raw_advertise(
	int socket, const char *topic, const struct km_geometry *geometry, union km_msg *ret)
{
	struct km_msg_attach request = { .header = { KM_OP_ADVERTISE, 7 } };

	snprintf(request.topic, sizeof request.topic, "%s", topic);
	if (geometry) {
		request.has_geometry = 1;
		request.geometry = *geometry;
	}
	return test_peer_call(socket, &request, sizeof request, ret);
}

START_TEST(bad_geometry_is_named_and_harmless)
{
	static const struct {
		const char *field;
		size_t offset, size;
		uint64_t value;
	} bad[] = {
#define BAD(member, v)                                                                             \
	{ #member, offsetof(struct km_geometry, member),                                           \
		sizeof(((struct km_geometry *)0)->member), v }
		BAD(max_subscribers, 0),
		BAD(max_subscribers, KM_MAX_RINGS + 1),
		BAD(ring_capacity, 0),
		BAD(ring_capacity, 48),
		BAD(ring_capacity, 1u << 31),
		BAD(pool_size, 1),
		BAD(pool_size, UINT32_MAX),
		BAD(max_publishers, 0),
		BAD(max_publishers, 1u << 16),
		BAD(max_payload_size, 0),
		BAD(max_payload_size, UINT64_MAX),
		BAD(max_payload_size, UINT64_MAX - 127),
		BAD(max_loans, 0),
		BAD(max_borrows, UINT32_MAX),
#undef BAD
	};
	int socket = test_peer_hello(broker.socket, "bad", NULL);
	union km_msg answer;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct km_geometry geometry = { 16, 64, 256, 64, 4096, 8, 16 };

		memcpy((char *)&geometry + bad[i].offset, &bad[i].value, bad[i].size);
		int op = raw_advertise(socket, "bad", &geometry, &answer);
		flow_expect_error(&answer, op, -EINVAL, bad[i].field);
		ck_assert_uint_eq(answer.header.serial, 7);
	}
	close(socket);
}
END_TEST

START_TEST(bad_name_is_einval)
{
	int socket = test_peer_hello(broker.socket, "bad", NULL);
	union km_msg answer;
	static const char *const names[] = { "", "/a", "with space", "\xff\xfe" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		int op = raw_advertise(socket, names[i], NULL, &answer);

		flow_expect_error(&answer, op, -EINVAL, "topic's name");
	}
	close(socket);
}
END_TEST

START_TEST(more_memory_than_the_limit_is_edquot_with_numbers)
{
	struct kickmsg_client *client = flow_client("c");
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.pool_size = 256;
	config.max_payload_size = 1 << 20;
	expect_advertise(client, "big", &config, -EDQUOT, "67108864");
	/* what is there counts: two topics of 24 MiB fit into 64 MiB, a third one doesn't */
	config.max_payload_size = (24 << 20) / 256 - 64;
	struct kickmsg_publisher *a = flow_advertise(client, "a", &config);
	struct kickmsg_publisher *b = flow_advertise(client, "b", &config);
	expect_advertise(client, "c", &config, -EDQUOT, "'c'");
	/* what is gone doesn't count */
	kickmsg_publisher_free(a);
	a = flow_advertise(client, "c", &config);
	kickmsg_publisher_free(a);
	kickmsg_publisher_free(b);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(config_that_differs_is_eexist_and_names_the_field)
{
	struct kickmsg_client *client = flow_client("c");
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", NULL);
	config.ring_capacity = 32;
	expect_advertise(client, "t", &config, -EEXIST, "ring_capacity = 64, not 32");
	kickmsg_publisher_free(publisher);
	/* a topic lives as long as it has participants */
	publisher = flow_advertise(client, "t", &config);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(one_subscriber_too_many_is_enospc)
{
	struct kickmsg_client *client = flow_client("c");
	struct kickmsg_topic_config config;
	struct kickmsg_subscriber *subscribers[2], *third = NULL;

	kickmsg_topic_config_init(&config);
	config.max_subscribers = 2;
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	for (int i = 0; i < 2; i++)
		subscribers[i] = flow_subscribe(client, "t");
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(kickmsg_subscribe(client, "t", NULL, &third), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(kickmsg_client_last_error(client), "all its 2 subscribers"));
	/* a place that is given back is a place */
	kickmsg_subscriber_free(subscribers[0]);
	subscribers[0] = flow_subscribe(client, "t");
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	kickmsg_subscriber_free(subscribers[0]);
	kickmsg_subscriber_free(subscribers[1]);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(limits_are_edquot)
{
	struct kickmsg_client *clients[8], *surplus = NULL;
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	static const char *const topics[] = { "a", "b", "c" };

	for (int i = 0; i < 8; i++)
		clients[i] = flow_client("c");
	ck_assert_int_eq(kickmsg_client_new(&config, &surplus), -EDQUOT);
	for (int i = 0; i < 3; i++)
		flow_advertise(clients[0], topics[i], NULL);
	expect_advertise(clients[1], "d", NULL, -EDQUOT, "3 topics");
	flow_advertise(clients[0], "a", NULL);
	expect_advertise(clients[0], "a", NULL, -EDQUOT, "4 endpoints");
	for (int i = 0; i < 8; i++)
		kickmsg_client_free(clients[i]);
	/* places are free again */
	ck_assert(test_wait_until(kickmsg_client_new(&config, &surplus) == 0, FLOW_WAIT_MS));
	kickmsg_client_free(surplus);
}
END_TEST

/* Is answered with -EPROTO and then cut off. */
static void expect_rejection(int socket, const void *data, size_t size)
{
	union km_msg answer;
	int op = test_peer_call(socket, data, size, &answer);

	flow_expect_error(&answer, op, -EPROTO, "");
	ck_assert_int_eq(test_peer_answer(socket, &answer), -ENOTCONN);
	close(socket);
}

START_TEST(malformed_datagram_is_eproto_and_the_end)
{
	union km_msg message;
	static unsigned char huge[sizeof(union km_msg) + 1000];

	/* short of a header, of a request, too long, unknown, an answer, before hello */
	memset(&message, 0, sizeof message);
	expect_rejection(test_peer_connect(broker.socket), &message, 3);
	message.hello = (struct km_msg_hello)TEST_HELLO(.name = "x", .prefix = "x");
	expect_rejection(
		test_peer_connect(broker.socket), &message, sizeof(struct km_msg_hello) - 1);
	expect_rejection(
		test_peer_connect(broker.socket), &message, sizeof(struct km_msg_hello) + 1);
	expect_rejection(test_peer_connect(broker.socket), huge, sizeof huge);
	message.header.op = 999;
	expect_rejection(test_peer_connect(broker.socket), &message, sizeof message.header);
	message.header.op = KM_OP_OK;
	expect_rejection(test_peer_connect(broker.socket), &message, sizeof message.ok);
	message.header.op = KM_OP_LIST;
	expect_rejection(test_peer_connect(broker.socket), &message, sizeof message.list);
	/* hello twice; a string without an end */
	memset(&message, 0, sizeof message);
	message.hello = (struct km_msg_hello)TEST_HELLO(.name = "x", .prefix = "x");
	expect_rejection(test_peer_hello(broker.socket, "x", NULL), &message, sizeof message.hello);
	memset(&message, 'x', sizeof message);
	message.header.op = KM_OP_SUBSCRIBE;
	expect_rejection(
		test_peer_hello(broker.socket, "x", NULL), &message, sizeof message.subscribe);
}
END_TEST

START_TEST(descriptors_in_a_request_are_closed_and_the_end)
{
	struct km_msg_list list = { .header.op = KM_OP_LIST };
	union km_msg answer;

	for (size_t count = 1; count <= KM_WIRE_MAX_FDS; count++) {
		int socket = test_peer_hello(broker.socket, "fds", NULL);
		int fds[KM_WIRE_MAX_FDS] = { socket, socket, socket };

		int r = km_wire_send(socket, &list, sizeof list, fds, count);
		if (r == -EPERM) { /* from Linux 6.16 on it doesn't even arrive */
			close(socket);
			continue;
		}
		ck_assert_int_eq(r, 0);
		flow_expect_error(&answer, test_peer_answer(socket, &answer), -EPROTO, "");
		ck_assert_int_eq(test_peer_answer(socket, &answer), -ENOTCONN);
		close(socket);
	}
}
END_TEST

START_TEST(bad_value_is_an_error_and_no_more)
{
	int socket = test_peer_hello(broker.socket, "x", NULL);
	struct km_msg_detach detach = { .header.op = KM_OP_DETACH, .endpoint = 12345 };
	union km_msg answer;

	/* the end of an endpoint that isn't there is no news, and like any DETACH it has no
	 * answer */
	ck_assert_int_eq(km_wire_send(socket, &detach, sizeof detach, NULL, 0), 0);
	struct km_msg_list list = { .header.op = KM_OP_LIST, .cursor = UINT64_MAX };
	ck_assert_int_eq(test_peer_call(socket, &list, sizeof list, &answer), KM_OP_LIST_OK);
	ck_assert_uint_eq(answer.list_ok.count, 0);
	close(socket);
}
END_TEST

START_TEST(peer_that_reads_no_answers_is_cut_off)
{
	struct km_msg_list list = { .header.op = KM_OP_LIST };
	int socket = test_peer_hello(broker.socket, "deaf", NULL);
	unsigned sent = 0;

	/* the broker closes when its side is full; until then it takes requests */
	while (send(socket, &list, sizeof list, MSG_NOSIGNAL) > 0)
		ck_assert_uint_lt(++sent, 1000000);
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	ck_assert(test_broker_logged(&broker, "doesn't read its answers"));
	close(socket);
}
END_TEST

START_TEST(connections_without_hello_are_bounded_and_leave_nothing)
{
	int sockets[80];

	for (int i = 0; i < 80; i++)
		sockets[i] = test_peer_connect(broker.socket);
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "too many such connections"), FLOW_WAIT_MS));
	for (int i = 0; i < 80; i++)
		close(sockets[i]);
}
END_TEST

/* The number of the broker's next descriptor. */
static rlim_t lowest_free_descriptor(void)
{
	char path[64];

	for (rlim_t fd = 0;; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)broker.pid, (int)fd);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return fd;
	}
}

/* The broker gets no new descriptor from this number on. */
static void limit_descriptors(rlim_t soft)
{
	struct rlimit limit;

	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = soft;
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

START_TEST(broker_out_of_descriptors_says_so_and_recovers)
{
	struct kickmsg_client *client = flow_client("c"), *second = NULL;
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct kickmsg_topic_info info;
	uint64_t cursor = 0;

	/* once a second request is answered the broker has let go of what it sent with the first */
	ck_assert_int_eq(kickmsg_topic_list(client, &cursor, &info, 1), 0);
	rlim_t lowest = lowest_free_descriptor();

	/* one is enough for neither a topic nor another client */
	limit_descriptors(lowest + 1);
	expect_advertise(client, "t", NULL, -EMFILE, "'t'");
	ck_assert_int_lt(kickmsg_client_new(&config, &second), 0);
	/* none: accept waits, the client too */
	limit_descriptors(lowest);
	int waiting = test_peer_connect(broker.socket);
	ck_assert(test_wait_until(test_broker_logged(&broker, "accept: "), FLOW_WAIT_MS));
	struct kickmsg_subscriber *subscriber;
	ck_assert_int_eq(kickmsg_subscribe(client, "t", NULL, &subscriber), -ENOENT);

	limit_descriptors(1024);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", NULL);
	struct km_msg_hello hello = TEST_HELLO(.name = "w", .prefix = "w");
	union km_msg answer;
	ck_assert_int_eq(test_peer_call(waiting, &hello, sizeof hello, &answer), KM_OP_HELLO_OK);
	close(waiting);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("flow-daemon-input");
	TCase *tc = tcase_create("input");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, topic_that_is_not_there_is_enoent);
	tcase_add_test(tc, bad_geometry_is_named_and_harmless);
	tcase_add_test(tc, bad_name_is_einval);
	tcase_add_test(tc, more_memory_than_the_limit_is_edquot_with_numbers);
	tcase_add_test(tc, config_that_differs_is_eexist_and_names_the_field);
	tcase_add_test(tc, one_subscriber_too_many_is_enospc);
	tcase_add_test(tc, limits_are_edquot);
	tcase_add_test(tc, malformed_datagram_is_eproto_and_the_end);
	tcase_add_test(tc, descriptors_in_a_request_are_closed_and_the_end);
	tcase_add_test(tc, bad_value_is_an_error_and_no_more);
	tcase_add_test(tc, peer_that_reads_no_answers_is_cut_off);
	tcase_add_test(tc, connections_without_hello_are_bounded_and_leave_nothing);
	tcase_add_test(tc, broker_out_of_descriptors_says_so_and_recovers);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	return flow_main(make_suite());
}
