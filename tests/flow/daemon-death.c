/* SPDX-License-Identifier: Apache-2.0 */
/* The broker tells the dead from those that only hung up, and nothing of the dead stays. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

static const struct kickmsg_topic_config small = {
	.max_subscribers = 2,
	.ring_capacity = 8,
	.pool_size = 32,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = 4,
	.max_borrows = 4,
};

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static size_t fds_before;

static void setup(void)
{
	test_broker_start(&broker, "[recovery]\ninterval = 20\n");
	client = flow_client("survivor");
	publisher = flow_advertise(client, "t", &small);
	fds_before = test_fd_count(broker.pid);
}

static bool only_the_survivor_is_there(void)
{
	struct km_health h = flow_health("t");

	return h.publishers == 1 && h.subscribers == 0 && h.slots_free == 32 && !h.endpoints_dead &&
	       !h.endpoints_leaving && !h.rings_live && !h.rings_undrained;
}

static void teardown(void)
{
	ck_assert(test_wait_until(only_the_survivor_is_there(), FLOW_WAIT_MS));
	ck_assert(test_wait_until(test_fd_count(broker.pid) == fds_before, FLOW_WAIT_MS));
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_map_count(broker.pid, "memfd:") == 0, FLOW_WAIT_MS));
	flow_stop();
}

/* Takes every place that is left, and holds loans and samples. */
static void hold_everything(void *unused)
{
	struct kickmsg_client *mine = flow_client("victim");
	struct kickmsg_publisher *pub = flow_advertise(mine, "t", NULL);
	struct kickmsg_subscriber *subs[2];
	struct kickmsg_sample sample;
	void *payload;

	for (int i = 0; i < 2; i++)
		subs[i] = flow_subscribe(mine, "t");
	for (int i = 0; i < 12; i++)
		ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(kickmsg_loan(pub, 1, &payload), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_try_receive(subs[0], &sample), 0);
	test_child_ready();
	pause();
}

START_TEST(killed_client_leaves_every_place_free)
{
	for (int round = 0; round < 10; round++) {
		/* a client that gets all places says that the last one's were given back */
		pid_t victim = test_child_start(hold_everything, NULL);

		ck_assert_uint_eq(flow_health("t").subscribers, 2);
		test_child_end(victim, SIGKILL);
		for (int i = 0; i < 100; i++)
			ck_assert_int_eq(kickmsg_send(publisher, "y", 1), 1);
		ck_assert(test_wait_until(only_the_survivor_is_there(), FLOW_WAIT_MS));
	}
}
END_TEST

START_TEST(killed_clients_places_are_there_for_whoever_asks_next)
{
	for (int round = 0; round < 10; round++) {
		pid_t victim = test_child_start(hold_everything, NULL);
		struct kickmsg_subscriber *subscriber = NULL;

		test_child_end(victim, SIGKILL);
		/* the kernel tells the broker; from then on the places are free */
		ck_assert(test_wait_until(
			kickmsg_subscribe(client, "t", NULL, &subscriber) == 0, FLOW_WAIT_MS));
		ck_assert_int_eq(kickmsg_send(publisher, "z", 1), 1);
		struct kickmsg_sample sample;
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
		ck_assert_int_eq(*(const char *)sample.data, 'z');
		ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
		kickmsg_subscriber_free(subscriber);
	}
}
END_TEST

/* Hangs up and goes on receiving. Ends with 42 when it gets "go". */
static void hang_up_and_receive(void *unused)
{
	struct kickmsg_client *mine = flow_client("hung-up");
	struct kickmsg_subscriber *subscriber = flow_subscribe(mine, "t");
	struct kickmsg_sample sample;

	shutdown(mine->socket, SHUT_RDWR);
	test_child_ready();
	while (kickmsg_receive(subscriber, -1, &sample) == 0) {
		if (sample.len == 2 && memcmp(sample.data, "go", 2) == 0)
			_exit(42);
		kickmsg_sample_release(&sample);
	}
	_exit(1);
}

START_TEST(closed_socket_of_a_living_process_is_no_death)
{
	pid_t child = test_child_start(hang_up_and_receive, NULL);
	int status;

	ck_assert(test_wait_until(test_broker_logged(&broker, "disconnected"), FLOW_WAIT_MS));
	/* through some ticks */
	for (int i = 0; i < 200; i++) {
		/* the client may connect anew, ask for a place, and find that its endpoint is still
		 * there */
		ck_assert_uint_ge(flow_health("t").subscribers, 1);
		ck_assert_int_eq(kickmsg_send(publisher, "no", 2), 2);
		test_nap();
	}
	ck_assert_int_eq(kickmsg_send(publisher, "go", 2), 2);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 42);
}
END_TEST

/* Becomes another program; with the socket, or without. */
static void become_another_program(void *keep_socket)
{
	struct kickmsg_client *mine = flow_client("execve");
	struct kickmsg_publisher *pub = flow_advertise(mine, "t", NULL);
	void *payload;

	flow_subscribe(mine, "t");
	ck_assert_int_eq(kickmsg_loan(pub, 1, &payload), 0);
	ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
	if (*(const bool *)keep_socket)
		fcntl(mine->socket, F_SETFD, 0);
	test_child_ready();
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	_exit(97);
}

START_TEST(execve_is_a_death)
{
	bool keep_socket = _i == 1;
	pid_t child = test_child_start(become_another_program, &keep_socket);

	ck_assert(test_wait_until(only_the_survivor_is_there(), FLOW_WAIT_MS));
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0); /* the process lives */
	ck_assert(test_broker_logged(&broker, "maps its memory no more"));
	test_child_end(child, SIGKILL);
}
END_TEST

static int grandchild_pipe[2];

/* Has a child that keeps the socket, until the pipe's other end closes. */
static void fork_a_keeper(void *unused)
{
	struct kickmsg_client *mine = flow_client("parent");
	char byte;

	close(grandchild_pipe[1]);
	flow_subscribe(mine, "t");
	/* without the library's handler, which would close it */
	pid_t keeper = _Fork();
	if (keeper == 0) {
		while (read(grandchild_pipe[0], &byte, 1) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	ck_assert_int_gt(keeper, 0);
	test_child_ready();
	pause();
}

START_TEST(forked_child_with_the_socket_does_not_hide_the_death)
{
	ck_assert_int_eq(pipe2(grandchild_pipe, O_CLOEXEC), 0);
	pid_t child = test_child_start(fork_a_keeper, NULL);

	close(grandchild_pipe[0]);
	test_child_end(child, SIGKILL);
	ck_assert(test_wait_until(only_the_survivor_is_there(), FLOW_WAIT_MS));
	/* the keeper still has the socket: it lives until this */
	close(grandchild_pipe[1]);
}
END_TEST

/* A client that never maps what it gets, like one that was killed on its way. */
START_TEST(client_that_drops_its_segment_is_dead)
{
	int segment, socket = test_peer_hello(broker.socket, "raw", &segment);
	struct km_msg_attach request = { .header.op = KM_OP_SUBSCRIBE, .topic = "t" };
	union km_msg answer;

	ck_assert_int_eq(test_peer_call(socket, &request, sizeof request, &answer), KM_OP_ATTACHED);
	ck_assert_uint_eq(flow_health("t").subscribers, 1);
	/* the segment was the last thing that said that the client may be at work */
	close(segment);
	ck_assert(test_wait_until(only_the_survivor_is_there(), FLOW_WAIT_MS));
	close(socket);
}
END_TEST

START_TEST(topic_is_gone_with_its_last_participant)
{
	struct kickmsg_subscriber *subscriber = NULL;
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_publisher *pub = flow_advertise(other, "short", NULL);

	subscriber = flow_subscribe(client, "short");
	kickmsg_publisher_free(pub);
	/* a subscriber is one too */
	pub = flow_advertise(other, "short", NULL);
	ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
	kickmsg_publisher_free(pub);
	struct kickmsg_sample sample;
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	kickmsg_subscriber_free(subscriber);
	struct kickmsg_topic_ref ref = { .name = "short" };
	struct kickmsg_topic_info info;
	ck_assert(test_wait_until(
		kickmsg_topic_get_info(client, &ref, &info) == -ENOENT, FLOW_WAIT_MS));
	kickmsg_client_free(other);
}
END_TEST

START_TEST(many_endpoints_take_more_segments_and_give_them_back)
{
	struct kickmsg_client *other = flow_client("many");
	struct kickmsg_topic_config config = small;
	struct kickmsg_subscriber *subscribers[40];

	config.max_subscribers = 40;
	config.max_borrows = 1000; /* a record of 4 KiB: three to a segment */
	struct kickmsg_publisher *pub = flow_advertise(other, "many", &config);
	for (int i = 0; i < 40; i++)
		subscribers[i] = flow_subscribe(other, "many");
	ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
	for (int i = 0; i < 40; i++) {
		struct kickmsg_sample sample;

		ck_assert_int_eq(kickmsg_try_receive(subscribers[i], &sample), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	ck_assert(flow_is_healthy("many"));
	kickmsg_client_free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-daemon-death");
	TCase *tc = tcase_create("death");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, killed_client_leaves_every_place_free);
	tcase_add_test(tc, killed_clients_places_are_there_for_whoever_asks_next);
	tcase_add_test(tc, closed_socket_of_a_living_process_is_no_death);
	tcase_add_loop_test(tc, execve_is_a_death, 0, 2);
	tcase_add_test(tc, forked_child_with_the_socket_does_not_hide_the_death);
	tcase_add_test(tc, client_that_drops_its_segment_is_dead);
	tcase_add_test(tc, topic_is_gone_with_its_last_participant);
	tcase_add_test(tc, many_endpoints_take_more_segments_and_give_them_back);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
