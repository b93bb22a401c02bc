/* SPDX-License-Identifier: Apache-2.0 */
/* The two futex calls, shared between processes, and the clock that their deadlines are on. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "waiter.h"

#define NS_PER_S INT64_C(1000000000)

int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct timespec deadline = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
		deadline_ns < 0 ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);

	if (r == 0 || errno == EAGAIN)
		return 0;
	return -errno;
}

void km_futex_wake(_Atomic uint32_t *word)
{
	/* all: a ring has one sleeper, but a hostile process may wait on the word as well */
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int64_t km_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}
