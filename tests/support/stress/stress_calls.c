/* SPDX-License-Identifier: Apache-2.0 */
/* The callers of the storm of calls, and how a worker begins: see stress_calls.h. */
#include "tests/support/stress/stress_calls.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "libclient/kickmsg-service.h"

#define PAUSE_US 200

struct calls_board *calls_board;
struct stress_rng calls_rng;

void calls_broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "pid %d: ", (int)getpid());
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	atomic_store(&calls_board->broken, 1);
	_exit(1);
}

/* --- callers -------------------------------------------------------------------------------------- */

struct call {
	uint64_t id; /* 0: none */
	struct calls_head head;
	uint16_t heard;
	/* Only calls of this kind are taken back, so any other one that is lost is missed. */
	bool may_be_cancelled;
	bool has_deadline, cancelled;
};

static struct kickmsg_caller *caller;
static struct call book[CALLS_MAX];
static uint32_t in_flight;
static uint64_t sequence;

static unsigned char fill_of(const struct calls_head *head, uint32_t at)
{
	return (unsigned char)(head->sequence * 7 + at);
}

void calls_write(unsigned char *data, const struct calls_head *head)
{
	memcpy(data, head, sizeof *head);
	for (uint32_t i = sizeof *head; i < head->size; i++)
		data[i] = fill_of(head, i);
}

static struct call *find_call(uint64_t id)
{
	struct call *call = book;

	while (call < book + CALLS_MAX && call->id != id)
		call++;
	if (call == book + CALLS_MAX)
		calls_broken("call %#lx has ended before, or wasn't begun", id);
	return call;
}

static void check_data(const struct call *call, const struct kickmsg_reply *reply)
{
	const unsigned char *data = reply->data;

	if (reply->len != call->head.size || memcmp(data, &call->head, sizeof call->head) != 0)
		calls_broken("a reply isn't its request's");
	for (uint32_t i = sizeof call->head; i < call->head.size; i++)
		if (data[i] != fill_of(&call->head, i))
			calls_broken("a reply's byte %u is wrong", i);
}

static void count_end(const struct call *call, const struct kickmsg_reply *reply)
{
	struct calls_sums *sums = &calls_board->sums;

	switch (reply->error) {
	case 0:
		if (call->head.fails || call->heard + 1 != call->head.replies)
			calls_broken("a call has ended after %u of %u replies", call->heard + 1,
				call->head.replies);
		atomic_fetch_add(&sums->answered, 1);
		return;
	case -EDOM:
		if (!call->head.fails)
			calls_broken("a server's error that it didn't say");
		atomic_fetch_add(&sums->failed, 1);
		return;
	case -ECONNRESET:
		atomic_fetch_add(&sums->reset, 1);
		return;
	case -ETIMEDOUT:
		if (!call->has_deadline)
			calls_broken("a call without a deadline is late");
		atomic_fetch_add(&sums->late, 1);
		return;
	case -ECANCELED:
		if (!call->cancelled)
			calls_broken("a call that wasn't taken back is");
		atomic_fetch_add(&sums->cancelled, 1);
		return;
	default:
		calls_broken("a call ends with %d", reply->error);
	}
}

static void account(struct kickmsg_reply *reply)
{
	struct call *call = find_call(reply->id);

	if (reply->error == 0)
		check_data(call, reply);
	kickmsg_reply_release(reply);
	if (reply->more) {
		if (++call->heard >= call->head.replies)
			calls_broken("more replies than were asked for");
		atomic_fetch_add(&calls_board->sums.more, 1);
		return;
	}
	count_end(call, reply);
	call->id = 0;
	in_flight--;
}

static int send_copied(struct call *call, int64_t timeout_ns)
{
	unsigned char data[CALLS_SIZE];

	calls_write(data, &call->head);
	return kickmsg_call_begin(caller, data, call->head.size, timeout_ns, &call->id);
}

static int send_in_place(struct call *call, int64_t timeout_ns)
{
	void *room;
	int r = kickmsg_call_loan(caller, call->head.size, &room);

	if (r < 0)
		return r;
	calls_write(room, &call->head);
	r = kickmsg_call_publish(caller, room, call->head.size, timeout_ns, &call->id);
	/* a call more than the service allows is refused, and the room stays lent */
	if (r == -EDQUOT && kickmsg_call_discard(caller, room) < 0)
		calls_broken("what is lent can't be given back");
	atomic_fetch_add(&calls_board->sums.in_place, r == 0);
	return r;
}

/* Begins a call, and returns what that returned. `plain`: the call has no deadline. */
static int begin(bool plain)
{
	struct call *call = book;

	while (call->id != 0)
		call++;
	*call = (struct call){
		.head = { .sequence = sequence + 1,
			.size = (uint32_t)sizeof(struct calls_head) +
				stress_below(
					&calls_rng, CALLS_SIZE - sizeof(struct calls_head) + 1),
			.replies = (uint16_t)(1 + stress_below(&calls_rng, CALLS_REPLIES)),
			.fails = stress_once_in(&calls_rng, 16) },
		.has_deadline = !plain && stress_once_in(&calls_rng, 8),
		.may_be_cancelled = stress_once_in(&calls_rng, 4),
	};
	int64_t timeout_ns = call->has_deadline ? (int64_t)stress_below(&calls_rng, SHORT_NS) : -1;
	int r = stress_once_in(&calls_rng, 2) ? send_copied(call, timeout_ns)
					      : send_in_place(call, timeout_ns);

	if (r < 0) {
		call->id = 0;
		return r;
	}
	sequence++;
	in_flight++;
	atomic_fetch_add(&calls_board->sums.begun, 1);
	return 0;
}

/* Is it an error that passes? There may be no server now, or its place or the service is about
 * to come. */
static bool passes(int r)
{
	return r == -ECONNREFUSED || r == -ECONNRESET || r == -ENOSPC || r == -ENOENT ||
	       r == -EAGAIN;
}

static void cancel_one(void)
{
	struct call *call = &book[stress_below(&calls_rng, CALLS_MAX)];

	if (call->id == 0 || call->cancelled || !call->may_be_cancelled)
		return;
	int r = kickmsg_call_cancel(caller, call->id);
	/* -ENOENT: the call has ended, which the caller hasn't been told yet */
	if (r < 0 && r != -ENOENT)
		calls_broken("cancel: %d", r);
	call->cancelled = r == 0;
}

static void take_all(int64_t timeout_ns)
{
	struct kickmsg_reply reply;
	int r;

	while ((r = kickmsg_take_reply(caller, timeout_ns, &reply)) == 0)
		account(&reply);
	if (r == -ENOENT && in_flight > 0)
		calls_broken("%u calls are lost", in_flight);
	if (r == -ETIMEDOUT && timeout_ns == CALLS_PATIENCE_NS)
		calls_broken("%u calls don't end", in_flight);
	if (r != -ENOENT && r != -EAGAIN && r != -ETIMEDOUT)
		calls_broken("take: %d", r);
}

/* Begins as many calls as the service allows: no place, cell or slot is lost. */
static void have_all_in_flight(void)
{
	int64_t end_ns = km_clock_ns() + CALLS_PATIENCE_NS;
	int r;

	while (in_flight < CALLS_MAX) {
		r = begin(true);
		if (r == 0)
			continue;
		/* -EDQUOT: the server may not have ended a call that was given up */
		if (r != -EDQUOT && !passes(r))
			calls_broken("begin: %d", r);
		if (km_clock_ns() > end_ns)
			calls_broken("only %u calls in flight: %d", in_flight, r);
		kickmsg_caller_wait_server(caller, SHORT_NS);
		take_all(0);
	}
	take_all(CALLS_PATIENCE_NS);
}

static void work(void)
{
	int64_t stuck_ns = km_clock_ns() + CALLS_PATIENCE_NS;

	while (!atomic_load(&calls_board->gate)) {
		int r = in_flight < CALLS_MAX ? begin(false) : -EDQUOT;

		if (r != 0 && r != -EDQUOT && !passes(r))
			calls_broken("begin: %d", r);
		if (r == 0)
			stuck_ns = km_clock_ns() + CALLS_PATIENCE_NS;
		else if (km_clock_ns() > stuck_ns)
			calls_broken("no call can be begun: %d", r);
		if (r < 0 && passes(r))
			kickmsg_caller_wait_server(caller, SHORT_NS);
		if (stress_once_in(&calls_rng, 8))
			cancel_one();
		if (stress_once_in(&calls_rng, 3))
			take_all(stress_once_in(&calls_rng, 2) ? SHORT_NS : 0);
	}
}

static void open_service(struct kickmsg_client *client)
{
	const struct kickmsg_caller_options options = { .wait_ns = (uint64_t)CALLS_PATIENCE_NS };
	int64_t end_ns = km_clock_ns() + CALLS_PATIENCE_NS;
	int r;

	/* the places of the dead come free */
	while ((r = kickmsg_open_service(client, CALLS_SERVICE, &options, &caller)) == -ENOSPC &&
		km_clock_ns() < end_ns)
		usleep(RETRY_US);
	if (r < 0)
		calls_broken("open: %s", kickmsg_client_last_error(client));
}

static _Noreturn void be_caller(struct kickmsg_client *client, uint32_t index)
{
	open_service(client);
	for (;;) {
		work();
		take_all(CALLS_PATIENCE_NS);
		have_all_in_flight();
		take_all(0); /* frees the lines of calls that have ended */
		atomic_store(&calls_board->idle[index], 1);
		while (atomic_load(&calls_board->gate))
			usleep(PAUSE_US);
		atomic_store(&calls_board->idle[index], 0);
	}
}

pid_t calls_start(struct calls_board *of, uint32_t role, const char *socket_path,
	uint32_t transport, uint64_t seed)
{
	const bool serves = role >= CALLS_CALLERS;
	const struct kickmsg_client_config config = { .socket_path = socket_path,
		.name = serves ? "server" : "caller" };
	struct kickmsg_client *client;
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	calls_board = of;
	calls_rng = (struct stress_rng){ seed };
	int r = kickmsg_client_new(&config, &client);
	if (r < 0)
		calls_broken("connect: %s", kickmsg_strerror(r));
	if (serves)
		calls_serve(client, transport);
	be_caller(client, role);
}
