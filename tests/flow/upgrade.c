/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upgrade to a broker of another version, and one back: docs/restart-and-rejoin.md has the
 * policy. The topics of the broker before are given up, and the log says so once. Clients of the
 * same version come back by themselves and lose nothing that they weren't told of. Clients of
 * another version are told both versions.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keep/state.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/peer.h"
#include "tests/support/suite.h"

static struct test_manager manager;
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;

static struct {
	unsigned rejoined, down;
	int error;
	char text[KM_WIRE_TEXT_SIZE]; /* of the last end of the connection */
} told;

static void on_event(void *userdata, const struct kickmsg_event *event)
{
	(void)userdata;
	told.rejoined += event->kind == KICKMSG_EVENT_REJOINED;
	if (event->kind != KICKMSG_EVENT_DISCONNECTED)
		return;
	told.down++;
	told.error = event->error;
	snprintf(told.text, sizeof told.text, "%s", event->text);
}

/* A client, publisher and subscriber; then the broker is killed. */
static void start(uint32_t transport)
{
	const struct kickmsg_client_config as = { .on_event = on_event };
	struct kickmsg_topic_config config;

	memset(&told, 0, sizeof told);
	kickmsg_topic_config_init(&config);
	config.transport = transport;
	test_manager_start(&manager, NULL);
	ck_assert_int_eq(kickmsg_client_new(&as, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", &config, &publisher), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "topic", NULL, &subscriber), 0);
}

static void end(void)
{
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_manager_is_empty(&manager), 10000));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}

/* Makes one turn of an application's loop. */
static bool dispatched(void)
{
	struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };

	poll(&readable, 1, 10);
	kickmsg_client_dispatch(client);
	return true;
}

static void send_next(unsigned *sent)
{
	++*sent;
	ck_assert_int_eq(kickmsg_send(publisher, sent, sizeof *sent), sizeof *sent);
}

static void receive_next(unsigned *received)
{
	unsigned got = 0;

	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &got, sizeof got), sizeof got);
	ck_assert_uint_eq(got, ++*received);
}

/* How often the log has this. */
static unsigned logged(const char *text)
{
	char line[1024];
	unsigned count = 0;
	FILE *log = fopen(manager.log, "r");

	ck_assert_ptr_nonnull(log);
	while (fgets(line, sizeof line, log))
		count += strstr(line, text) != NULL;
	fclose(log);
	return count;
}

/* --- the state ------------------------------------------------------------------------- */

/* A state as another version leaves it: one number of its header differs, and maybe its size. */
static const struct {
	off_t offset;     /* of the number in the header */
	const char *what; /* in the log */
	uint32_t own;
	int difference;
	off_t size; /* 0: as this version's */
} states[] = {
	{ 8, "it is", KM_STATE_VERSION, -1, 0 },
	{ 8, "it is", KM_STATE_VERSION, 1, 0 },
	{ 8, "it is", KM_STATE_VERSION, -1, 8192 },
	{ 8, "it is", KM_STATE_VERSION, 1, (off_t)1 << 32 },
	{ 8, "it is", KM_STATE_VERSION, 1, 12 }, /* what all versions have */
	{ 56, "its regions are", KM_LAYOUT_VERSION, -1, 0 },
	{ 56, "its regions are", KM_LAYOUT_VERSION, 1, 0 },
	{ 60, "the messages of its clients are", KM_WIRE_VERSION, -1, 0 },
	{ 60, "the messages of its clients are", KM_WIRE_VERSION, 1, 0 },
};
#define STATES ((int)(sizeof states / sizeof states[0]))

static void fabricate_state(int i)
{
	uint32_t version = states[i].own + (uint32_t)states[i].difference;
	int fd = test_manager_find(&manager, "S");

	ck_assert_int_eq(pwrite(fd, &version, 4, states[i].offset), 4);
	if (states[i].size > 0)
		ck_assert_int_eq(ftruncate(fd, states[i].size), 0);
}

static void expect_said_once(int i)
{
	char text[128];

	snprintf(text, sizeof text, "is refused: %s of version %u, this broker's of %u. Its topics",
		states[i].what, states[i].own + (uint32_t)states[i].difference, states[i].own);
	ck_assert_msg(logged(text) == 1, "no '%s'", text);
	/* one entry of the log tells it */
	ck_assert_uint_eq(logged("the broker before"), 1);
	ck_assert_uint_eq(logged("taken back"), 0);
}

/* The index is the state, over both transports. */
START_TEST(state_of_another_version_is_given_up_and_clients_come_back)
{
	unsigned char before[4096], after[4096];
	unsigned sent = 0, received = 0;

	if (test_skip_emulated("state_of_another_version_is_given_up_and_clients_come_back",
		    TEST_LACKS_PEEKING))
		return;
	start(_i < STATES ? KICKMSG_TRANSPORT_RINGS : KICKMSG_TRANSPORT_SHARED);
	for (int n = 0; n < 6; n++)
		send_next(&sent);
	test_manager_kill(&manager, SIGTERM);
	fabricate_state(_i % STATES);
	int region = test_manager_parked_fd(&manager, "c1");
	ck_assert_int_eq(pread(region, before, sizeof before, 0), sizeof before);
	test_manager_resume(&manager); /* it is READY */
	expect_said_once(_i % STATES);
	/* the broker leaves a region of another time alone: its participants go on */
	ck_assert_int_eq(pread(region, after, sizeof after, 0), sizeof after);
	ck_assert_mem_eq(before, after, sizeof before);
	close(region);
	for (int n = 0; n < 3; n++)
		receive_next(&received);
	send_next(&sent);
	ck_assert(test_wait_until(dispatched() && told.rejoined == 2, 10000));
	ck_assert_int_eq(told.error, -ENOTCONN);
	/* what waited in the old region comes first, and nothing is missing */
	for (int n = 0; n < 3; n++)
		send_next(&sent);
	while (received < sent)
		receive_next(&received);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	/* the broker's own restart is one as any again */
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert(test_manager_logged(&manager, "taken back: 1 topics, 1 clients"));
	send_next(&sent);
	receive_next(&received);
	end();
}
END_TEST

/* A broker of state version 2 had the manager keep each descriptor by itself. */
START_TEST(descriptors_of_a_broker_before_the_parking_are_let_go_of)
{
	static const char *const names[] = { "s1", "m1.0", "c1", "p1", "b1" };
	uint32_t version = 2;
	char text[160];
	int fds[5];

	if (test_skip_emulated(
		    "descriptors_of_a_broker_before_the_parking_are_let_go_of", TEST_LACKS_PEEKING))
		return;
	start(KICKMSG_TRANSPORT_SHARED);
	test_manager_kill(&manager, SIGKILL);
	for (size_t i = 0; i < 5; i++)
		fds[i] = test_manager_parked_fd(&manager, names[i]);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_ge(fds[i], 0);
		test_manager_keep(&manager, names[i], fds[i]);
	}
	test_manager_forget(&manager, "I");
	test_manager_forget(&manager, "O");
	ck_assert_int_eq(pwrite(test_manager_find(&manager, "S"), &version, 4, 8), 4);
	test_manager_resume(&manager);
	snprintf(text, sizeof text,
		"is refused: it is of version 2, this broker's of %d. Its topics are given up and "
		"its 5 descriptors closed",
		KM_STATE_VERSION);
	ck_assert(test_manager_logged(&manager, text));
	ck_assert(test_wait_until(test_manager_stored(&manager, 0) == MANAGER_OWN_FDS, 10000));
	ck_assert(test_wait_until(dispatched() && told.rejoined == 2, 10000));
	end();
}
END_TEST

/* --- the door -------------------------------------------------------------------------- */

/* A HELLO as a library of another version says it: first the fields that all versions have, then
 * what that version may have. */
static const struct {
	uint32_t version, layout_version;
	size_t size;
} hellos[] = {
	{ KM_WIRE_VERSION - 1, 0, sizeof(struct km_msg_hello) },
	{ KM_WIRE_VERSION + 1, KM_LAYOUT_VERSION, sizeof(struct km_msg_hello) },
	{ KM_WIRE_VERSION - 1, 0, 16 },
	{ KM_WIRE_VERSION - 1, 0, sizeof(struct km_msg_hello) - 48 },
	{ KM_WIRE_VERSION + 1, KM_LAYOUT_VERSION + 1, sizeof(struct km_msg_hello) + 200 },
	{ KM_WIRE_VERSION, KM_LAYOUT_VERSION - 1, sizeof(struct km_msg_hello) },
	{ KM_WIRE_VERSION, KM_LAYOUT_VERSION + 1, sizeof(struct km_msg_hello) },
};

static void expect_both_named(const char *text, uint32_t version, uint32_t layout_version)
{
	char expected[160];

	snprintf(expected, sizeof expected,
		"the client's library is of wire version %u and layout version %u, this broker of "
		"%u and %u",
		version, layout_version, KM_WIRE_VERSION, KM_LAYOUT_VERSION);
	ck_assert_msg(strstr(text, expected) != NULL, "'%s' is not '%s'", text, expected);
}

START_TEST(hello_of_another_version_is_told_both)
{
	uint32_t version = hellos[_i].version, layout = hellos[_i].layout_version;
	union km_msg message = { .hello = { { KM_OP_HELLO, 7 }, version, layout, "x", "x" } };
	union km_msg answer;

	test_manager_start(&manager, NULL);
	int peer = test_peer_connect(manager.socket);
	ck_assert_int_eq(test_peer_call(peer, &message, hellos[_i].size, &answer), KM_OP_ERROR);
	ck_assert_int_eq(answer.error.error, -EPROTO);
	ck_assert_uint_eq(answer.header.serial, 7);
	expect_both_named(answer.error.text, version, layout);
	ck_assert_int_eq(test_peer_answer(peer, &answer), -ENOTCONN);
	close(peer);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* The words by which different versions of broker and library still understand each other stay. */
START_TEST(what_all_versions_understand_stays)
{
	ck_assert_uint_eq(KM_OP_HELLO, 1);
	ck_assert_uint_eq(offsetof(struct km_msg_hello, version), 8);
	ck_assert_uint_eq(offsetof(struct km_msg_hello, layout_version), 12);
	ck_assert_uint_eq(KM_OP_ERROR, 65);
	ck_assert_uint_eq(offsetof(struct km_msg_error, error), 8);
	ck_assert_uint_eq(offsetof(struct km_msg_error, text), 16);
	ck_assert_uint_eq(sizeof(struct km_msg_error), 16 + 256);
}
END_TEST

/* A program that runs on over an upgrade with its old library: its messages flow, its loop and its
 * calls say what to do. */
START_TEST(client_of_an_older_library_goes_on_and_is_told)
{
	struct kickmsg_publisher *other;
	unsigned sent = 0, received = 0;

	if (test_skip_emulated(
		    "client_of_an_older_library_goes_on_and_is_told", TEST_LACKS_PEEKING))
		return;
	start(KICKMSG_TRANSPORT_RINGS);
	client->hello.version = KM_WIRE_VERSION - 1;
	send_next(&sent);
	test_manager_kill(&manager, SIGTERM);
	fabricate_state(STATES - 2);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(dispatched() && told.error == -EPROTO, 10000));
	expect_both_named(told.text, KM_WIRE_VERSION - 1, KM_LAYOUT_VERSION);
	ck_assert_uint_eq(told.rejoined, 0);
	ck_assert_int_eq(kickmsg_advertise(client, "other", NULL, &other), -EPROTO);
	expect_both_named(
		kickmsg_client_last_error(client), KM_WIRE_VERSION - 1, KM_LAYOUT_VERSION);
	for (int n = 0; n < 3; n++)
		send_next(&sent);
	while (received < sent)
		receive_next(&received);
	ck_assert_uint_ge(logged("run the program with"), 1);
	/* the refusal isn't told again and again */
	unsigned down = told.down;
	for (int n = 0; n < 30; n++)
		dispatched();
	ck_assert_uint_eq(told.down, down);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-upgrade");
	TCase *tcase = tcase_create("flow-upgrade");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, state_of_another_version_is_given_up_and_clients_come_back, 0, 2 * STATES);
	tcase_add_test(tcase, descriptors_of_a_broker_before_the_parking_are_let_go_of);
	tcase_add_loop_test(tcase, hello_of_another_version_is_told_both, 0,
		(int)(sizeof hellos / sizeof hellos[0]));
	tcase_add_test(tcase, what_all_versions_understand_stays);
	tcase_add_test(tcase, client_of_an_older_library_goes_on_and_is_told);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
