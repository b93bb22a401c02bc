/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager keeps a handful of descriptors for the broker, however many clients and
 * topics there are, and hears few words. Descriptors of the gone are let go of. A request whose
 * descriptors can't be kept is refused before it is done. Kernels that can't tell of a connection's
 * process do as well.
 *
 * The file is long because each way in which a descriptor ends has a case, over one fixture.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/peer.h"
#include "tests/support/suite.h"

static struct test_manager manager;
static struct kickmsg_client *client;

/* No tick, so that all that is said has another reason. */
static const char quiet[] = "[recovery]\ninterval = 60000\n";

static void start(const char *config)
{
	test_manager_start(&manager, config);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
}

static void end(void)
{
	kickmsg_client_free(client);
	ck_assert_msg(test_wait_until(test_manager_is_empty(&manager), 10000),
		"%zu descriptors, %zu entries", test_manager_stored(&manager, 0),
		test_manager_parked(&manager));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}

/* A topic of three descriptors. */
static int advertise(unsigned number, struct kickmsg_publisher **ret)
{
	struct kickmsg_topic_config config;
	char name[32];

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_publishers = config.max_subscribers = config.max_borrows = 2;
	config.ring_capacity = 4;
	config.pool_size = 16;
	config.max_loans = 1;
	config.max_payload_size = 64;
	snprintf(name, sizeof name, "topic%u", number);
	return kickmsg_advertise(client, name, &config, ret);
}

static unsigned times_said(const char *text)
{
	unsigned count = 0;

	pthread_mutex_lock(&manager.lock);
	for (const char *at = manager.said; (at = strstr(at, text)); at++)
		count++;
	pthread_mutex_unlock(&manager.lock);
	return count;
}

/* --- a handful of descriptors, few words ----------------------------------------------- */

#define TOPICS 250

START_TEST(manager_keeps_four_whatever_there_is)
{
	static struct kickmsg_publisher *publishers[TOPICS];
	unsigned sent = 0;

	start(quiet);
	for (unsigned i = 0; i < TOPICS; i++) {
		ck_assert_msg(advertise(i, &publishers[i]) == 0, "%u: %s", i,
			kickmsg_client_last_error(client));
		ck_assert_uint_eq(test_manager_stored(&manager, 0), MANAGER_OWN_FDS);
	}
	/* the client's connection, its segments, and each topic once */
	ck_assert_uint_ge(test_manager_parked(&manager), TOPICS + 2);
	for (unsigned round = 0; round < 3; round++) {
		ck_assert_uint_eq(times_said("FDSTORE=1"), round == 0 ? MANAGER_OWN_FDS : 0);
		ck_assert_uint_eq(times_said("FDSTOREREMOVE"), 0);
		ck_assert_uint_le(times_said("STATUS="), 4);
		test_manager_kill(&manager, SIGKILL);
		/* ready, its status, and that it takes its time */
		ck_assert_uint_le(manager.messages - manager.watchdogs, 20);
		manager.messages = manager.watchdogs = 0;
		test_manager_resume(&manager);
		ck_assert_uint_eq(test_manager_stored(&manager, 0), MANAGER_OWN_FDS);
		for (unsigned i = 0; i < TOPICS; i++)
			sent += kickmsg_send(publishers[i], "x", 1) == 1;
	}
	ck_assert_uint_eq(sent, 3 * TOPICS);
	for (unsigned i = 0; i < TOPICS; i++)
		kickmsg_publisher_free(publishers[i]);
	end();
}
END_TEST

/* Clients and topics that come and go leave no more than a bounded number of entries behind. */
START_TEST(what_is_gone_does_not_pile_up)
{
	struct kickmsg_publisher *publisher;
	size_t most = 0;

	start(quiet);
	for (unsigned i = 0; i < 600; i++) {
		struct kickmsg_client *visitor;

		ck_assert_int_eq(kickmsg_client_new(NULL, &visitor), 0);
		ck_assert_int_eq(advertise(i, &publisher), 0);
		ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
		kickmsg_publisher_free(publisher);
		kickmsg_client_free(visitor);
		size_t parked = test_manager_parked(&manager);
		most = parked > most ? parked : most;
	}
	printf("at most %zu entries waited\n", most);
	ck_assert_uint_le(most, 100);
	ck_assert_uint_eq(test_manager_stored(&manager, 0), MANAGER_OWN_FDS);
	end();
}
END_TEST

/* --- hung up --------------------------------------------------------------------------- */

static bool is_hung_up(int peer)
{
	struct pollfd heard = { peer, POLLIN, 0 };

	return poll(&heard, 1, 0) == 1 && heard.revents & POLLHUP;
}

/* A copy of the connection waits in the parking. Its client hears all the same that the connection
 * is over. */
START_TEST(whom_the_broker_hangs_up_on_hears_at_once)
{
	union km_msg answer;
	int segments[3], peers[3];

	start(quiet);
	for (size_t i = 0; i < 3; i++)
		peers[i] = test_peer_hello(manager.socket, "peer", &segments[i]);
	ck_assert_int_eq(test_peer_call(peers[0], "?", 1, &answer), KM_OP_ERROR);
	ck_assert(test_wait_until(is_hung_up(peers[0]), 10000));
	ck_assert(!is_hung_up(peers[1]));
	/* one whose record is missing isn't taken back */
	test_manager_kill(&manager, SIGKILL);
	ck_assert(!is_hung_up(peers[1]));
	ck_assert(test_manager_unpark(&manager, "m3.0"));
	test_manager_resume(&manager);
	ck_assert(test_wait_until(is_hung_up(peers[1]), 10000));
	ck_assert(!is_hung_up(peers[2]));
	/* nobody is, of a state that is refused */
	test_manager_kill(&manager, SIGKILL);
	ck_assert(!is_hung_up(peers[2]));
	ck_assert_int_eq(pwrite(test_manager_find(&manager, "S"), "?", 1, 8), 1);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(is_hung_up(peers[2]), 10000));
	for (size_t i = 0; i < 3; i++) {
		close(peers[i]);
		close(segments[i]);
	}
	end();
}
END_TEST

/* --- limits ---------------------------------------------------------------------------- */

/* The broker may open 292 descriptors, and its config asks for no more, so it doesn't try to raise
 * that. */
START_TEST(what_cant_be_kept_is_refused_before_it_is_done)
{
	struct rlimit limit = { 292, 292 };
	struct kickmsg_publisher *publishers[100], *more;
	unsigned count = 0;
	int r = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start("[limits]\ntopics = 70\nclients = 6\n[recovery]\ninterval = 20\n");
	while (count < 100 && (r = advertise(count, &publishers[count])) == 0)
		count++;
	ck_assert_int_eq(r, -EDQUOT);
	/* said at the start */
	ck_assert(test_manager_logged(&manager,
		"146 descriptors may wait for the next broker (limit: LimitNOFILE=); as many "
		"topics and clients as are configured may take 228"));
	ck_assert_uint_gt(count, 30);
	const char *text = kickmsg_client_last_error(client);
	ck_assert_msg(strstr(text, "wait for the next broker") && strstr(text, "LimitNOFILE="),
		"it says '%s'", text);
	ck_assert(test_manager_logged(&manager, "raise LimitNOFILE= before requests are refused"));
	/* nothing is left of it, and the participants go on, over a restart too */
	struct kickmsg_topic_ref ref = { .name = "topic0" };
	struct kickmsg_topic_info info;
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	char name[16];
	snprintf(name, sizeof name, "topic%u", count);
	ref.name = name;
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), -ENOENT);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(kickmsg_send(publishers[i], "x", 1), 1);
	ck_assert_int_eq(advertise(count, &more), -EDQUOT);
	kickmsg_publisher_free(publishers[0]);
	ck_assert(test_wait_until(advertise(count, &more) == 0, 10000));
	ck_assert(!test_manager_logged(&manager, "kept too little"));
	for (unsigned i = 1; i < count; i++)
		kickmsg_publisher_free(publishers[i]);
	kickmsg_publisher_free(more);
	end();
}
END_TEST

static bool status_has(const char *text)
{
	pthread_mutex_lock(&manager.lock);
	bool has = strstr(manager.status, text) != NULL;
	pthread_mutex_unlock(&manager.lock);
	return has;
}

START_TEST(status_tells_how_much_is_stored)
{
	struct kickmsg_publisher *publisher;

	start("[recovery]\ninterval = 20\n");
	ck_assert_int_eq(advertise(1, &publisher), 0);
	/* connection, segment; control, payload, bell */
	ck_assert(
		test_wait_until(status_has(", 5 of ") && status_has(" descriptors stored"), 10000));
	kickmsg_publisher_free(publisher);
	ck_assert(test_wait_until(status_has(", 2 of "), 10000));
	end();
}
END_TEST

/* --- older kernels --------------------------------------------------------------------- */

/* a sanitizer's library has to be loaded first */
#ifdef SANITIZED
#define MAY_PRELOAD false
#else
#define MAY_PRELOAD true
#endif

static void older_kernel(int error)
{
	char number[16];

	snprintf(number, sizeof number, "%d", error);
	ck_assert_int_eq(setenv("PEERPIDFD_ERROR", number, 1), 0);
	ck_assert_int_eq(setenv("LD_PRELOAD", TEST_NO_PEERPIDFD, 1), 0);
}

static void be_there(void *unused)
{
	struct kickmsg_client *mine;
	struct kickmsg_subscriber *subscriber;

	if (kickmsg_client_new(NULL, &mine) || kickmsg_subscribe(mine, "topic1", NULL, &subscriber))
		_exit(1);
	test_child_ready();
	pause();
}

static uint32_t subscribers(void)
{
	struct kickmsg_topic_ref ref = { .name = "topic1" };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	return info.subscribers;
}

/* The pidfd waits in the parking beside the connection. Deaths before, between and after restarts
 * are seen. */
START_TEST(kernel_without_peerpidfd_is_served_as_well)
{
	struct kickmsg_publisher *publisher;
	pid_t children[2];

	older_kernel(ENOPROTOOPT);
	start(quiet);
	ck_assert_int_eq(advertise(1, &publisher), 0);
	for (size_t i = 0; i < 2; i++)
		children[i] = test_child_start(be_there, NULL);
	ck_assert_uint_eq(subscribers(), 2);
	test_manager_kill(&manager, SIGKILL);
	int pidfd = test_manager_parked_fd(&manager, "d1");
	ck_assert_int_ge(pidfd, 0);
	close(pidfd);
	test_child_end(children[0], SIGKILL);
	test_manager_resume(&manager);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_uint_eq(subscribers(), 1);
	test_child_end(children[1], SIGKILL);
	ck_assert(test_wait_until(subscribers() == 0, 10000));
	ck_assert(!test_manager_logged(&manager, "can't be taken back"));
	kickmsg_publisher_free(publisher);
	end();
}
END_TEST

/* Where the kernel gives the pidfd again, it doesn't wait in the parking. Where the kernel can't
 * any more, since the process is gone, that is an answer too. */
START_TEST(pidfd_that_cant_be_had_again_is_a_death)
{
	struct kickmsg_publisher *publisher;

	start(quiet);
	ck_assert_int_eq(advertise(1, &publisher), 0);
	test_manager_kill(&manager, SIGKILL);
	ck_assert_int_eq(test_manager_parked_fd(&manager, "d1"), -1);
	/* the kernel says so of everybody: this client comes back by itself */
	older_kernel(ESRCH);
	test_manager_resume(&manager);
	ck_assert(test_manager_logged(&manager, "client died (its process ended)"));
	ck_assert(!test_manager_logged(&manager, "can't be taken back"));
	ck_assert_int_eq(unsetenv("PEERPIDFD_ERROR"), 0);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(
		kickmsg_client_dispatch(client) >= 0 && kickmsg_send(publisher, "x", 1) == 1,
		10000));
	kickmsg_publisher_free(publisher);
	end();
}
END_TEST

/* --- the listening socket, and who hung up before -------------------------------------- */

/* The listening socket's description is the manager's too. The broker makes it non-blocking and
 * changes nothing else. */
START_TEST(listening_socket_is_made_not_to_block)
{
	start(quiet);
	ck_assert_int_eq(fcntl(manager.listen_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	test_manager_kill(&manager, SIGTERM);
	ck_assert_int_eq(fcntl(manager.listen_fd, F_SETFL, O_RDWR | O_APPEND | O_NONBLOCK), 0);
	test_manager_resume(&manager);
	ck_assert_int_eq(
		fcntl(manager.listen_fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
	test_manager_kill(&manager, SIGTERM);
	ck_assert_int_eq(fcntl(manager.listen_fd, F_SETFL, O_RDWR), 0);
	test_manager_resume(&manager);
	ck_assert_int_eq(fcntl(manager.listen_fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK);
	end();
}
END_TEST

/* A process hung up and still has its memory mapped when the next broker comes. Then it lets go of
 * the memory, and no tick comes for a minute. */
START_TEST(who_hung_up_before_a_restart_is_probed_after_it)
{
	struct km_msg_attach ask = { .header = { KM_OP_SUBSCRIBE, 9 }, .topic = "topic1" };
	struct kickmsg_publisher *publisher;
	union km_msg answer;
	int segment;

	start(quiet);
	ck_assert_int_eq(advertise(1, &publisher), 0);
	int peer = test_peer_hello(manager.socket, "peer", &segment);
	ck_assert_int_eq(test_peer_call(peer, &ask, sizeof ask, &answer), KM_OP_ATTACHED);
	close(peer);
	/* heard before the kill: a later event is */
	ck_assert_uint_eq(subscribers(), 1);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert(!test_manager_logged(&manager, "client died"));
	close(segment);
	ck_assert(test_wait_until(
		test_manager_logged(&manager, "client died (it maps its memory no more)"), 20000));
	kickmsg_publisher_free(publisher);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-store");
	TCase *tcase = tcase_create("flow-store");

	if (test_skip_emulated("flow-store", TEST_LACKS_PEEKING))
		return 77;
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, manager_keeps_four_whatever_there_is);
	tcase_add_test(tcase, what_is_gone_does_not_pile_up);
	tcase_add_test(tcase, whom_the_broker_hangs_up_on_hears_at_once);
	tcase_add_test(tcase, what_cant_be_kept_is_refused_before_it_is_done);
	tcase_add_test(tcase, status_tells_how_much_is_stored);
	if (MAY_PRELOAD) {
		tcase_add_test(tcase, kernel_without_peerpidfd_is_served_as_well);
		tcase_add_test(tcase, pidfd_that_cant_be_had_again_is_a_death);
	}
	tcase_add_test(tcase, listening_socket_is_made_not_to_block);
	tcase_add_test(tcase, who_hung_up_before_a_restart_is_probed_after_it);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
