/* SPDX-License-Identifier: Apache-2.0 */
/* Peers are counted, told of and waited for, with both transports. */
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

#include "common/memory/atomic.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"

#define MANY 500

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_topic_config config;

/* All that was told. */
static struct {
	uint32_t peers, came, left, died;
	unsigned events, unlinked, replaced, quarantined;
} told;

static void on_event(void *userdata, const struct kickmsg_event *event)
{
	if (event->kind < KICKMSG_EVENT_PEERS)
		return;
	ck_assert_str_eq(event->topic, "t");
	ck_assert(!event->publisher != !event->subscriber);
	if (event->kind == KICKMSG_EVENT_PEERS) {
		told.events++;
		told.peers = event->peers;
		told.came += event->peers_came;
		told.left += event->peers_left;
		told.died += event->peers_died;
	}
	told.unlinked += event->kind == KICKMSG_EVENT_UNLINKED;
	told.replaced += event->kind == KICKMSG_EVENT_REPLACED;
	told.quarantined += event->kind == KICKMSG_EVENT_QUARANTINED;
}

static void setup(int transport)
{
	test_broker_start(&broker, "[recovery]\ninterval = 5\n");
	memset(&told, 0, sizeof told);
	client = flow_client_told("listens", on_event, NULL);
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	publisher = flow_advertise(client, "t", &config);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* Dispatches, as a loop does, until the condition holds. */
#define dispatch_until(condition)                                                                  \
	do {                                                                                       \
		for (int left_ = 1000; !(condition) && left_ > 0; left_--) {                       \
			struct pollfd readable_ = { kickmsg_client_get_fd(client), POLLIN, 0 };    \
                                                                                                   \
			poll(&readable_, 1, 50);                                                   \
			int r_ = kickmsg_client_dispatch(client);                                  \
			ck_assert(r_ >= 0 || r_ == -ENOTCONN);                                     \
		}                                                                                  \
		ck_assert_msg(condition, "told: %u now, came %u, left %u, died %u", told.peers,    \
			told.came, told.left, told.died);                                          \
	} while (0)

/* A process that subscribes, and leaves when a byte comes. */
static pid_t subscribe_elsewhere(int *ret_pipe)
{
	int pipes[2], ready[2];
	char byte;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipes[1]);
		struct kickmsg_client *other = flow_client("other");
		struct kickmsg_subscriber *subscriber = flow_subscribe(other, "t");
		ck_assert_int_eq(write(ready[1], "", 1), 1);
		if (read(pipes[0], &byte, 1) == 1)
			kickmsg_subscriber_free(subscriber);
		kickmsg_client_free(other);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(pipes[0]);
	*ret_pipe = pipes[1];
	return pid;
}

START_TEST(peers_come_leave_and_die_are_told)
{
	int leave, die;

	setup(_i);
	ck_assert_uint_eq(kickmsg_publisher_get_matched(publisher), 0);
	pid_t leaver = subscribe_elsewhere(&leave), victim = subscribe_elsewhere(&die);
	ck_assert_uint_eq(kickmsg_publisher_get_matched(publisher), 2);
	dispatch_until(told.came == 2);
	ck_assert_uint_eq(told.peers, 2);
	ck_assert_int_eq(write(leave, "", 1), 1);
	dispatch_until(told.left == 1);
	ck_assert_uint_eq(told.died, 0);
	kill(victim, SIGKILL);
	dispatch_until(told.died == 1);
	ck_assert_uint_eq(told.left, 1);
	ck_assert_uint_eq(told.peers, 0);
	ck_assert_uint_eq(kickmsg_publisher_get_matched(publisher), 0);
	waitpid(leaver, NULL, 0);
	waitpid(victim, NULL, 0);
	close(leave);
	close(die);
	teardown();
}
END_TEST

START_TEST(subscriber_hears_of_publishers)
{
	struct kickmsg_client *other;

	setup(_i);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	/* the publisher of the same client hears of the subscriber */
	dispatch_until(told.came == 1);
	ck_assert_uint_eq(kickmsg_subscriber_get_matched(subscriber), 1);
	other = flow_client("other");
	struct kickmsg_publisher *second = flow_advertise(other, "t", &config);
	ck_assert_uint_eq(kickmsg_subscriber_get_matched(subscriber), 2);
	dispatch_until(told.came == 2);
	ck_assert_uint_eq(told.peers, 2);
	kickmsg_publisher_free(second);
	dispatch_until(told.left == 1);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* The own ring of a member of a broadcast channel that doesn't hear itself is no peer. */
START_TEST(broadcast_member_is_no_peer_of_its_own)
{
	const struct kickmsg_subscribe_options options = { .skip_own = 1 };
	struct kickmsg_publisher *mine;
	struct kickmsg_subscriber *own;

	setup(_i);
	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "channel", &config, &options, &mine, &own), 0);
	ck_assert_uint_eq(kickmsg_publisher_get_matched(mine), 0);
	ck_assert_uint_eq(kickmsg_subscriber_get_matched(own), 0);
	kickmsg_publisher_free(mine);
	kickmsg_subscriber_free(own);
	teardown();
}
END_TEST

/* A client that doesn't dispatch stays connected, gets few messages, and misses nothing. */
START_TEST(client_that_does_not_dispatch_hears_of_all_in_the_end)
{
	setup(_i);
	struct kickmsg_client *other = flow_client("other");
	for (int i = 0; i < MANY; i++)
		kickmsg_subscriber_free(flow_subscribe(other, "t"));
	ck_assert(test_wait_until(kickmsg_publisher_get_matched(publisher) == 0, FLOW_WAIT_MS));
	int handled = kickmsg_client_dispatch(client);
	ck_assert_int_ge(handled, 0);
	/* an EVENT message of the broker and an event of the library, and both once more where the
	 * broker tells of the last ones meanwhile */
	ck_assert_int_le(handled, 4);
	dispatch_until(told.left == MANY);
	ck_assert_uint_eq(told.came, MANY);
	ck_assert_uint_eq(told.died, 0);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

START_TEST(unlinked_and_replaced_are_told)
{
	setup(_i);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t"), 0);
	dispatch_until(told.unlinked == 1);
	ck_assert_uint_eq(told.replaced, 0);
	struct kickmsg_client *other = flow_client("other");
	kickmsg_publisher_free(flow_advertise(other, "t", &config));
	dispatch_until(told.replaced == 1);
	ck_assert_uint_eq(told.unlinked, 1);
	/* a topic of another name replaces nothing */
	kickmsg_publisher_free(flow_advertise(other, "u", &config));
	ck_assert_uint_eq(told.quarantined, 0);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

START_TEST(quarantine_is_told)
{
	setup(_i);
	struct km_region *region = &publisher->handle.place.region;
	atomic_store(&region->slots[0].word, UINT64_MAX);
	ck_assert(test_wait_until(flow_health("t").quarantined, FLOW_WAIT_MS));
	dispatch_until(told.quarantined == 1);
	ck_assert_int_eq(kickmsg_publisher_wait_matched(publisher, 1, -1), -ESTALE);
	teardown();
}
END_TEST

static void *wait_for_two(void *ret)
{
	*(_Atomic int *)ret = kickmsg_publisher_wait_matched(publisher, 2, -1);
	return NULL;
}

START_TEST(wait_matched_ends_with_the_last_one_that_comes)
{
	pthread_t thread;
	_Atomic int r = 1;

	setup(_i);
	ck_assert_int_eq(kickmsg_publisher_wait_matched(publisher, 0, -1), 0);
	ck_assert_int_eq(kickmsg_publisher_wait_matched(publisher, 1, 0), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_publisher_wait_matched(publisher, 1, 1000000), -ETIMEDOUT);
	pthread_create(&thread, NULL, wait_for_two, &r);
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_subscriber *first = flow_subscribe(other, "t");
	struct kickmsg_subscriber *second = flow_subscribe(other, "t");
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
	flow_send_int(publisher, 7);
	ck_assert_int_eq(flow_receive_int(first), 7);
	ck_assert_int_eq(flow_receive_int(second), 7);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* A broker that nobody takes over from ends while a publisher waits: it goes over to the fresh topic. */
START_TEST(wait_matched_goes_on_with_the_next_broker)
{
	pthread_t thread;
	_Atomic int r = 1;

	setup(_i);
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_subscriber *first = flow_subscribe(other, "t");
	test_broker_kill(&broker);
	pthread_create(&thread, NULL, wait_for_two, &r);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(kickmsg_client_dispatch(other) >= 0, FLOW_WAIT_MS));
	struct kickmsg_subscriber *second = NULL;
	ck_assert(test_wait_until(kickmsg_subscribe(other, "t", NULL, &second) == 0, FLOW_WAIT_MS));
	while (test_wait_until(r <= 0, 10) == false)
		flow_receive_int(first); /* goes over as well */
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

static void make_and_leave_topics(void *unused)
{
	struct kickmsg_client *other = flow_client("busy");
	char name[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	test_child_ready();
	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof name, "busy%u", i);
		kickmsg_publisher_free(flow_advertise(other, name, NULL));
	}
}

/* Topics of others that come and go all the time put nobody's news off. */
START_TEST(news_come_while_other_topics_change)
{
	setup(_i);
	pid_t busy = test_child_start(make_and_leave_topics, NULL);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "t");
	for (int left = 100; told.came == 0 && left > 0; left--) {
		struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };

		poll(&readable, 1, 50);
		kickmsg_client_dispatch(client);
	}
	ck_assert_uint_eq(told.came, 1);
	kickmsg_subscriber_free(subscriber);
	kill(busy, SIGKILL);
	waitpid(busy, NULL, 0);
	teardown();
}
END_TEST

/* Under a manager the next broker knows which clients want to hear, and tells them of endpoints
 * that died meanwhile. */
START_TEST(next_broker_tells)
{
	static struct test_manager manager;
	int stay;

	if (test_skip_emulated("next_broker_tells", TEST_LACKS_PEEKING))
		return;
	memset(&told, 0, sizeof told);
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	client = flow_client_told("listens", on_event, NULL);
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)_i;
	publisher = flow_advertise(client, "t", &config);
	pid_t victim = subscribe_elsewhere(&stay);
	dispatch_until(told.came == 1);
	test_manager_kill(&manager, SIGKILL);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	test_manager_resume(&manager);
	dispatch_until(told.died == 1);
	ck_assert_uint_eq(told.peers, 0);
	kickmsg_subscriber_free(flow_subscribe(client, "t"));
	dispatch_until(told.left == 1);
	ck_assert_uint_eq(told.came, 2);
	close(stay);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-matched");
	TCase *tc = tcase_create("matched");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, peers_come_leave_and_die_are_told, 0, 2);
	tcase_add_loop_test(tc, subscriber_hears_of_publishers, 0, 2);
	tcase_add_loop_test(tc, broadcast_member_is_no_peer_of_its_own, 0, 2);
	tcase_add_loop_test(tc, client_that_does_not_dispatch_hears_of_all_in_the_end, 0, 2);
	tcase_add_loop_test(tc, unlinked_and_replaced_are_told, 0, 2);
	tcase_add_loop_test(tc, quarantine_is_told, 0, 2);
	tcase_add_loop_test(tc, wait_matched_ends_with_the_last_one_that_comes, 0, 2);
	tcase_add_loop_test(tc, wait_matched_goes_on_with_the_next_broker, 0, 2);
	tcase_add_loop_test(tc, news_come_while_other_topics_change, 0, 2);
	tcase_add_loop_test(tc, next_broker_tells, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
