/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of times by size: exact up to 511, then 256 steps for each doubling (0.4 %). Adding one is
 * a handful of instructions and touches one line.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define HISTOGRAM_SUB_BITS  8
#define HISTOGRAM_SUB       (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_DOUBLINGS 32
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_DOUBLINGS + 1) * HISTOGRAM_SUB)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < 2 * HISTOGRAM_SUB)
		return (unsigned)value;
	shift = 63 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
	if (shift >= HISTOGRAM_DOUBLINGS)
		return HISTOGRAM_BUCKETS - 1;
	return shift * HISTOGRAM_SUB + (unsigned)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[histogram_bucket(value)]++;
}

/* The middle of a bucket. */
static inline double histogram_value(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * HISTOGRAM_SUB)
		return bucket;
	shift = bucket / HISTOGRAM_SUB - 1;
	return ((bucket - shift * HISTOGRAM_SUB) + 0.5) * (double)(UINT64_C(1) << shift);
}

/* The value that a share `quantile` (0 to 1) of all values doesn't exceed; 0 when there are none. */
static inline double histogram_quantile(const struct histogram *histogram, double quantile)
{
	uint64_t rank = (uint64_t)(quantile * (double)histogram->count), seen = 0;

	if (histogram->count == 0)
		return 0;
	if (rank >= histogram->count)
		rank = histogram->count - 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > rank)
			return histogram_value(i);
	}
	return (double)histogram->max;
}

/*
 * The median, finer than a clock that counts in steps of `step`: times with one and the same value
 * are taken to be spread evenly over its step, but not below 0.
 */
static inline double histogram_middle(const struct histogram *histogram, double step)
{
	double half = (double)histogram->count / 2, below = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double here = histogram->buckets[i];

		if (here > 0 && below + here >= half) {
			double value = histogram_value(i);
			double least = value > step / 2 ? value - step / 2 : 0;

			return least + (value + step / 2 - least) * (half - below) / here;
		}
		below += here;
	}
	return 0;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

static inline void histogram_clear(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}
