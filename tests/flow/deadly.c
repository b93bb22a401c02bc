/* SPDX-License-Identifier: Apache-2.0 */
/* A request that brokers end at: it isn't tried for ever. */
#include <check.h>
#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/keep/keep.h"
#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/peer.h"
#include "tests/support/broker/state_records.h"
#include "tests/support/suite.h"

static struct test_manager manager;

/* A client's name, what is to be changed of its record, or null, and what it says. */
struct trial {
	const char *name;
	const struct km_tried *change;
	struct km_tried tried;
};

static bool look_at_session(struct state_record *record, void *userdata)
{
	struct km_kept_session *kept = (void *)record->content;
	struct trial *trial = userdata;

	if (record->size != sizeof *kept || strcmp(kept->name, trial->name) != 0)
		return false;
	if (trial->change)
		kept->tried = *trial->change;
	trial->tried = kept->tried;
	return trial->change != NULL;
}

/* Returns the request that the state's record of that client says was tried. Changes it to *change,
 * if that isn't null. */
static struct km_tried tried_of(const char *name, const struct km_tried *change)
{
	struct trial trial = { .name = name, .change = change };

	state_records_change(test_manager_find(&manager, "S"), look_at_session, &trial);
	return trial.tried;
}

/* The next answer; a new broker sends an event to all. */
static int next_answer(int peer, union km_msg *ret)
{
	int op;

	do
		op = test_peer_answer(peer, ret);
	while (op == KM_OP_EVENT);
	return op;
}

/* Has the broker taken from the sockets what it has answered? */
static bool sleeps(void)
{
	return test_sleeps(manager.pid);
}

/* Leaves a request in the connection for the next broker, which has not met it before. */
static void leave_to_next(int peer, const struct km_msg_topic *request)
{
	ck_assert(test_wait_until(sleeps(), 10000));
	ck_assert_int_eq(kill(manager.pid, SIGSTOP), 0);
	ck_assert_int_eq(send(peer, request, sizeof *request, 0), sizeof *request);
	test_manager_kill(&manager, SIGKILL);
}

/* A broker ends at a request, the next one meets it, ends at it too, and the third refuses it. */
START_TEST(restart_request_that_two_ended_at_is_refused)
{
	struct km_msg_topic request = { .header = { .op = KM_OP_STATS, .serial = 9 } };

	test_manager_start(&manager, NULL);
	int host = test_peer_hello(manager.socket, "host", NULL);
	union km_msg answer;
	struct km_msg_attach topic = { .header = { .op = KM_OP_SUBSCRIBE, .serial = 1 },
		.flags = KM_ATTACH_CREATE };
	strcpy(topic.topic, "topic");
	ck_assert_int_eq(test_peer_call(host, &topic, sizeof topic, &answer), KM_OP_ATTACHED);
	strcpy(request.topic, "topic");
	int peer = test_peer_hello(manager.socket, "deadly", NULL);
	leave_to_next(peer, &request);
	/* the first broker wrote nothing down; the second one writes that it begins */
	test_manager_resume(&manager);
	ck_assert_int_eq(next_answer(peer, &answer), KM_OP_STATS_OK);
	ck_assert_uint_eq(tried_of("deadly", NULL).serial, 9);
	ck_assert_uint_eq(tried_of("deadly", NULL).times, 1);
	/* as if the broker hadn't come to the end of the next request */
	request.header.serial = 10;
	leave_to_next(peer, &request);
	tried_of("deadly", &(struct km_tried){ .serial = 10, .times = 1 });
	test_manager_resume(&manager);
	ck_assert_int_eq(next_answer(peer, &answer), KM_OP_ERROR);
	ck_assert_int_eq(answer.error.error, -EIO);
	ck_assert_uint_eq(answer.header.serial, 10);
	/* only that request is refused */
	request.header.serial = 11;
	ck_assert_int_eq(test_peer_call(peer, &request, sizeof request, &answer), KM_OP_STATS_OK);
	close(peer);
	close(host);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* The result of its thread's call. */
static int asked = 1;

static void *ask(void *client)
{
	struct kickmsg_topic_ref ref = { .name = "topic" };
	struct kickmsg_topic_stats stats;

	asked = kickmsg_topic_get_stats(client, &ref, &stats);
	return NULL;
}

/* Does a request of the library wait in its connection? */
static bool has_sent(void)
{
	struct sockaddr_un peer = { 0 };
	int unread = 0;

	for (int fd = 3; fd < 64 && unread == 0; fd++) {
		socklen_t size = sizeof peer - 1;

		if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
			strcmp(peer.sun_path, manager.socket) == 0)
			ioctl(fd, SIOCOUTQ, &unread);
	}
	return unread > 0;
}

/* Two brokers were killed at a request by chance: the library's caller doesn't hear of it. */
START_TEST(restart_library_asks_once_more)
{
	struct kickmsg_client_config config = { .name = "honest" };
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	pthread_t thread;

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &publisher), 0);
	ck_assert(test_wait_until(sleeps(), 10000));
	ck_assert_int_eq(kill(manager.pid, SIGSTOP), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask, client), 0);
	ck_assert(test_wait_until(has_sent(), 10000));
	test_manager_kill(&manager, SIGKILL);
	/* after HELLO and ADVERTISE */
	tried_of("honest", &(struct km_tried){ .serial = 3, .times = 1 });
	test_manager_resume(&manager);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(asked, 0);
	ck_assert(test_manager_logged(&manager, "the broker has ended at this"));
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* --- subscribers that wait ------------------------------------------------------------------ */

/* Changes the waits that the state has. */
static bool change_wait(struct state_record *record, void *userdata)
{
	struct km_kept_wait *kept = (void *)record->content;
	void (**change)(struct km_kept_wait * kept) = userdata;

	if (record->size != sizeof *kept)
		return false;
	(*change)(kept);
	return true;
}

static void try_it(struct km_kept_wait *kept)
{
	kept->tried = 1;
}

static void spoil_it(struct km_kept_wait *kept)
{
	kept->request.flags = 0;
}

/* Returns how many there are. */
static unsigned change_waits(void (*change)(struct km_kept_wait *kept))
{
	return state_records_change(test_manager_find(&manager, "S"), change_wait, &change);
}

static int ask_to_wait(const char *name)
{
	struct km_msg_attach request = { .header = { KM_OP_SUBSCRIBE, 9 },
		.flags = KM_ATTACH_WAIT };
	int peer = test_peer_hello(manager.socket, name, NULL);
	union km_msg answer;

	strcpy(request.topic, "topic");
	ck_assert_int_eq(test_peer_call(peer, &request, sizeof request, &answer), KM_OP_WAITS);
	return peer;
}

static void expect_refusal(int peer, const char *says)
{
	union km_msg answer;

	ck_assert_int_eq(next_answer(peer, &answer), KM_OP_ERROR);
	ck_assert_int_eq(answer.error.error, -EIO);
	ck_assert_uint_eq(answer.header.serial, 9);
	ck_assert_msg(strstr(answer.error.text, says), "%s", answer.error.text);
}

/* A broker ended as it served a wait, and the next one too. */
START_TEST(restart_wait_that_two_ended_at_is_refused)
{
	struct kickmsg_client *maker;
	struct kickmsg_publisher *publisher;

	test_manager_start(&manager, NULL);
	int peer = ask_to_wait("deadly");
	ck_assert(test_wait_until(sleeps(), 10000));
	test_manager_kill(&manager, SIGKILL);
	ck_assert_uint_eq(change_waits(try_it), 1);
	test_manager_resume(&manager);
	ck_assert_int_eq(kickmsg_client_new(NULL, &maker), 0);
	ck_assert_int_eq(kickmsg_advertise(maker, "topic", NULL, &publisher), 0);
	expect_refusal(peer, "has ended at this SUBSCRIBE before");
	ck_assert_uint_eq(kickmsg_publisher_get_matched(publisher), 0);
	kickmsg_client_free(maker);
	close(peer);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* The next broker can't know what a spoilt record waits for. It says so, and keeps nothing of it. */
START_TEST(restart_spoilt_wait_is_dropped_with_a_word)
{
	test_manager_start(&manager, NULL);
	int peer = ask_to_wait("spoilt");

	ck_assert(test_wait_until(sleeps(), 10000));
	test_manager_kill(&manager, SIGKILL);
	ck_assert_uint_eq(change_waits(spoil_it), 1);
	test_manager_resume(&manager);
	expect_refusal(peer, "is spoilt: ask again");
	ck_assert(test_manager_logged(&manager, "a wait for a topic can't be taken back"));
	test_manager_kill(&manager, SIGTERM);
	ck_assert_uint_eq(change_waits(spoil_it), 0);
	test_manager_resume(&manager);
	close(peer);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

static int first;

static void *wait_and_receive(void *client)
{
	const struct kickmsg_subscribe_options options = { .wait_ns = UINT64_C(20000000000) };
	struct kickmsg_subscriber *subscriber;

	first = kickmsg_subscribe(client, "topic", &options, &subscriber);
	if (first == 0)
		kickmsg_receive_copy(subscriber, &first, sizeof first, (int64_t)options.wait_ns);
	return NULL;
}

/* The library asks once more in either case, and gets a message all the same. A spoilt one it asks for at
 * once, the other when the topic is there. */
START_TEST(restart_library_waits_once_more)
{
	static void (*const changes[])(struct km_kept_wait * kept) = { try_it, spoil_it };
	struct kickmsg_client *waits, *maker;
	struct kickmsg_publisher *publisher;
	const int message = 5;
	pthread_t thread;

	test_manager_start(&manager, "[log]\nlevel = debug\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &waits), 0);
	ck_assert_int_eq(kickmsg_client_new(NULL, &maker), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_receive, waits), 0);
	ck_assert(test_wait_until(test_manager_logged(&manager, "waits for topic"), 10000));
	ck_assert(test_wait_until(sleeps(), 10000));
	test_manager_kill(&manager, SIGKILL);
	ck_assert_uint_eq(change_waits(changes[_i]), 1);
	remove(manager.log);
	test_manager_resume(&manager);
	if (_i == 1)
		ck_assert(test_wait_until(test_manager_logged(&manager, "waits for topic"), 10000));
	ck_assert_int_eq(kickmsg_advertise(maker, "topic", NULL, &publisher), 0);
	if (_i == 0)
		ck_assert_int_eq(
			kickmsg_publisher_wait_matched(publisher, 1, INT64_C(10000000000)), 0);
	ck_assert_int_eq(kickmsg_send(publisher, &message, sizeof message), sizeof message);
	pthread_join(thread, NULL);
	ck_assert_int_eq(first, message);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deadly");
	TCase *tcase = tcase_create("deadly");

	if (test_skip_emulated("flow-deadly", TEST_LACKS_PEEKING))
		return 77;
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, restart_request_that_two_ended_at_is_refused);
	tcase_add_test(tcase, restart_library_asks_once_more);
	tcase_add_test(tcase, restart_wait_that_two_ended_at_is_refused);
	tcase_add_test(tcase, restart_spoilt_wait_is_dropped_with_a_word);
	tcase_add_loop_test(tcase, restart_library_waits_once_more, 0, 2);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
