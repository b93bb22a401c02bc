/* SPDX-License-Identifier: Apache-2.0 */
/* How a time is spread: see distribution.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ctl/distribution.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

static const struct {
	const char *name;
	double percent;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p999", 99.9 } };

/* The bucket of a value: 64 buckets for each power of two from 64 on; below that one for each
 * value. */
static size_t bucket_of(uint64_t ns)
{
	unsigned shift = ns < 128 ? 0 : 57 - (unsigned)__builtin_clzll(ns);

	return 64 * (size_t)shift + (size_t)(ns >> shift);
}

/* The least value of a bucket. */
static uint64_t value_of(size_t bucket)
{
	size_t shift = bucket < 128 ? 0 : bucket / 64 - 1;

	return (uint64_t)(bucket - 64 * shift) << shift;
}

void ctl_distribution_add(struct ctl_distribution *spread, uint64_t ns)
{
	spread->counts[bucket_of(ns)]++;
	if (spread->count == 0 || ns < spread->least)
		spread->least = ns;
	if (ns > spread->most)
		spread->most = ns;
	spread->count++;
	spread->sum += (double)ns;
	spread->squares += (double)ns * (double)ns;
}

double ctl_distribution_mean(const struct ctl_distribution *spread)
{
	return spread->count ? spread->sum / (double)spread->count : 0;
}

double ctl_distribution_deviation(const struct ctl_distribution *spread)
{
	double mean = ctl_distribution_mean(spread);
	double variance = spread->count ? spread->squares / (double)spread->count - mean * mean : 0;

	return variance > 0 ? sqrt(variance) : 0;
}

uint64_t ctl_distribution_percentile(const struct ctl_distribution *spread, double percent)
{
	uint64_t wanted = (uint64_t)((double)spread->count * percent / 100 + 0.5), seen = 0;

	if (wanted == 0)
		wanted = 1;
	for (size_t i = 0; i < CTL_BUCKETS; i++) {
		seen += spread->counts[i];
		if (seen >= wanted && spread->count) {
			uint64_t value = value_of(i);

			return value < spread->least ? spread->least : value;
		}
	}
	return spread->most;
}

/* A time as text, with two digits behind the point where they say something. */
static const char *exact(double ns, char ret[CTL_HUMAN_SIZE])
{
	if (ns < 1e6)
		snprintf(ret, CTL_HUMAN_SIZE, "%.1fus", ns / 1e3);
	else if (ns < 1e9)
		snprintf(ret, CTL_HUMAN_SIZE, "%.2fms", ns / 1e6);
	else
		snprintf(ret, CTL_HUMAN_SIZE, "%.3fs", ns / 1e9);
	return ret;
}

void ctl_distribution_print(const struct ctl_distribution *spread, const char *what)
{
	char text[CTL_HUMAN_SIZE];

	printf("%s: min %s", what, exact((double)spread->least, text));
	printf(", mean %s", exact(ctl_distribution_mean(spread), text));
	printf(", max %s", exact((double)spread->most, text));
	printf(", jitter %s", exact(ctl_distribution_deviation(spread), text));
	for (size_t i = 0; i < COUNT_OF(percentiles); i++)
		printf(", %s %s", percentiles[i].name,
			exact((double)ctl_distribution_percentile(spread, percentiles[i].percent),
				text));
	putchar('\n');
}

enum { LINES = 12, FLAT = 20 };

/* Where a line of the picture begins. A range of more than FLAT times its least value is cut into equal
 * ratios, since equal widths would show all but a few values as one line. */
static double begin_of(size_t line, double least, double end)
{
	const double part = (double)line / LINES;

	return end > FLAT * least ? least * pow(end / least, part) : least + (end - least) * part;
}

void ctl_distribution_draw(const struct ctl_distribution *spread)
{
	uint64_t lines[LINES] = { 0 }, highest = 0;
	/* beyond that there are a few that would make all others one line */
	const double end = (double)ctl_distribution_percentile(spread, 99.5) + 1;
	const double least = spread->least ? (double)spread->least : 1;
	int room = (int)ctl_terminal_columns() - 30;
	char text[CTL_HUMAN_SIZE];
	size_t line = 0;

	if (spread->count < 2)
		return;
	for (size_t i = 0; i < CTL_BUCKETS; i++) {
		while (line + 1 < LINES && (double)value_of(i) >= begin_of(line + 1, least, end))
			line++;
		lines[line] += spread->counts[i];
	}
	for (size_t i = 0; i < LINES; i++)
		highest = lines[i] > highest ? lines[i] : highest;
	for (size_t i = 0; i < LINES; i++) {
		int bar = room > 0 ? (int)((double)lines[i] / (double)highest * room + 0.5) : 0;

		printf("%10s %10llu ", exact(begin_of(i, least, end), text),
			(unsigned long long)lines[i]);
		for (int j = 0; j < bar; j++)
			putchar('#');
		putchar('\n');
	}
}

void ctl_distribution_json(
	const struct ctl_distribution *spread, const char *what, struct json_object *ret)
{
	char key[32];

	snprintf(key, sizeof key, "%s_min_ns", what);
	json_add_int(ret, key, spread->least);
	snprintf(key, sizeof key, "%s_mean_ns", what);
	json_add_int(ret, key, (uint64_t)ctl_distribution_mean(spread));
	snprintf(key, sizeof key, "%s_max_ns", what);
	json_add_int(ret, key, spread->most);
	snprintf(key, sizeof key, "%s_jitter_ns", what);
	json_add_int(ret, key, (uint64_t)ctl_distribution_deviation(spread));
	for (size_t i = 0; i < COUNT_OF(percentiles); i++) {
		snprintf(key, sizeof key, "%s_%s_ns", what, percentiles[i].name);
		json_add_int(ret, key, ctl_distribution_percentile(spread, percentiles[i].percent));
	}
}
