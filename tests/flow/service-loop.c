/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers and callers in event loops. The index of a case is the transport and the mechanism: 0 rings,
 * 1 shared by io_uring; 2 rings, 3 shared by the library's thread.
 *
 * The file is long because each reason to be readable has a case, over one fixture.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"
#include "tests/support/uring.h"

#define CASES 4

static struct kickmsg_client *serving, *calling;
static struct kickmsg_service_config config;
static struct kickmsg_server *server;
static struct kickmsg_caller *caller;
static int server_fd, caller_fd;

int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
static bool has_no_room;

/* As if the user had all the watches that the kernel allows. */
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (!has_no_room || op != EPOLL_CTL_ADD)
		return __real_epoll_ctl(epoll, op, fd, event);
	errno = ENOSPC;
	return -1;
}

static bool is_readable_in(int fd, int timeout_ms)
{
	struct pollfd polled = { fd, POLLIN, 0 };

	return poll(&polled, 1, timeout_ms) == 1;
}

/* A fire that was on its way may make it readable once more. */
static bool server_is_quiet(void)
{
	struct kickmsg_request request;

	for (int i = 0; i < 20; i++) {
		if (kickmsg_take_request(server, 0, &request) == 0)
			return false;
		if (!is_readable_in(server_fd, 2))
			return true;
	}
	return false;
}

static bool caller_is_quiet(void)
{
	struct kickmsg_reply reply;

	for (int i = 0; i < 20; i++) {
		if (kickmsg_take_reply(caller, 0, &reply) == 0)
			return false;
		if (!is_readable_in(caller_fd, 2))
			return true;
	}
	return false;
}

/* Without the timer, which makes it readable now and then and would hide what is missing. */
static void silence(const struct km_loop *loop)
{
	const struct itimerspec never = { 0 };

	ck_assert_int_eq(timerfd_settime(loop->timer, 0, &never, NULL), 0);
}

static struct kickmsg_request take(void)
{
	struct kickmsg_request request;
	int r;

	do {
		ck_assert(is_readable_in(server_fd, FLOW_WAIT_MS));
		r = kickmsg_take_request(server, 0, &request);
		ck_assert(r == 0 || r == -EAGAIN || r == -EBUSY);
	} while (r != 0);
	return request;
}

static void expect(uint64_t id, int error)
{
	struct kickmsg_reply reply;
	int r;

	do {
		ck_assert(is_readable_in(caller_fd, FLOW_WAIT_MS));
		r = kickmsg_take_reply(caller, 0, &reply);
		ck_assert(r == 0 || r == -EAGAIN);
	} while (r != 0);
	ck_assert_uint_eq(reply.id, id);
	ck_assert_int_eq(reply.error, error);
	kickmsg_reply_release(&reply);
}

static uint64_t begin(int64_t timeout_ns)
{
	uint64_t id = 0;

	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, timeout_ns, &id), 0);
	return id;
}

static bool look_for_requests(void)
{
	struct kickmsg_request request;

	return kickmsg_take_request(server, 0, &request) != 0;
}

static void setup(int i)
{
	setenv("KICKMSG_WAIT", i < 2 ? "uring" : "thread", 1);
	test_broker_start(&broker, NULL);
	serving = flow_client("serving");
	calling = flow_client("calling");
	kickmsg_service_config_init(&config);
	config.transport = i % 2 ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	config.max_calls = 4;
	config.max_replies = 2;
	ck_assert_int_eq(kickmsg_serve(serving, "adder", &config, &server), 0);
	server_fd = kickmsg_server_get_fd(server);
	ck_assert_int_ge(server_fd, 3);
	ck_assert_int_eq(kickmsg_server_get_fd(server), server_fd);
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", NULL, &caller), 0);
	ck_assert(test_wait_until(
		look_for_requests() && kickmsg_caller_wait_server(caller, 0) == 0, FLOW_WAIT_MS));
	caller_fd = kickmsg_caller_get_fd(caller);
	ck_assert_int_ge(caller_fd, 3);
	ck_assert(server_is_quiet());
}

static void teardown(void)
{
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	ck_assert_int_eq(fcntl(server_fd, F_GETFD), -1);
	ck_assert_int_eq(fcntl(caller_fd, F_GETFD), -1);
	flow_stop();
}

START_TEST(readable_until_a_take_finds_nothing)
{
	struct kickmsg_request requests[2];
	uint64_t ids[2];

	setup(_i);
	for (int i = 0; i < 50; i++) {
		ids[0] = begin(-1);
		ids[1] = begin(-1);
		requests[0] = take();
		/* the other one was taken out of the ring with it */
		ck_assert(is_readable_in(server_fd, 0));
		requests[1] = take();
		ck_assert(server_is_quiet());
		ck_assert(caller_is_quiet());
		ck_assert_int_eq(kickmsg_reply(&requests[1], "y", 1), 0);
		ck_assert_int_eq(kickmsg_reply(&requests[0], "y", 1), 0);
		expect(ids[1], 0);
		ck_assert(is_readable_in(caller_fd, 0));
		expect(ids[0], 0);
		ck_assert(caller_is_quiet());
	}
	teardown();
}
END_TEST

START_TEST(newcomers_and_those_who_leave_are_met)
{
	struct kickmsg_caller *other;
	struct kickmsg_request request;
	uint64_t id;

	setup(_i);
	silence(server->loop);
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", NULL, &other), 0);
	while (kickmsg_caller_wait_server(other, 0) == -EAGAIN) {
		/* the take that the loop makes when the descriptor says so meets them */
		ck_assert(is_readable_in(server_fd, FLOW_WAIT_MS));
		ck_assert_int_ne(kickmsg_take_request(server, 0, &request), 0);
	}
	ck_assert_int_eq(kickmsg_call_begin(other, "z", 1, -1, &id), 0);
	request = take();
	kickmsg_caller_free(other);
	ck_assert(test_wait_until(kickmsg_request_status(&request) == -ECONNRESET, FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_reply(&request, "z", 1), -ECONNRESET);
	ck_assert(server_is_quiet());
	teardown();
}
END_TEST

/* Takes as many requests as may be in flight. */
static void take_four(struct kickmsg_request *ret_requests, uint64_t *ret_ids)
{
	for (int i = 0; i < 4; i++)
		ret_ids[i] = begin(-1);
	for (int i = 0; i < 4; i++)
		ret_requests[i] = take();
	ck_assert(server_is_quiet());
}

START_TEST(a_server_that_has_all_it_may_have_is_quiet)
{
	struct kickmsg_request requests[4];
	uint64_t ids[4], last;

	setup(_i);
	take_four(requests, ids);
	/* the word of the cancellation comes by the ring, which the server reads on; one more call is
	 * possible as soon as one is answered */
	ck_assert_int_eq(kickmsg_call_cancel(caller, ids[3]), 0);
	expect(ids[3], -ECANCELED);
	ck_assert(server_is_quiet());
	silence(server->loop);
	ck_assert_int_eq(kickmsg_reply(&requests[0], "y", 1), 0);
	expect(ids[0], 0);
	last = begin(-1);
	struct kickmsg_request request = take();
	ck_assert_int_eq(kickmsg_request_status(&requests[3]), -ECANCELED);
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	expect(last, 0);
	teardown();
}
END_TEST

START_TEST(calls_that_end_otherwise_are_told)
{
	setup(_i);
	ck_assert(caller_is_quiet());
	uint64_t late = begin(20000000), never = begin(-1);
	ck_assert(caller_is_quiet());
	struct itimerspec left;
	ck_assert_int_eq(timerfd_gettime(caller->loop->timer, &left), 0);
	ck_assert(left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 20000000);
	expect(late, -ETIMEDOUT);
	ck_assert(caller_is_quiet());
	ck_assert_int_eq(kickmsg_call_cancel(caller, never), 0);
	ck_assert(is_readable_in(caller_fd, 0));
	expect(never, -ECANCELED);
	uint64_t lost = begin(-1);
	ck_assert(caller_is_quiet());
	silence(caller->loop);
	kickmsg_server_free(server);
	expect(lost, -ECONNRESET);
	ck_assert(caller_is_quiet());
	teardown();
}
END_TEST

/* A request that another call than the loop's take has fetched from the ring is told as well. */
START_TEST(a_request_that_was_fetched_meanwhile_is_told)
{
	struct kickmsg_request first;

	setup(_i);
	begin(-1);
	first = take();
	ck_assert(server_is_quiet());
	silence(server->loop);
	begin(-1);
	ck_assert(test_wait_until(
		kickmsg_request_status(&first) != 0 || server->loop->is_set, FLOW_WAIT_MS));
	ck_assert(is_readable_in(server_fd, FLOW_WAIT_MS));
	take();
	teardown();
}
END_TEST

/* A call with a sooner deadline is begun after the take that set the timer. */
START_TEST(a_sooner_deadline_is_told)
{
	setup(_i);
	ck_assert(caller_is_quiet());
	silence(caller->loop);
	uint64_t late = begin(1000000);
	ck_assert(is_readable_in(caller_fd, FLOW_WAIT_MS));
	expect(late, -ETIMEDOUT);
	teardown();
}
END_TEST

START_TEST(a_wait_set_has_servers_and_callers)
{
	struct kickmsg_waitset *set = NULL;
	void *ready[2];
	int who[2], answered = 0;

	setup(_i);
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	ck_assert_int_eq(kickmsg_waitset_add_server(set, server, &who[0]), 0);
	ck_assert_int_eq(kickmsg_waitset_add_caller(set, caller, &who[1]), 0);
	begin(-1);
	while (answered < 100) {
		int n = kickmsg_waitset_wait(set, FLOW_WAIT_MS * INT64_C(1000000), ready, 2);

		ck_assert_int_ge(n, 1);
		for (int i = 0; i < n; i++) {
			struct kickmsg_request request;
			struct kickmsg_reply reply;

			if (ready[i] == &who[0] && kickmsg_take_request(server, 0, &request) == 0)
				ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
			if (ready[i] == &who[1] && kickmsg_take_reply(caller, 0, &reply) == 0) {
				kickmsg_reply_release(&reply);
				answered++;
				begin(-1);
			}
		}
	}
	kickmsg_waitset_free(set);
	teardown();
}
END_TEST

#define CALLS 2000

static void *call_many(void *unused)
{
	struct kickmsg_reply reply;

	(void)unused;
	for (int i = 0; i < CALLS; i++) {
		ck_assert_int_eq(kickmsg_call(caller, "x", 1, -1, &reply), 0);
		kickmsg_reply_release(&reply);
	}
	return NULL;
}

/* One server sleeps in its calls, so each wake-up of the loop counts: a wake-up that is lost
 * shows. */
START_TEST(no_request_waits_beside_a_loop_that_sleeps)
{
	struct kickmsg_request request;
	pthread_t thread;

	setup(_i);
	silence(server->loop);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_many, NULL), 0);
	for (int answered = 0; answered < CALLS;) {
		ck_assert(is_readable_in(server_fd, FLOW_WAIT_MS));
		while (kickmsg_take_request(server, 0, &request) == 0) {
			ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
			answered++;
		}
		silence(server->loop);
	}
	pthread_join(thread, NULL);
	teardown();
}
END_TEST

START_TEST(a_child_of_fork_has_none_of_it)
{
	setup(_i);
	pid_t child = fork();
	if (child == 0) {
		bool closed = fcntl(server_fd, F_GETFD) < 0 && fcntl(caller_fd, F_GETFD) < 0 &&
			      kickmsg_server_get_fd(server) == -ECHILD &&
			      kickmsg_caller_get_fd(caller) == -ECHILD;
		_exit(!closed);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	uint64_t id = begin(-1);
	struct kickmsg_request request = take();
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	expect(id, 0);
	teardown();
}
END_TEST

/* The server of a caller ends, and the next server attaches to the topics that the caller still has. */
START_TEST(an_idle_caller_is_quiet_after_its_server)
{
	struct kickmsg_request request;

	setup(_i);
	ck_assert(caller_is_quiet());
	kickmsg_server_free(server);
	ck_assert(test_wait_until(caller_is_quiet() && caller->line->channel.gone, FLOW_WAIT_MS));
	const uint32_t changes = caller->line->channel.changes;
	ck_assert_int_eq(kickmsg_serve(serving, "adder", &config, &server), 0);
	ck_assert(test_wait_until(
		kickmsg_take_request(server, 0, &request) == -EAGAIN &&
			km_load(M1, acquire,
				&caller->line->channel.in->handle.place.region.header->changes) !=
				changes,
		FLOW_WAIT_MS));
	silence(caller->loop);
	ck_assert(caller_is_quiet());
	/* the next call goes to the next server */
	uint64_t id;
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
					  kickmsg_call_begin(caller, "x", 1, -1, &id) == 0,
		FLOW_WAIT_MS));
	server_fd = kickmsg_server_get_fd(server);
	request = take();
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	expect(id, 0);
	teardown();
}
END_TEST

static void *look_elsewhere(void *unused)
{
	struct kickmsg_request request;
	struct kickmsg_reply reply;

	/* the first looks find more than the second ones */
	for (int i = 0; i < 3; i++) {
		errno = 77;
		ck_assert_int_ne(kickmsg_take_request(server, 0, &request), 0);
		ck_assert_int_eq(errno, 77);
		ck_assert_int_ne(kickmsg_take_reply(caller, 0, &reply), 0);
		ck_assert_int_eq(errno, 77);
		ck_assert_int_ne(kickmsg_take_request(server, 1, &request), 0);
		ck_assert_int_eq(errno, 77);
		ck_assert_int_ne(kickmsg_take_reply(caller, 1, &reply), 0);
		ck_assert_int_eq(errno, 77);
	}
	return unused;
}

/* Also in a thread that may not use the rings that another one has made. */
START_TEST(takes_in_vain_leave_errno_alone)
{
	struct kickmsg_caller *other;
	pthread_t thread;

	setup(_i);
	ck_assert(caller_is_quiet());
	begin(-1);
	take();
	look_elsewhere(NULL);
	/* news in the header, and of the caller's line, that the thread arms anew */
	ck_assert_int_eq(kickmsg_open_service(calling, "adder", NULL, &other), 0);
	km_watch_fire(&server->header);
	km_watch_fire(&caller->line->channel.ends);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_elsewhere, NULL), 0);
	pthread_join(thread, NULL);
	teardown();
}
END_TEST

/* A channel for which the kernel has no room comes back into the epoll as soon as there is some. */
START_TEST(a_channel_without_a_watch_gets_one_later)
{
	struct kickmsg_request requests[4];
	uint64_t ids[4], last;

	setup(_i);
	take_four(requests, ids);
	/* as it is while the server has more requests than calls may be in flight */
	km_loop_mute(server->loop, &server->visitors->channel, true);
	has_no_room = true;
	ck_assert_int_eq(kickmsg_reply(&requests[0], "y", 1), 0);
	expect(ids[0], 0);
	ck_assert(server_is_quiet());
	has_no_room = false;
	ck_assert(server_is_quiet());
	silence(server->loop);
	last = begin(-1);
	struct kickmsg_request request = take();
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	expect(last, 0);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service-loop");
	TCase *tc = tcase_create("service-loop");
	int first = test_has_uring() ? 0 : 2;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, readable_until_a_take_finds_nothing, first, CASES);
	tcase_add_loop_test(tc, newcomers_and_those_who_leave_are_met, first, CASES);
	tcase_add_loop_test(tc, a_server_that_has_all_it_may_have_is_quiet, first, CASES);
	tcase_add_loop_test(tc, calls_that_end_otherwise_are_told, first, CASES);
	tcase_add_loop_test(tc, a_request_that_was_fetched_meanwhile_is_told, first, CASES);
	tcase_add_loop_test(tc, a_sooner_deadline_is_told, first, CASES);
	tcase_add_loop_test(tc, a_wait_set_has_servers_and_callers, first, CASES);
	tcase_add_loop_test(tc, no_request_waits_beside_a_loop_that_sleeps, first, CASES);
	tcase_add_loop_test(tc, a_child_of_fork_has_none_of_it, first, CASES);
	tcase_add_loop_test(tc, an_idle_caller_is_quiet_after_its_server, first, CASES);
	tcase_add_loop_test(tc, takes_in_vain_leave_errno_alone, first, CASES);
	tcase_add_loop_test(tc, a_channel_without_a_watch_gets_one_later, first, CASES);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
