/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as a collector reads them: OpenMetrics 1.0, or the older text format 0.0.4. A family is a
 * name with its meaning; its samples follow it without another family in between.
 */
#pragma once

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum km_metric_type { KM_METRIC_GAUGE, KM_METRIC_COUNTER, KM_METRIC_HISTOGRAM };

struct km_metric {
	const char *name; /* without _total */
	enum km_metric_type type;
	const char *help;
};

static inline const char *km_metric_suffix(const struct km_metric *metric)
{
	return metric->type == KM_METRIC_COUNTER ? "_total" : "";
}

/* The unit of a family, which its name ends with in OpenMetrics; "": it has none. */
static inline const char *km_metric_unit(const struct km_metric *metric)
{
	static const char *const units[] = { "bytes", "seconds" };
	const char *end = strrchr(metric->name, '_');

	for (size_t i = 0; end && i < sizeof units / sizeof units[0]; i++)
		if (strcmp(end + 1, units[i]) == 0)
			return units[i];
	return "";
}

/* Begins a family. The formats differ in what a counter's family is called, and in that one of them
 * knows of units. Returns a negative number without memory. */
static inline int km_metric_begin(
	struct evbuffer *to, const struct km_metric *metric, bool openmetrics)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	const char *suffix = openmetrics ? "" : km_metric_suffix(metric);
	const char *unit = openmetrics ? km_metric_unit(metric) : "";

	if (*unit && evbuffer_add_printf(to, "# UNIT %s %s\n", metric->name, unit) < 0)
		return -1;
	return evbuffer_add_printf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", metric->name, suffix,
		metric->help, metric->name, suffix, types[metric->type]);
}
