/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, times and numbers for people: see table.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/table.h"

/* Long tables have many small numbers, which printf() takes ten times as long for. */
static const char *write_count(uint64_t value, const char *unit, char ret[CTL_HUMAN_SIZE])
{
	char digits[24], *digit = digits + sizeof digits;
	size_t len;

	do
		*--digit = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	len = (size_t)(digits + sizeof digits - digit);
	memcpy(ret, digit, len);
	strcpy(ret + len, unit);
	return ret;
}

/* A number of three digits or so, with a letter for each step of `base`. */
static const char *scale(
	double value, double base, const char *letters, const char *unit, char ret[CTL_HUMAN_SIZE])
{
	size_t step = 0;

	if (value < 1000 && value == (double)(unsigned)value)
		return write_count((unsigned)value, unit, ret);
	while (value >= 999.5 && letters[step + 1]) {
		value /= base;
		step++;
	}
	if (step == 0)
		snprintf(ret, CTL_HUMAN_SIZE,
			value < 10 && value != (double)(int)value ? "%.1f%s" : "%.0f%s", value,
			unit);
	else
		snprintf(ret, CTL_HUMAN_SIZE, value < 9.95 ? "%.1f%c%s" : "%.0f%c%s", value,
			letters[step], unit);
	return ret;
}

const char *ctl_human_bytes(uint64_t bytes, char ret[CTL_HUMAN_SIZE])
{
	return scale((double)bytes, 1024, " KMGTPE", "", ret);
}

const char *ctl_human_rate(double per_s, char ret[CTL_HUMAN_SIZE])
{
	return scale(per_s, 1000, " kMGTPE", "/s", ret);
}

const char *ctl_human_duration(uint64_t ns, char ret[CTL_HUMAN_SIZE])
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = { { "y", 31557600 }, { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
	const uint64_t seconds = ns / 1000000000;

	if (ns == 0)
		strcpy(ret, "0s");
	else if (ns < 1000000)
		snprintf(ret, CTL_HUMAN_SIZE, "%" PRIu64 "us", ns / 1000);
	else if (ns < UINT64_C(1000000000))
		snprintf(ret, CTL_HUMAN_SIZE, "%" PRIu64 "ms", ns / 1000000);
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		uint64_t whole = seconds / units[i].seconds;

		if (whole == 0)
			continue;
		uint64_t rest = i + 1 < COUNT_OF(units)
					? seconds % units[i].seconds / units[i + 1].seconds
					: 0;
		if (rest)
			snprintf(ret, CTL_HUMAN_SIZE, "%" PRIu64 "%s %" PRIu64 "%s", whole,
				units[i].name, rest, units[i + 1].name);
		else
			snprintf(ret, CTL_HUMAN_SIZE, "%" PRIu64 "%s", whole, units[i].name);
		break;
	}
	return ret;
}

const char *ctl_human_moment(uint64_t realtime_ns, char ret[CTL_HUMAN_SIZE])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return ctl_human_duration(now_ns > realtime_ns ? now_ns - realtime_ns : 0, ret);
}

const char *ctl_human_time(uint64_t realtime_ns, char ret[CTL_HUMAN_SIZE])
{
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm tm;

	snprintf(ret, CTL_HUMAN_SIZE, "?");
	if (localtime_r(&seconds, &tm))
		strftime(ret, CTL_HUMAN_SIZE, "%Y-%m-%d %H:%M:%S %Z", &tm);
	return ret;
}

const char *ctl_human_value(
	enum ctl_type type, uint64_t count, double real, char ret[CTL_HUMAN_SIZE])
{
	switch (type) {
	case CTL_TYPE_BYTES:
		return ctl_human_bytes(count, ret);
	case CTL_TYPE_MOMENT:
		return ctl_human_moment(count, ret);
	case CTL_TYPE_DURATION:
		return ctl_human_duration(count, ret);
	case CTL_TYPE_RATE:
		return ctl_human_rate(real, ret);
	case CTL_TYPE_BYTE_RATE:
		return scale(real, 1024, " KMGTPE", "B/s", ret);
	case CTL_TYPE_BOOL:
		snprintf(ret, CTL_HUMAN_SIZE, count ? "yes" : "no");
		return ret;
	default:
		return write_count(count, "", ret);
	}
}
