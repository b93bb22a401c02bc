/* SPDX-License-Identifier: Apache-2.0 */
/* The limits in a running broker: each one stops exactly there, for its user and nobody else, says
 * where it was set, and has room again when something ends, however it does. */
#include <fcntl.h>
#include <sys/socket.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/user.h"

static struct kickmsg_client *client;
static struct kickmsg_publisher *publishers[64];

/* Is the next one refused by this line of the config, for this reason? */
static void expect_full(
	struct kickmsg_client *of, const char *topic, unsigned line, const char *says)
{
	struct kickmsg_publisher *publisher;
	char where[128];

	snprintf(where, sizeof where, "(%s:%u)", broker.config, line);
	ck_assert_int_eq(kickmsg_advertise(of, topic, NULL, &publisher), -EDQUOT);
	ck_assert_msg(flow_said(of, where), "%s", kickmsg_client_last_error(of));
	ck_assert_msg(flow_said(of, says), "%s", kickmsg_client_last_error(of));
	ck_assert(test_broker_logged(&broker, kickmsg_client_last_error(of)));
}

/* Another user's process that has this much, and tries for one more. */
struct others {
	unsigned topics;    /* of its own */
	unsigned endpoints; /* of the topic "t0" */
	const char *next;   /* topic of the one more */
	const char *says;   /* its refusal; null: it is let */
};

static void be_another(void *argument)
{
	const struct others *others = argument;
	struct kickmsg_client *mine = user_client(USER_A, 0);
	struct kickmsg_publisher *p;
	char name[16];

	for (unsigned i = 0; i < others->topics; i++) {
		snprintf(name, sizeof name, "mine%u", i);
		NEED(kickmsg_advertise(mine, name, NULL, &p) == 0);
	}
	for (unsigned i = 0; i < others->endpoints; i++)
		NEED(kickmsg_advertise(mine, "t0", NULL, &p) == 0);
	int r = others->next ? kickmsg_advertise(mine, others->next, NULL, &p) : 0;
	if (others->says)
		NEED(r == -EDQUOT && flow_said(mine, others->says));
	else
		NEED(r == 0);
	test_child_ready();
	pause();
}

static void advertise(unsigned i)
{
	char name[16];

	snprintf(name, sizeof name, "t%u", i);
	publishers[i] = flow_advertise(client, name, NULL);
}

START_TEST(topics_count_for_their_owner_until_they_are_freed)
{
	struct others others = { 1, 0, "more", "3 topics for all users" };

	user_start_broker("[limits]\ntopics = 3\nuser_topics = 2\n"); /* lines 4 and 5 */
	client = flow_client("c");
	advertise(0);
	advertise(1);
	expect_full(client, "t2", 5, "2 topics for uid 0");
	pid_t child = test_child_start(be_another, &others);
	/* without its name it is still there */
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t0"), 0);
	expect_full(client, "t0", 5, "2 topics for uid 0");
	kickmsg_publisher_free(publishers[0]);
	advertise(0);
	expect_full(client, "t2", 5, "2 topics for uid 0");
	kickmsg_publisher_free(publishers[0]);
	advertise(2);
	kickmsg_publisher_free(publishers[2]);
	kickmsg_publisher_free(publishers[1]);
	/* a client that joins another's topic has made none */
	ck_assert_int_eq(kickmsg_advertise(client, "mine0", NULL, &publishers[3]), 0);
	advertise(0);
	advertise(1);
	expect_full(client, "t2", 5, "2 topics for uid 0");
	test_child_end(child, SIGKILL);
	expect_full(client, "t2", 5, "2 topics for uid 0");
	kickmsg_client_free(client);
	others = (struct others){ 2, 0, "more", "2 topics for uid 65534" };
	for (int i = 0; i < 5; i++)
		test_child_end(test_child_start(be_another, &others), SIGKILL);
	flow_stop();
}
END_TEST

START_TEST(endpoints_of_a_client_of_a_user_and_in_all)
{
	struct others others = { 0, 2, "t0", "6 endpoints for all users" };
	struct kickmsg_client *second;

	user_start_broker("[limits]\nendpoints = 6\nuser_endpoints = 4\nclient_endpoints = 3\n");
	client = flow_client("c");
	second = flow_client("d");
	for (int i = 0; i < 3; i++)
		publishers[i] = flow_advertise(client, "t0", NULL);
	expect_full(client, "t0", 6, "3 endpoints of a client");
	publishers[3] = flow_advertise(second, "t0", NULL);
	expect_full(second, "t0", 5, "4 endpoints for uid 0");
	for (int round = 0; round < 3; round++) {
		pid_t child = test_child_start(be_another, &others);

		kickmsg_publisher_free(publishers[3]);
		publishers[3] = flow_advertise(second, "t0", NULL);
		expect_full(second, "t0", 5, "4 endpoints for uid 0");
		test_child_end(child, SIGKILL);
	}
	/* the user's own limit leaves some of the broker's room */
	kickmsg_client_free(client);
	others = (struct others){ 0, 3, "t0", "3 endpoints of a client" };
	test_child_end(test_child_start(be_another, &others), SIGKILL);
	kickmsg_client_free(second);
	flow_stop();
}
END_TEST

/* Says hello and checks the answer: 0, or -EDQUOT with these words. */
static int hello(int socket, const char *says)
{
	struct km_msg_hello request = TEST_HELLO(.name = "peer", .prefix = "kickmsg");
	union km_msg answer;

	int op = test_peer_call(socket, &request, sizeof request, &answer);
	if (op == KM_OP_HELLO_OK)
		return 0;
	ck_assert_int_eq(op, KM_OP_ERROR);
	ck_assert_msg(strstr(answer.error.text, says), "%s", answer.error.text);
	return answer.error.error;
}

START_TEST(clients_of_a_user_and_in_all)
{
	struct others others = { 0 };
	struct kickmsg_client *second, *third = NULL;
	char where[160];

	if (test_skip_emulated("clients_of_a_user_and_in_all", "MADV_DONTFORK"))
		return;
	user_start_broker("[limits]\nclients = 3\nuser_clients = 2\n");
	client = flow_client("c");
	second = flow_client("d");
	int socket = test_peer_connect(broker.socket);
	snprintf(where, sizeof where, "2 clients for uid 0 is reached (%s:5)", broker.config);
	ck_assert_int_eq(hello(socket, where), -EDQUOT);
	close(socket);
	pid_t child = test_child_start(be_another, &others);
	kickmsg_client_free(second);
	ck_assert(test_wait_until(kickmsg_client_new(NULL, &second) == 0, FLOW_WAIT_MS));
	test_child_end(child, SIGKILL);
	ck_assert_int_eq(kickmsg_client_new(NULL, &third), -EDQUOT);
	ck_assert_msg(flow_said(NULL, where), "%s", kickmsg_client_last_error(NULL));
	kickmsg_client_free(client);
	kickmsg_client_free(second);
	ck_assert(test_wait_until(kickmsg_client_new(NULL, &client) == 0, FLOW_WAIT_MS));
	ck_assert_str_eq(kickmsg_client_last_error(NULL), "");
	kickmsg_client_free(client);
	flow_stop();
	ck_assert_int_lt(kickmsg_client_new(NULL, &client), 0);
	ck_assert_msg(flow_said(NULL, broker.socket), "%s", kickmsg_client_last_error(NULL));
	/* in all: operators, as this process is, have a few more places */
	user_start_broker("[limits]\nclients = 1\n");
	int sockets[5];
	for (int i = 0; i < 5; i++) {
		sockets[i] = test_peer_connect(broker.socket);
		ck_assert_int_eq(hello(sockets[i], "not refused"), 0);
	}
	socket = test_peer_connect(broker.socket);
	ck_assert_int_eq(hello(socket, "1 clients for all users"), -EDQUOT);
	close(socket);
	for (int i = 0; i < 5; i++)
		close(sockets[i]);
	flow_stop();
}
END_TEST

/* Makes topics until there is no more memory; how many. */
static unsigned fill(unsigned line)
{
	char name[16], where[128];
	unsigned i;

	snprintf(where, sizeof where, "(%s:%u)", broker.config, line);
	for (i = 0; i < 64; i++) {
		snprintf(name, sizeof name, "t%u", i);
		int r = kickmsg_advertise(client, name, NULL, &publishers[i]);
		if (r == 0)
			continue;
		ck_assert_int_eq(r, -EDQUOT);
		ck_assert_msg(flow_said(client, where), "%s", kickmsg_client_last_error(client));
		ck_assert(flow_said(client, "bytes are needed"));
		break;
	}
	return i;
}

START_TEST(memory_of_a_user_and_in_all)
{
	struct others others = { 1, 0, "more", "bytes for uid 65534" };
	unsigned count = 0;

	user_start_broker("[limits]\nmemory = 24M\nuser_memory = 8M\n");
	client = flow_client("c");
	for (int round = 0; round < 20; round++) {
		unsigned filled = fill(5);

		ck_assert_uint_gt(filled, 2);
		ck_assert(round == 0 || filled == count);
		count = filled;
		while (filled > 0)
			kickmsg_publisher_free(publishers[--filled]);
	}
	/* so do clients: without that these would have used it up */
	for (int i = 0; i < 600; i++) {
		struct kickmsg_client *second = NULL;

		ck_assert_int_eq(kickmsg_client_new(NULL, &second), 0);
		kickmsg_client_free(second);
	}
	ck_assert(
		test_wait_until(test_map_count(broker.pid, "/kickmsg_client") == 1, FLOW_WAIT_MS));
	ck_assert_uint_eq(fill(5), count);
	/* what another one has is its own */
	others = (struct others){ count - 1, 0, "more", NULL };
	test_child_end(test_child_start(be_another, &others), SIGKILL);
	others = (struct others){ count, 0, "more", "for uid 65534 are" };
	test_child_end(test_child_start(be_another, &others), SIGKILL);
	kickmsg_client_free(client);
	flow_stop();
	user_start_broker("[limits]\nmemory = 8M\n");
	client = flow_client("c");
	ck_assert_uint_eq(fill(4), count);
	ck_assert(flow_said(client, "for all users are"));
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

START_TEST(reload_lower_ends_nothing_higher_makes_room)
{
	user_start_broker("[limits]\nuser_topics = 3\n");
	client = flow_client("c");
	for (unsigned i = 0; i < 3; i++)
		advertise(i);
	for (unsigned limit = 1; limit <= 5; limit += 4) {
		FILE *file = fopen(broker.config, "we");

		fprintf(file, "[limits]\n# %u\n\nuser_topics = %u\nuser_clients = %u\n", limit,
			limit, limit);
		fclose(file);
		kill(broker.pid, SIGHUP);
		/* the limit of clients changes with the same reload, so it shows that the reload is
		 * done */
		struct kickmsg_client *second = NULL;
		ck_assert(test_wait_until(({
			int r = kickmsg_client_new(NULL, &second);
			if (limit == 1 && r == 0)
				kickmsg_client_free(second);
			limit == 1 ? r == -EDQUOT : r == 0;
		}),
			FLOW_WAIT_MS));
		if (limit > 1)
			kickmsg_client_free(second);
		else
			expect_full(client, "t3", 4, "1 topics for uid 0");
	}
	ck_assert_int_eq(kickmsg_send(publishers[2], "x", 1), 1);
	advertise(3);
	advertise(4);
	expect_full(client, "t5", 4, "5 topics for uid 0");
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* The next broker counts on from where the last one was. */
START_TEST(restart_counts_on)
{
	static struct test_manager manager;
	static const int signals[] = { SIGTERM, SIGKILL };
	struct kickmsg_publisher *more;

	if (test_skip_emulated("restart_counts_on", TEST_LACKS_PEEKING))
		return;
	test_manager_start(
		&manager, "[limits]\nuser_topics = 3\nuser_endpoints = 4\nuser_clients = 1\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	for (unsigned i = 0; i < 3; i++)
		advertise(i);
	test_manager_hear(&manager);
	for (int i = 0; i < 2; i++) {
		struct kickmsg_client *second;

		test_manager_kill(&manager, signals[i]);
		test_manager_resume(&manager);
		ck_assert_int_eq(kickmsg_client_new(NULL, &second), -EDQUOT);
		ck_assert_int_eq(kickmsg_advertise(client, "t3", NULL, &more), -EDQUOT);
		ck_assert(flow_said(client, "3 topics for uid 0"));
		ck_assert_int_eq(kickmsg_advertise(client, "t0", NULL, &publishers[3]), 0);
		ck_assert_int_eq(kickmsg_advertise(client, "t0", NULL, &more), -EDQUOT);
		ck_assert(flow_said(client, "4 endpoints for uid 0"));
		kickmsg_publisher_free(publishers[3]);
		kickmsg_publisher_free(publishers[2]);
		advertise(2);
	}
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(
		test_manager_status_has(&manager, "1 clients, 3 topics, 3 endpoints,"),
		FLOW_WAIT_MS));
	kickmsg_client_free(client);
	/* what was taken back is given back: all of it may be had again */
	ck_assert(test_wait_until(kickmsg_client_new(NULL, &client) == 0, FLOW_WAIT_MS));
	for (unsigned i = 0; i < 3; i++)
		advertise(i);
	ck_assert_int_eq(kickmsg_advertise(client, "t3", NULL, &more), -EDQUOT);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tc = tcase_create("limits");

	if (user_cannot_change())
		return 77;
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, topics_count_for_their_owner_until_they_are_freed);
	tcase_add_test(tc, endpoints_of_a_client_of_a_user_and_in_all);
	tcase_add_test(tc, clients_of_a_user_and_in_all);
	tcase_add_test(tc, memory_of_a_user_and_in_all);
	tcase_add_test(tc, reload_lower_ends_nothing_higher_makes_room);
	tcase_add_test(tc, restart_counts_on);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
