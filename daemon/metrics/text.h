/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as a collector reads them: OpenMetrics 1.0, or the older text format 0.0.4. A family is a
 * name with its meaning; its samples follow it without another family in between.
 */
#pragma once

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdbool.h>

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

/* Begins a family. The formats differ in what a counter's family is called. Returns a negative
 * number without memory. */
static inline int km_metric_begin(
	struct evbuffer *to, const struct km_metric *metric, bool openmetrics)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	const char *suffix = openmetrics ? "" : km_metric_suffix(metric);

	return evbuffer_add_printf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", metric->name, suffix,
		metric->help, metric->name, suffix, types[metric->type]);
}
