/* SPDX-License-Identifier: Apache-2.0 */
/* The two futex calls: see futex.h. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/futex.h"

#define NS_PER_S INT64_C(1000000000)

int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	KM_KEEP_ERRNO;
	struct timespec deadline = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };
	int r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
			deadline_ns == KM_WAIT_FOREVER ? NULL : &deadline, NULL,
			FUTEX_BITSET_MATCH_ANY) == 0
			? 0
			: errno;

	if (r == 0 || r == EAGAIN)
		return 0;
	if (r == EINTR || r == ETIMEDOUT)
		return -r;
	return km_nap(deadline_ns); /* refused: after a nap the caller looks again */
}

void km_futex_wake(_Atomic uint32_t *word)
{
	KM_KEEP_ERRNO;

	/* Wakes all: a ring has one sleeper, but a hostile process may wait on the word as well.
	 * Where the call is refused, sleepers look for themselves after a while
	 * (libclient/path/receive.c). */
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int km_nap(int64_t deadline_ns)
{
	KM_KEEP_ERRNO;
	int64_t until_ns = km_clock_ns() + KM_NAP_NS;

	if (deadline_ns < until_ns)
		until_ns = deadline_ns;
	struct timespec until = { until_ns / NS_PER_S, until_ns % NS_PER_S };
	int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	if (r == EINTR)
		return -EINTR;
	if (r != 0)
		sched_yield();
	return km_clock_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}
