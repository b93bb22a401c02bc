/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that talk nonsense to a real broker: messages that are random, cut, too long, nearly right,
 * or carry descriptors. In each case the broker lives, closes what it was sent, and still serves.
 *
 *   fuzz-wire [MESSAGES [SEED]]
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/memory/region.h"
#include "common/protocol/wire.h"
#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/suite.h"

#define PEERS    8
#define MAX_SENT (2 * sizeof(union km_msg))

static unsigned long messages = 100000;
static uint64_t state = 1;

static uint64_t random_u64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int connect_peer(const struct test_broker *broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	strcpy(address.sun_path, broker->socket);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Makes a request, which may even be good. */
static size_t make_request(union km_msg *m)
{
#define NUMBER(number, NAME, member, type) number,
	static const uint32_t ops[] = { KM_WIRE_REQUESTS(NUMBER) };
	static const uint64_t odd[] = { 0, 1, 2, 63, 64, UINT32_MAX, UINT64_MAX, 1 << 20 };

	memset(m, 0, sizeof *m);
	m->header.op = ops[random_u64() % (sizeof ops / sizeof ops[0])];
	m->header.serial = (uint32_t)random_u64();
	switch (m->header.op) {
	case KM_OP_HELLO:
		m->hello.version = KM_WIRE_VERSION;
		m->hello.layout_version = KM_LAYOUT_VERSION;
		strcpy(m->hello.name, "fuzz");
		strcpy(m->hello.prefix, "kickmsg");
		break;
	case KM_OP_ADVERTISE:
		strcpy(m->advertise.topic, random_u64() % 2 ? "one" : "two");
		m->advertise.has_geometry = random_u64() % 2;
		if (m->advertise.has_geometry) {
			km_geometry_init(&m->advertise.geometry);
			if (random_u64() % 2)
				m->advertise.geometry.pool_size = (uint32_t)odd[random_u64() % 8];
			if (random_u64() % 4 == 0)
				m->advertise.geometry.max_payload_size = odd[random_u64() % 8];
		}
		break;
	case KM_OP_SUBSCRIBE:
		strcpy(m->subscribe.topic, random_u64() % 2 ? "one" : "two");
		break;
	case KM_OP_DETACH:
		m->detach.endpoint = random_u64() % 64;
		break;
	case KM_OP_LIST:
		break;
	case KM_OP_REPAIR:
		m->repair.what = KM_REPAIR_ALL;
		__attribute__((fallthrough));
	default:
		strcpy(m->topic.topic, random_u64() % 2 ? "one" : "two");
	}
	return km_wire_size(m->header.op);
}

/* Makes one message, spoilt in one of several ways or not at all. */
static void send_one(int fd)
{
	static union {
		union km_msg message;
		unsigned char bytes[MAX_SENT];
	} m;
	union {
		char bytes[CMSG_SPACE(5 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	size_t size = make_request(&m.message);
	struct iovec part = { m.bytes, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	uint64_t how = random_u64() % 16;

	if (how < 4) /* a flipped byte */
		m.bytes[random_u64() % size] = (unsigned char)random_u64();
	else if (how < 6) /* another length */
		part.iov_len = random_u64() % MAX_SENT;
	else if (how == 6) /* noise */
		for (size_t i = 0; i < size; i++)
			m.bytes[i] = (unsigned char)random_u64();
	/* More descriptors than a message may carry. An emulator keeps those open that a broker
	 * has left out. */
	if (how == 7 && !test_is_emulated()) {
		size_t count = 1 + random_u64() % 5;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			((int *)(void *)CMSG_DATA(rights))[i] = fd;
	}
	sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Reads the answers. False: the broker has hung up. */
static bool read_answers(int fd)
{
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t count;

	for (;;) {
		ssize_t n = km_wire_receive(fd, &answer, fds, &count);

		if (n < 0)
			return n == -EAGAIN;
		ck_assert_int_eq(km_wire_check_answer(&answer, (size_t)n, count), 0);
		while (count > 0)
			close(fds[--count]);
	}
}

/* Unlinks topics that outlive their members, which a flipped byte may have asked for. Any other
 * topic that is still there after the last peer has gone stays, and its descriptors with it. */
static void unlink_lasting(struct kickmsg_client *client)
{
	struct kickmsg_topic_info infos[16];
	uint64_t cursor = 0;
	ssize_t n;

	while ((n = kickmsg_topic_list(client, &cursor, infos, 16)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			struct kickmsg_topic_ref ref = { .name = infos[i].name,
				.owner = infos[i].owner,
				.prefix = infos[i].prefix,
				.kind = infos[i].kind };

			if (infos[i].config.persistent || infos[i].config.linger_ns > 0)
				ck_assert_int_eq(kickmsg_unlink(client, &ref), 0);
		}
	ck_assert_int_eq(n, 0);
}

START_TEST(broker_random_messages_survives)
{
	struct test_broker broker;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	int peers[PEERS];

	test_broker_start(&broker, "[limits]\nmemory = 64M\n");
	size_t fds_before = test_fd_count(broker.pid);
	for (int i = 0; i < PEERS; i++)
		peers[i] = connect_peer(&broker);
	for (unsigned long n = 0; n < messages; n++) {
		int *peer = &peers[random_u64() % PEERS];

		send_one(*peer);
		if (!read_answers(*peer) || random_u64() % 256 == 0) {
			close(*peer);
			*peer = connect_peer(&broker);
		}
	}
	for (int i = 0; i < PEERS; i++)
		close(peers[i]);
	ck_assert(test_broker_alive(&broker));

	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	unlink_lasting(client);
	kickmsg_client_free(client);

	/* nothing is mapped in this process, so all memory of its connections is free again */
	ck_assert(test_wait_until(test_fd_count(broker.pid) <= fds_before, 5000));
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "one", NULL, &publisher), 0);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_broker_stop(&broker), 0);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1)
		messages = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		state = strtoul(argv[2], NULL, 0) | 1;
	printf("%lu messages, seed %llu\n", messages, (unsigned long long)state);

	Suite *suite = suite_create("fuzz-wire");
	TCase *tcase = tcase_create("fuzz-wire");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, broker_random_messages_survives);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
