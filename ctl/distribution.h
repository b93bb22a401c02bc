/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a time is spread: counted in buckets that are at most 1/64 of their value wide, so any number of
 * values takes the same room.
 */
#pragma once

#include "ctl/ctl.h"

enum { CTL_BUCKETS = 64 * 59 };

struct ctl_distribution {
	uint64_t counts[CTL_BUCKETS];
	uint64_t count, least, most;
	double sum, squares;
};

void ctl_distribution_add(struct ctl_distribution *spread, uint64_t ns);
/* Mean and so on are 0 without a value. */
double ctl_distribution_mean(const struct ctl_distribution *spread);
double ctl_distribution_deviation(const struct ctl_distribution *spread);
/* The value that so many of a hundred don't exceed; exact to 1/64. */
uint64_t ctl_distribution_percentile(const struct ctl_distribution *spread, double percent);

/* "min ..., p50 ..., ... max ..." */
void ctl_distribution_print(const struct ctl_distribution *spread, const char *what);
/* A line for each part of the range, as wide as the terminal. */
void ctl_distribution_draw(const struct ctl_distribution *spread);
/* WHAT_min_ns, WHAT_mean_ns and so on. */
void ctl_distribution_json(
	const struct ctl_distribution *spread, const char *what, struct json_object *ret);
