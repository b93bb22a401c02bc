/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's account has what is really there. Memory that a peer keeps by a descriptor is gone, and
 * the reserved bytes are the bytes that are told. Those who stay in a topic without a name pay for
 * it.
 *
 * The file is long because each limit has a case, over one fixture.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

#define ADD_OF_BOTH(test)                                                                          \
	tcase_add_loop_test(tc, test, KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1)
#define BIG  (8u << 20)
#define KEPT 16

/* A place in a topic as the broker gave it, with its descriptors. */
struct place {
	uint64_t endpoint;
	int fds[KM_WIRE_MAX_FDS];
	size_t fd_count;
};

static struct km_geometry geometry_of(uint32_t transport, uint64_t payload)
{
	struct km_geometry ret;

	km_geometry_init(&ret);
	ret.transport = transport;
	ret.pool_size = 2;
	ret.ring_capacity = 1;
	ret.max_payload_size = payload;
	return ret;
}

/* Client segments that came along, kept: a client that has let go of one is dead. */
static int segments[KEPT];
static size_t segment_count;

static int ask(int socket, const struct km_msg_attach *request, struct place *ret)
{
	union km_msg answer;

	ck_assert_int_eq(km_wire_send(socket, request, sizeof *request, NULL, 0), 0);
	ssize_t n = km_wire_receive(socket, &answer, ret->fds, &ret->fd_count);
	ck_assert_int_gt(n, 0);
	if (answer.header.op == KM_OP_ERROR)
		return answer.error.error;
	ck_assert_int_eq(answer.header.op, KM_OP_ATTACHED);
	ret->endpoint = answer.attached.endpoint;
	/* the answer's descriptors after those of the topic are of the client's own memory */
	while (ret->fd_count > 2 + (size_t)(answer.attached.bell_size > 0))
		segments[segment_count++ % KEPT] = ret->fds[--ret->fd_count];
	return 0;
}

static int advertise(
	int socket, const char *topic, const struct km_geometry *geometry, struct place *ret)
{
	struct km_msg_attach request = {
		.header.op = KM_OP_ADVERTISE, .has_geometry = 1, .geometry = *geometry
	};

	snprintf(request.topic, sizeof request.topic, "%s", topic);
	return ask(socket, &request, ret);
}

static void detach(int socket, const struct place *place)
{
	struct km_msg_detach request = { .header.op = KM_OP_DETACH, .endpoint = place->endpoint };

	ck_assert_int_eq(km_wire_send(socket, &request, sizeof request, NULL, 0), 0);
}

/* Bytes that the kernel has for it, whoever asked for them. */
static uint64_t real_size(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static uint64_t real_size_of(const struct place *place)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < place->fd_count; i++)
		sum += real_size(place->fds[i]);
	return sum;
}

static void close_place(struct place *place)
{
	while (place->fd_count > 0)
		close(place->fds[--place->fd_count]);
}

START_TEST(descriptors_and_mappings_keep_no_memory)
{
	struct km_geometry geometry = geometry_of((uint32_t)_i, BIG);
	uint64_t size = km_geometry_payload_size(&geometry);
	struct place kept[KEPT];
	void *mapped[KEPT];
	char name[16];

	user_start_broker("[limits]\nuser_memory = 70M\n");
	int socket = test_peer_hello(broker.socket, "hog", NULL);
	for (int i = 0; i < KEPT; i++) {
		snprintf(name, sizeof name, "t%d", i);
		ck_assert_int_eq(advertise(socket, name, &geometry, &kept[i]), 0);
		ck_assert_uint_ge(real_size_of(&kept[i]), size);
		mapped[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, kept[i].fds[1], 0);
		ck_assert_ptr_ne(mapped[i], MAP_FAILED);
		memset(mapped[i], 1, size);
		detach(socket, &kept[i]);
	}
	for (int i = 0; i < KEPT; i++) {
		for (size_t k = 0; k < kept[i].fd_count; k++) /* a segment of the client is its */
			ck_assert(test_wait_until(real_size(kept[i].fds[k]) == 0, FLOW_WAIT_MS));
		ck_assert_int_eq(*(char *)mapped[i], 0);
		munmap(mapped[i], size);
		close_place(&kept[i]);
	}
	close(socket);
	flow_stop();
}
END_TEST

START_TEST(segment_of_a_client_that_left_keeps_no_memory)
{
	int segment;

	test_broker_start(&broker, NULL);
	int socket = test_peer_hello(broker.socket, "hog", &segment);
	ck_assert_uint_eq(real_size(segment), 16384);
	close(socket);
	ck_assert(test_wait_until(real_size(segment) == 0, FLOW_WAIT_MS));
	close(segment);
	flow_stop();
}
END_TEST

/* The end of a broker gives nothing back: the clients go on without it. */
START_TEST(broker_ends_memory_stays)
{
	struct km_geometry geometry = geometry_of((uint32_t)_i, 100);
	struct place place;
	int segment;

	test_broker_start(&broker, NULL);
	int socket = test_peer_hello(broker.socket, "goes-on", &segment);
	ck_assert_int_eq(advertise(socket, "t", &geometry, &place), 0);
	uint64_t before = real_size_of(&place);
	flow_stop();
	ck_assert_uint_eq(real_size_of(&place), before);
	ck_assert_uint_eq(real_size(segment), 16384);
	close_place(&place);
	close(segment);
	close(socket);
}
END_TEST

START_TEST(total_bytes_is_what_is_reserved)
{
	static const uint64_t payloads[] = { 1, 8, 64, 100, 1000, 4096, 100000 };
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;
	struct kickmsg_topic_sizing sizing;
	struct place place;

	test_broker_start(&broker, NULL);
	struct kickmsg_client *client = flow_client("looks");
	int socket = test_peer_hello(broker.socket, "peer", NULL);
	/* from the third one on a shape's segments may have been made ahead of time */
	for (size_t i = 0; i < 4 * sizeof payloads / sizeof payloads[0]; i++) {
		struct km_geometry geometry = geometry_of((uint32_t)_i, payloads[i / 4]);

		ck_assert_int_eq(advertise(socket, "t", &geometry, &place), 0);
		ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
		ck_assert_uint_eq(info.total_bytes, real_size_of(&place));
		kickmsg_topic_config_check(&info.config, &sizing);
		ck_assert_uint_eq(info.total_bytes, sizing.total_bytes);
		detach(socket, &place);
		close_place(&place);
		ck_assert(test_wait_until(
			kickmsg_topic_get_info(client, &ref, &info) == -ENOENT, FLOW_WAIT_MS));
	}
	close(socket);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static struct kickmsg_subscriber *observe(struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_subscribe_options options = { .observe = 1 };
	struct kickmsg_subscriber *ret;

	ck_assert_int_eq(kickmsg_subscribe(client, topic, &options, &ret), 0);
	return ret;
}

/* An observer can read the last messages and then learns of the end. */
START_TEST(observers_read_the_rest_and_learn_of_the_end)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	test_broker_start(&broker, NULL);
	struct kickmsg_client *client = flow_client("c");
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	struct kickmsg_subscriber *quick = observe(client, "t"), *late = observe(client, "t");
	for (int i = 0; i < 5; i++)
		flow_send_int(publisher, i);
	kickmsg_publisher_free(publisher);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ENOENT);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(flow_receive_int(quick), i);
	ck_assert_int_eq(flow_receive_int(quick), -ESTALE);
	/* the messages that it had to read are given back by now, and it has never looked */
	ck_assert(test_wait_until(
		*(volatile uint64_t *)&late->handle.place.region.header->live == 0, FLOW_WAIT_MS));
	ck_assert_int_eq(flow_receive_int(late), -ESTALE);
	ck_assert_int_eq(flow_receive_int(quick), -ESTALE);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* Observers have no time to read if the owner of the topics needs the memory. */
START_TEST(observers_keep_no_memory_that_is_needed)
{
	struct km_geometry geometry = geometry_of(KICKMSG_TRANSPORT_SHARED, BIG);
	struct place place;

	test_broker_start(&broker, "[limits]\nuser_memory = 50M\n"); /* one of 32 MiB and some */
	struct kickmsg_client *client = flow_client("c");
	int socket = test_peer_hello(broker.socket, "peer", NULL);
	for (int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof name, "t%d", i);
		ck_assert_int_eq(advertise(socket, name, &geometry, &place), 0);
		observe(client, name);
		detach(socket, &place);
		close_place(&place);
	}
	close(socket);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static void spoil(struct kickmsg_subscriber *subscriber)
{
	atomic_fetch_or(&subscriber->handle.place.region.header->live, KM_LIVE_QUARANTINED);
}

static bool is_given_up(struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(client, &ref, &info) == -ENOENT;
}

/* A quarantined topic's memory isn't kept either, when there is need of it. */
START_TEST(quarantined_keeps_no_memory_that_is_needed)
{
	struct km_geometry geometry = geometry_of(KICKMSG_TRANSPORT_RINGS, BIG);
	struct place first, second;

	test_broker_start(&broker,
		"[limits]\nuser_memory = 25M\n[recovery]\ninterval = 20\n"); /* one of 16 */
	struct kickmsg_client *client = flow_client("c");
	int socket = test_peer_hello(broker.socket, "peer", NULL);
	ck_assert_int_eq(advertise(socket, "t", &geometry, &first), 0);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	spoil(subscriber);
	ck_assert(test_wait_until(is_given_up(client, "t"), FLOW_WAIT_MS));
	ck_assert_int_eq(advertise(socket, "t", &geometry, &second), 0);
	/* a client that is in the topic still learns of it; only the page that says so is left */
	ck_assert_uint_eq(real_size(first.fds[0]), 4096);
	ck_assert_uint_eq(real_size(first.fds[1]), 0);
	ck_assert_int_eq(flow_receive_int(subscriber), -ESTALE);
	for (int i = 0; i < 20; i++) /* also after some ticks */
		test_nap();
	ck_assert_uint_eq(real_size(first.fds[0]), 4096);
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &(int){ 0 }, sizeof(int)), -ESTALE);
	kickmsg_client_free(client);
	close(socket);
	close_place(&first);
	close_place(&second);
	flow_stop();
}
END_TEST

/* USER_B stays in what USER_A has made and left, spoilt or unlinked. */
struct stay {
	int pipe[2]; /* a byte for each topic that is to be taken part in */
	bool spoils;
};

static void stay_in_all(void *argument)
{
	struct stay *stay = argument;
	struct kickmsg_client *mine = user_client(USER_B, 0);
	struct kickmsg_publisher *publisher;
	char byte;

	test_child_ready();
	for (;;) {
		struct kickmsg_subscriber *subscriber;

		NEED(read(stay->pipe[0], &byte, 1) == 1);
		int r = kickmsg_subscribe(mine, "t", NULL, &subscriber);
		if (r == -EDQUOT)
			break;
		NEED(r == 0);
		if (stay->spoils)
			spoil(subscriber);
		NEED(write(stay->pipe[0], "+", 1) == 1);
	}
	/* the user gets nothing before it has left these topics, and is told why */
	NEED(flow_said(mine, "topics of others that were unlinked or given up and where it stays"));
	NEED(kickmsg_advertise(mine, "own", NULL, &publisher) == -EDQUOT);
	NEED(write(stay->pipe[0], "-", 1) == 1);
	pause();
}

static void make_and_leave(void *argument)
{
	struct stay *stay = argument;
	struct kickmsg_client *mine = user_client(USER_A, 0);
	struct kickmsg_publisher *publisher;
	char byte = '+';
	int made = 0;

	while (byte == '+') {
		NEED(kickmsg_advertise(mine, "t", NULL, &publisher) == 0);
		NEED(write(stay->pipe[1], "!", 1) == 1 && read(stay->pipe[1], &byte, 1) == 1);
		if (!stay->spoils)
			NEED(kickmsg_unlink_topic(mine, "t") == 0);
		else if (byte == '+')
			NEED(test_wait_until(is_given_up(mine, "t"), FLOW_WAIT_MS));
		kickmsg_publisher_free(publisher);
		NEED(++made < 10);
	}
	/* Two within USER_B's limit, and one beyond; the next it isn't let in. */
	NEED(made == 4);
	/* the topics that others stay in aren't USER_A's any more: it may make two of its own */
	NEED(kickmsg_advertise(mine, "a", NULL, &publisher) == 0);
	NEED(kickmsg_advertise(mine, "b", NULL, &publisher) == 0);
	test_child_ready();
	pause();
}

START_TEST(who_stays_pays)
{
	struct stay stay = { .spoils = _i == 1 };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stay.pipe), 0);
	user_start_broker("[limits]\nuser_topics = 2\n[recovery]\ninterval = 20\n");
	pid_t stays = test_child_start(stay_in_all, &stay);
	pid_t leaves = test_child_start(make_and_leave, &stay);
	test_child_end(leaves, SIGKILL);
	/* a client that has gone pays no more */
	test_child_end(stays, SIGKILL);
	struct kickmsg_client *client = flow_client("looks");
	struct kickmsg_topic_info info;
	ck_assert(test_wait_until(({
		uint64_t cursor = 0;
		kickmsg_topic_list(client, &cursor, &info, 1);
	}) == 0,
		FLOW_WAIT_MS));
	kickmsg_client_free(client);
	close(stay.pipe[0]);
	close(stay.pipe[1]);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("accounts");
	TCase *tc = tcase_create("accounts");

	tcase_set_timeout(tc, 60);
	ADD_OF_BOTH(descriptors_and_mappings_keep_no_memory);
	tcase_add_test(tc, segment_of_a_client_that_left_keeps_no_memory);
	ADD_OF_BOTH(broker_ends_memory_stays);
	ADD_OF_BOTH(total_bytes_is_what_is_reserved);
	tcase_add_test(tc, observers_read_the_rest_and_learn_of_the_end);
	tcase_add_test(tc, observers_keep_no_memory_that_is_needed);
	tcase_add_test(tc, quarantined_keeps_no_memory_that_is_needed);
	if (geteuid() == 0)
		tcase_add_loop_test(tc, who_stays_pays, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
