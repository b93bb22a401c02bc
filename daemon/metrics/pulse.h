/* SPDX-License-Identifier: Apache-2.0 */
/* How late the event loop is: ten times a second a clock of the kernel says when it should have been
 * heard. A loop that is held up, by work or by a machine without time for it, hears it late. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "daemon/run/histogram.h"

#define KM_PULSE_STALL_NS INT64_C(5000000)

struct km_pulse {
	int fd;
	struct event *event;
	int64_t due_ns;
	struct km_histogram delays;
	uint64_t stalls; /* delays above KM_PULSE_STALL_NS */
};

/* Starts the clock. Errors: -ENOMEM, -EMFILE, ... */
int km_pulse_init(struct km_pulse *pulse, struct event_base *base);
void km_pulse_deinit(struct km_pulse *pulse);
