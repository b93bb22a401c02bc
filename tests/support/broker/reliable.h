/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests of reliable subscribers, with either transport: each way to receive, and a publisher that
 * sleeps for want of room. */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/support/broker/fixture.h"

enum { RECEIVE, RECEIVE_COPY, RECEIVE_MANY, RECEIVE_INTO, RECEIVE_WAYS };

/* Receives a number. */
static inline int64_t receive(struct kickmsg_subscriber *subscriber)
{
	uint32_t value;
	ssize_t n = kickmsg_try_receive_copy(subscriber, &value, sizeof value);

	return n < 0 ? n : value;
}

/* Receives by one of the calls, and returns what that returns. */
static inline ssize_t receive_by(
	int way, struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, size_t count)
{
	static char buf[64];

	return way == RECEIVE        ? kickmsg_try_receive(subscriber, ret)
	       : way == RECEIVE_COPY ? kickmsg_try_receive_copy(subscriber, buf, sizeof buf)
	       : way == RECEIVE_MANY ? kickmsg_receive_many(subscriber, 0, ret, count)
				     : kickmsg_receive_into(subscriber, buf, sizeof buf, 0, ret);
}

/* Takes one message, which is a number. */
static inline void take_by(int way, struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_sample sample;
	const ssize_t wanted = way == RECEIVE_COPY ? (ssize_t)sizeof(uint32_t)
						   : way == RECEIVE_MANY;

	ck_assert_int_eq(receive_by(way, subscriber, &sample, 1), wanted);
	if (way == RECEIVE || way == RECEIVE_MANY)
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
}

static pthread_t waiter;
static _Atomic pid_t waiter_tid;
static _Atomic int64_t waited;

static void *wait_and_send(void *by)
{
	const uint32_t value = 99;

	waiter_tid = gettid();
	waited = kickmsg_send_wait(by, &value, sizeof value, -1);
	return NULL;
}

/* Starts a publisher that finds no room. It sleeps in the kernel when this returns. */
static inline void begin_wait_by(struct kickmsg_publisher *by)
{
	waiter_tid = 0;
	waited = 0;
	ck_assert_int_eq(pthread_create(&waiter, NULL, wait_and_send, by), 0);
	while (waiter_tid == 0)
		sched_yield();
	ck_assert(fixture_wait_futex(waiter_tid));
}
