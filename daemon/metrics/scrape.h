/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer for a collector. It has all topics' sums, and the numbers of as many topics as the config says:
 * the oldest ones, and none that is of one caller alone, since their names come and go with callers.
 */
#pragma once

#include "daemon/metrics/answer.h"

struct km_pulse;

/* Makes the answer, to be begun. Errors: -ENOMEM. */
int km_scrape_new(struct km_broker *broker, const struct km_pulse *pulse, bool openmetrics,
	struct km_answer **ret);
