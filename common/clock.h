/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks. */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC in ns. Where it is refused: later than any deadline. */
int64_t km_clock_ns(void);

/* The same for messages: 0 where it is refused. */
uint64_t km_clock_publish_ns(void);

/* CLOCK_REALTIME in ns. */
uint64_t km_clock_realtime_ns(void);
