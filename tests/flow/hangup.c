/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that come with requests, and whose close doesn't end: nobody else waits for them, not
 * even the broker's end. Newer kernels refuse them (SO_PASSRIGHTS), so that the test, as a service
 * manager that made the listening socket, lets them in again while the broker stands still.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/fuse.h"
#include "tests/support/broker/manager.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define LINGER_S 20
#define SOON_MS  5000 /* far less than that */

static struct test_manager manager;

static struct kickmsg_client *new_client(void)
{
	struct kickmsg_client *client = NULL;

	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	return client;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The last close of it waits for LINGER_S: a connection with bytes that nobody reads. */
static int slow_socket(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	struct linger linger = { 1, LINGER_S };
	static char bytes[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	/* stays open, unread, as long as this process */
	ck_assert_int_ge(accept(listener, NULL, NULL), 0);
	close(listener);
	return fd;
}

static void freeze(void)
{
	const int on = 1;
	int status;

	kill(manager.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(manager.pid, &status, WUNTRACED), manager.pid);
	setsockopt(manager.listen_fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof on);
}

static void thaw(void)
{
	const int off = 0;

	setsockopt(manager.listen_fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off);
	kill(manager.pid, SIGCONT);
}

/* A peer whose first message has this descriptor. It is the only one who has it from then on. */
static int connect_with(int fd)
{
	struct km_msg_hello hello = TEST_HELLO(.name = "p", .prefix = "p");
	int peer = test_peer_connect(manager.socket);

	ck_assert_int_eq(km_wire_send(peer, &hello, sizeof hello, &fd, 1), 0);
	close(fd);
	return peer;
}

static void expect_prompt_service(struct kickmsg_client *client)
{
	struct kickmsg_client *fresh = NULL;
	struct kickmsg_topic_info info;
	int64_t start = now_ms();

	for (int i = 0; i < 20; i++) {
		uint64_t cursor = 0;

		ck_assert_int_eq(kickmsg_topic_list(client, &cursor, &info, 1), 0);
	}
	ck_assert_int_eq(kickmsg_client_new(NULL, &fresh), 0);
	kickmsg_client_free(fresh);
	ck_assert_int_lt(now_ms() - start, SOON_MS);
}

/* The broker, and none of its children, ends at once. */
static void expect_prompt_end(void)
{
	int64_t start = now_ms();

	test_manager_kill(&manager, SIGTERM);
	ck_assert_int_lt(now_ms() - start, SOON_MS);
}

/* One peer is told what is wrong; one is gone before its message is looked at. */
START_TEST(slow_close_delays_nobody)
{
	union km_msg answer;

	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	freeze();
	int stays = connect_with(slow_socket());
	close(connect_with(slow_socket()));
	thaw();
	expect_prompt_service(client);
	flow_expect_error(&answer, test_peer_answer(stays, &answer), -EPROTO, "descriptors");
	ck_assert_int_eq(test_peer_answer(stays, &answer), -ENOTCONN);
	close(stays);
	expect_prompt_service(client);
	expect_prompt_end();
	test_manager_resume(&manager);
	expect_prompt_service(client);
	kickmsg_client_free(client);
	test_manager_stop(&manager);
}
END_TEST

/* Behind a good request, by a client that the broker knows and keeps for the next one. */
START_TEST(slow_close_of_a_client_delays_nobody)
{
	struct km_msg_list list = { .header.op = KM_OP_LIST };
	union km_msg answer;

	test_manager_start(&manager, NULL);
	struct kickmsg_client *client = new_client();
	freeze();
	int peer = test_peer_connect(manager.socket);
	struct km_msg_hello hello = TEST_HELLO(.name = "p", .prefix = "p");
	ck_assert_int_eq(km_wire_send(peer, &hello, sizeof hello, NULL, 0), 0);
	ck_assert_int_eq(km_wire_send(peer, &list, sizeof list, NULL, 0), 0);
	int fd = slow_socket();
	ck_assert_int_eq(km_wire_send(peer, &list, sizeof list, &fd, 1), 0);
	close(fd);
	thaw();
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_HELLO_OK);
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_LIST_OK);
	flow_expect_error(&answer, test_peer_answer(peer, &answer), -EPROTO, "descriptors");
	expect_prompt_service(client);
	expect_prompt_end();
	test_manager_resume(&manager);
	kickmsg_client_free(client);
	close(peer);
	test_manager_stop(&manager);
}
END_TEST

#define STUCK 300 /* more than the process that closes has room for */

/* A close that not even SIGKILL ends. */
START_TEST(close_that_never_ends_delays_nobody)
{
	static int peers[STUCK];
	struct slow_file file;

	test_manager_start(&manager, NULL);
	if (!slow_file_start(&file, manager.dir)) {
		puts("SKIP: a FUSE file system can't be mounted here");
		test_manager_stop(&manager);
		return;
	}
	struct kickmsg_client *client = new_client();
	freeze();
	for (unsigned i = 0; i < STUCK; i++) {
		int fd = slow_file_open(&file);

		ck_assert_int_ge(fd, 0);
		peers[i] = connect_with(fd);
	}
	ck_assert(slow_file_dirty(&file)); /* after this no copy could be closed here */
	thaw();
	expect_prompt_service(client);
	ck_assert(test_wait_until(test_manager_logged(&manager, "can't be closed yet"), SOON_MS));
	expect_prompt_service(client);
	expect_prompt_end();
	test_manager_resume(&manager);
	expect_prompt_service(client);
	kickmsg_client_free(client);
	for (unsigned i = 0; i < STUCK; i++)
		close(peers[i]);
	slow_file_end(&file);
	test_manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-hangup");
	TCase *tcase = tcase_create("hangup");

	if (test_skip_emulated("flow-hangup",
		    "MSG_CTRUNC, by which a broker knows of descriptors that it left out"))
		return 77;
	tcase_set_timeout(tcase, 100);
	tcase_add_test(tcase, slow_close_delays_nobody);
	tcase_add_test(tcase, slow_close_of_a_client_delays_nobody);
	tcase_add_test(tcase, close_that_never_ends_delays_nobody);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
