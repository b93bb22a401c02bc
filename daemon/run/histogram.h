/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of how long something took, in steps from 1 ms to 10 s. */
#pragma once

#include <stdint.h>

#define KM_HISTOGRAM_STEPS 13

struct km_histogram {
	uint64_t counts[KM_HISTOGRAM_STEPS + 1]; /* the last: longer than all steps */
	int64_t sum_ns;
};

/* The longest time that counts in each step. */
extern const int64_t km_histogram_steps_ns[KM_HISTOGRAM_STEPS];
/* The steps in seconds, as text. */
extern const char *const km_histogram_steps[KM_HISTOGRAM_STEPS];

static inline void km_histogram_add(struct km_histogram *histogram, int64_t ns)
{
	unsigned step = 0;

	while (step < KM_HISTOGRAM_STEPS && ns > km_histogram_steps_ns[step])
		step++;
	histogram->counts[step]++;
	histogram->sum_ns += ns;
}
