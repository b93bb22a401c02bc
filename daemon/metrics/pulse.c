/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's delay: see pulse.h. */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "daemon/metrics/pulse.h"

#define INTERVAL_NS 100000000

static void on_pulse(evutil_socket_t fd, short what, void *userdata)
{
	struct km_pulse *pulse = userdata;
	uint64_t count;

	if (read(pulse->fd, &count, sizeof count) != sizeof count)
		return;
	int64_t delay = km_clock_ns() - pulse->due_ns;
	pulse->due_ns += (int64_t)count * INTERVAL_NS;
	km_histogram_add(&pulse->delays, delay);
	pulse->stalls += delay > KM_PULSE_STALL_NS;
}

int km_pulse_init(struct km_pulse *pulse, struct event_base *base)
{
	struct itimerspec when = { .it_interval.tv_nsec = INTERVAL_NS };

	*pulse = (struct km_pulse){ .fd = timerfd_create(
					    CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) };
	if (pulse->fd < 0)
		return -errno;
	pulse->due_ns = km_clock_ns() + INTERVAL_NS;
	when.it_value.tv_sec = pulse->due_ns / 1000000000;
	when.it_value.tv_nsec = pulse->due_ns % 1000000000;
	pulse->event = event_new(base, pulse->fd, EV_READ | EV_PERSIST, on_pulse, pulse);
	if (!pulse->event || event_add(pulse->event, NULL) < 0 ||
		timerfd_settime(pulse->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
		km_pulse_deinit(pulse);
		return -ENOMEM;
	}
	return 0;
}

void km_pulse_deinit(struct km_pulse *pulse)
{
	if (pulse->event)
		event_free(pulse->event);
	pulse->event = NULL;
	pulse->fd = km_close(pulse->fd);
}
