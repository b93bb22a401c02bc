/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks: see clock.h. */
#include <errno.h>
#include <time.h>

#include "common/clock.h"

#define NS_PER_S INT64_C(1000000000)

int64_t km_clock_ns(void)
{
	struct timespec now;
	int caller_errno = errno;

	if (clock_gettime(CLOCK_MONOTONIC, &now) == 0)
		return now.tv_sec * NS_PER_S + now.tv_nsec;
	errno = caller_errno;
	return INT64_MAX / 2; /* no clock: no deadline is waited for */
}

uint64_t km_clock_publish_ns(void)
{
	struct timespec now;
	int caller_errno = errno;

	if (clock_gettime(CLOCK_MONOTONIC, &now) == 0)
		return (uint64_t)(now.tv_sec * NS_PER_S + now.tv_nsec);
	errno = caller_errno;
	return 0;
}

uint64_t km_clock_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)(now.tv_sec * NS_PER_S + now.tv_nsec);
}
