/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An observer's descriptor, a timer: see watch.h. Nobody wakes an observer, since nobody is to notice
 * it, so it looks for itself, at first after KM_LOOK_MIN_NS, and then less and less often while
 * nothing comes. A timer that has expired stays readable until it is set again.
 */
#include <sys/timerfd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "libclient/watch/watch.h"

#define NS_PER_S INT64_C(1000000000)

static void set(const struct km_watched *watched, int64_t at_ns)
{
	const struct itimerspec at = { .it_value = { at_ns / NS_PER_S, at_ns % NS_PER_S } };

	timerfd_settime(watched->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

int km_watch_timer_begin(struct km_watched *watched)
{
	watched->fd = km_fd_above_stdio(
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (watched->fd < 0)
		return -errno;
	watched->by_timer = true;
	return 0;
}

void km_watch_timer_fire(struct km_watched *watched)
{
	watched->due_ns = 0;
	set(watched, 1); /* long ago, so at once */
}

bool km_watch_timer_waits(const struct km_watched *watched)
{
	return watched->due_ns > km_clock_ns();
}

void km_watch_timer_arm(struct km_watched *watched, bool has_received)
{
	int64_t look_ns = 2 * watched->look_ns;

	if (has_received || look_ns < KM_LOOK_MIN_NS)
		look_ns = KM_LOOK_MIN_NS;
	watched->look_ns = look_ns < KM_LOOK_MAX_NS ? look_ns : KM_LOOK_MAX_NS;
	watched->due_ns = km_clock_ns() + watched->look_ns;
	set(watched, watched->due_ns);
}
