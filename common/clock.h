/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks. */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC in ns. Where the kernel refuses the clock, a time later than any deadline. */
int64_t km_clock_ns(void);

/* The time of a message's publishing: CLOCK_MONOTONIC in ns; 0 where the kernel refuses the
 * clock. */
uint64_t km_clock_publish_ns(void);

/* CLOCK_REALTIME in ns. */
uint64_t km_clock_realtime_ns(void);
