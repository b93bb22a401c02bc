/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that ask for descriptors and never read the answers. Unread answers are bounded, and
 * the parking has its room all the same: the kernel counts both for the broker's user, whom root's
 * privileges would hide. So the broker is another user's here.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/support/broker/become.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/suite.h"

/* The broker may have so many descriptors open, and under way. */
#define DESCRIPTORS 1024

/* Requests that a hostile client sends at once, each for two descriptors. */
#define REQUESTS 64

/* So many of these clients would be far beyond what the kernel allows. */
#define HOSTILE 12

static struct test_manager manager;
static const struct km_msg_attach observe = {
	.header = { KM_OP_SUBSCRIBE, 1 }, .topic = "seen", .flags = KM_ATTACH_OBSERVE
};

/* A user that no other test is, so that nobody else has anything under way in its name. */
static void become_somebody(void)
{
	struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };

	if (geteuid() == 0)
		ck_assert(test_become(200000 + (uid_t)getpid() % 100000, 0));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static struct kickmsg_client *new_client(void)
{
	struct kickmsg_client *client = NULL;

	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	return client;
}

static int advertise(
	struct kickmsg_client *client, const char *topic, struct kickmsg_publisher **ret)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_publishers = config.max_subscribers = config.max_borrows = 2;
	config.ring_capacity = 4;
	config.pool_size = 16;
	config.max_loans = 1;
	config.max_payload_size = 64;
	return kickmsg_advertise(client, topic, &config, ret);
}

/* Asks for descriptors REQUESTS times, or until the socket takes no more. */
static void ask_much(int peer)
{
	for (int i = 0; i < REQUESTS; i++)
		if (send(peer, &observe, sizeof observe, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
}

static int unread_bytes(int peer)
{
	int bytes = 0;

	ck_assert_int_eq(ioctl(peer, SIOCINQ, &bytes), 0);
	return bytes;
}

/* Waits until the broker has served all that it will: another client's calls are answered after
 * that. */
static void let_it_serve(struct kickmsg_client *client)
{
	struct kickmsg_topic_ref ref = { .name = "seen" };
	struct kickmsg_topic_info info;

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
}

/* --- one client -------------------------------------------------------------------------------- */

START_TEST(answers_with_descriptors_are_unread_one_at_a_time)
{
	struct kickmsg_publisher *publisher;
	union km_msg answer;

	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	ck_assert_int_eq(advertise(client, "seen", &publisher), 0);
	int peer = test_peer_hello(manager.socket, "asker", NULL);
	ask_much(peer);
	ck_assert(test_wait_until(unread_bytes(peer) > 0, FLOW_WAIT_MS));
	let_it_serve(client);
	ck_assert_int_eq(unread_bytes(peer), sizeof(struct km_msg_attached));
	/* each answer follows once the one before was read, over a restart too */
	for (int i = 0, op; i < REQUESTS; i++) {
		if (i == REQUESTS / 2) {
			test_manager_kill(&manager, SIGKILL);
			test_manager_resume(&manager);
			let_it_serve(client);
			ck_assert_int_le(unread_bytes(peer), 2 * sizeof(struct km_msg_attached));
		}
		while ((op = test_peer_answer(peer, &answer)) == KM_OP_EVENT)
			; /* there is another broker */
		ck_assert_int_eq(op, KM_OP_ATTACHED);
	}
	close(peer);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* Only requests for descriptors wait. */
START_TEST(requests_without_descriptors_are_served_meanwhile)
{
	struct km_msg_topic info = { .header = { KM_OP_INFO, 2 }, .topic = "seen" };
	struct kickmsg_publisher *publisher;
	union km_msg answer;

	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	ck_assert_int_eq(advertise(client, "seen", &publisher), 0);
	int peer = test_peer_hello(manager.socket, "asker", NULL);
	ck_assert_int_eq(send(peer, &observe, sizeof observe, 0), sizeof observe);
	ck_assert_int_eq(send(peer, &info, sizeof info, 0), sizeof info);
	ck_assert(test_wait_until(unread_bytes(peer) == sizeof(struct km_msg_attached) +
								sizeof(struct km_msg_info_ok),
		FLOW_WAIT_MS));
	/* the ATTACHED is read, the INFO_OK isn't: it waits for that as well */
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
	ck_assert_int_eq(send(peer, &observe, sizeof observe, 0), sizeof observe);
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_INFO_OK);
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
	close(peer);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* --- many clients ------------------------------------------------------------------------------ */

/* As many topics as the parking has room for without anybody's unread answers. */
static void fill_parking(struct kickmsg_client *client, unsigned expected)
{
	static struct kickmsg_publisher *publishers[DESCRIPTORS];
	unsigned count = 0;
	char name[32];
	int r = 0;

	while (count < expected && r == 0) {
		snprintf(name, sizeof name, "topic%u", count);
		r = advertise(client, name, &publishers[count]);
		count += r == 0;
	}
	ck_assert_msg(count == expected, "%u topics: %s", count, kickmsg_client_last_error(client));
	while (count > 0)
		kickmsg_publisher_free(publishers[--count]);
}

START_TEST(clients_that_read_nothing_leave_the_parking_its_room)
{
	struct kickmsg_publisher *publisher;
	int peers[HOSTILE];

	become_somebody();
	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	ck_assert_int_eq(advertise(client, "seen", &publisher), 0);
	for (int i = 0; i < HOSTILE; i++) {
		peers[i] = test_peer_hello(manager.socket, "asker", NULL);
		ask_much(peers[i]);
		ck_assert(test_wait_until(unread_bytes(peers[i]) > 0, FLOW_WAIT_MS));
	}
	let_it_serve(client);
	fill_parking(client, 100);
	for (int i = 0; i < HOSTILE; i++)
		close(peers[i]);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* Says hello, lets the answer to its next request lie, and is hung up on. It keeps its end. */
static int be_hung_up_on(void)
{
	int segment, peer = test_peer_hello(manager.socket, "asker", &segment);

	close(segment); /* nothing is mapped: the broker takes it for dead */
	ck_assert_int_eq(send(peer, &observe, sizeof observe, 0), sizeof observe);
	ck_assert_int_eq(send(peer, "?", 1, MSG_NOSIGNAL), 1);
	ck_assert(test_wait_until(
		unread_bytes(peer) > (int)sizeof(struct km_msg_attached), FLOW_WAIT_MS));
	return peer;
}

START_TEST(connections_that_ended_unread_are_counted)
{
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *observer;
	struct kickmsg_subscribe_options options = { .observe = 1 };
	int peers[DESCRIPTORS / 4];
	unsigned count = 0;

	become_somebody();
	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	ck_assert_int_eq(advertise(client, "seen", &publisher), 0);
	/* 1024 / 4 / 2 descriptors for one user, three in each answer */
	while (count < DESCRIPTORS / 4 / 2 / 2 - 2)
		peers[count++] = be_hung_up_on();
	fill_parking(client, 100);
	/* one more connection: the next client finds no room, and is told which limit it met */
	peers[count++] = be_hung_up_on();
	ck_assert_int_eq(kickmsg_subscribe(client, "seen", &options, &observer), -EDQUOT);
	ck_assert_msg(flow_said(client, "haven't read answers with") &&
			      flow_said(client, "128 may be unread (LimitNOFILE=, clients)"),
		"%s", kickmsg_client_last_error(client));
	/* as soon as they let go there is room */
	while (count > 0)
		close(peers[--count]);
	ck_assert_int_eq(kickmsg_subscribe(client, "seen", &options, &observer), 0);
	kickmsg_subscriber_free(observer);
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-unread");
	TCase *tcase = tcase_create("flow-unread");

	if (test_skip_emulated("flow-unread", TEST_LACKS_PEEKING))
		return 77;
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, answers_with_descriptors_are_unread_one_at_a_time);
	tcase_add_test(tcase, requests_without_descriptors_are_served_meanwhile);
	tcase_add_test(tcase, clients_that_read_nothing_leave_the_parking_its_room);
	tcase_add_test(tcase, connections_that_ended_unread_are_counted);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
