/* SPDX-License-Identifier: Apache-2.0 */
/* The steps: see histogram.h. */
#include "daemon/run/histogram.h"

const int64_t km_histogram_steps_ns[KM_HISTOGRAM_STEPS] = { 1000000, 2500000, 5000000, 10000000,
	25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
	10000000000 };

const char *const km_histogram_steps[KM_HISTOGRAM_STEPS] = { "0.001", "0.0025", "0.005", "0.01",
	"0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0" };
