/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's output, and the last part of the verification: that the counts add up.
 */
#include <inttypes.h>
#include <stdio.h>

#include "demo.h"

#define SUB_BITS 4 /* of latency, 16 to each power of two: within 6 % */

struct latency {
	char text[2][24]; /* p50, p99 */
};

const char *demo_row_name(enum demo_row_id id)
{
	static const char *const names[DEMO_ROWS] = { "fast", "fast", "slow", "slow", "sleeping",
		"sleeping", "victim", "replacement" };

	return names[id];
}

const char *demo_source_name(enum demo_source_id id)
{
	static const char *const names[DEMO_SOURCES] = { "telemetry", "file", "victim",
		"replacement" };

	return names[id];
}

enum demo_topic demo_row_topic(enum demo_row_id id)
{
	return id < DEMO_ROW_VICTIM && id % 2 == 0 ? DEMO_TELEMETRY : DEMO_FILE;
}

static enum demo_topic source_topic(enum demo_source_id id)
{
	return id == DEMO_SOURCE_FILE ? DEMO_FILE : DEMO_TELEMETRY;
}

uint32_t demo_bucket(int64_t ns)
{
	uint64_t value = ns > 0 ? (uint64_t)ns : 0;
	uint32_t top;

	if (value < 1u << SUB_BITS)
		return (uint32_t)value;
	top = 63 - (uint32_t)__builtin_clzll(value);
	return (top - SUB_BITS + 1) << SUB_BITS |
	       (value >> (top - SUB_BITS) & ((1u << SUB_BITS) - 1));
}

/* The smallest value of a bucket, in ns. */
static uint64_t bucket_value(uint32_t bucket)
{
	uint32_t power = bucket >> SUB_BITS;
	uint64_t low = bucket & ((1u << SUB_BITS) - 1);

	return power == 0 ? low : (low | 1u << SUB_BITS) << (power - 1);
}

static void format_ns(uint64_t ns, char *ret, size_t size)
{
	if (ns < 10000)
		snprintf(ret, size, "%" PRIu64 " ns", ns);
	else if (ns < 10000000)
		snprintf(ret, size, "%" PRIu64 " us", ns / 1000);
	else
		snprintf(ret, size, "%" PRIu64 " ms", ns / 1000000);
}

static struct latency row_latency(const struct demo_row *row)
{
	const unsigned percent[2] = { 50, 99 };
	struct latency latency = { { "-", "-" } };
	uint64_t all = 0;

	for (uint32_t i = 0; i < DEMO_BUCKETS; i++)
		all += row->latency[i];
	for (int p = 0; p < 2 && all > 0; p++) {
		uint64_t wanted = (all * percent[p] + 99) / 100;
		uint64_t seen = 0;
		uint32_t i = 0;

		while ((seen += row->latency[i]) < wanted)
			i++;
		format_ns(bucket_value(i), latency.text[p], sizeof(latency.text[p]));
	}
	return latency;
}

const struct demo_tally *demo_row_tally(const struct demo_row *row)
{
	return &row->tally[atomic_load(&row->current)];
}

void demo_progress(const struct demo *demo, double seconds)
{
	struct demo_shared *shared = demo->shared;

	printf("%5.1f s  sent: telemetry %" PRIu64 ", extra %" PRIu64 ", file %" PRIu64
	       " MiB   received (lost):",
		seconds, atomic_load(&shared->source[DEMO_SOURCE_TELEMETRY].done),
		atomic_load(&shared->source[DEMO_SOURCE_VICTIM].done) +
			atomic_load(&shared->source[DEMO_SOURCE_REPLACEMENT].done),
		atomic_load(&shared->source[DEMO_SOURCE_FILE].done) * DEMO_FRAME_SIZE >> 20);
	for (int i = 0; i < DEMO_ROW_VICTIM; i += 2) {
		uint64_t received = demo_row_tally(&shared->row[i])->received +
				    demo_row_tally(&shared->row[i + 1])->received;
		uint64_t lost = atomic_load(&shared->row[i].lost) +
				atomic_load(&shared->row[i + 1].lost);

		printf("  %s %" PRIu64 " (%" PRIu64 ")", demo_row_name(i), received, lost);
	}
	printf("\n");
	fflush(stdout);
}

/* The number of messages that were sent to a subscriber by the sources' own counts, at least and at
 * most (demo.h). A message that it has seen was sent to it, and so were all of that source's after
 * its first. */
static void row_sent(
	const struct demo *demo, enum demo_row_id id, uint64_t *ret_least, uint64_t *ret_most)
{
	const struct demo_row *row = &demo->shared->row[id];
	const struct demo_tally *tally = demo_row_tally(row);

	*ret_least = *ret_most = 0;
	for (int s = 0; s < DEMO_SOURCES; s++) {
		const struct demo_source *source = &demo->shared->source[s];
		uint64_t from = row->after[s], to = atomic_load(&source->done);

		if (source_topic(s) != demo_row_topic(id))
			continue;
		if (tally->first[s] > 0 && tally->first[s] <= from)
			from = tally->first[s] - 1;
		if (tally->last[s] > to)
			to = tally->last[s];
		*ret_least += to > from ? to - from : 0;
		*ret_most += atomic_load(&source->begun) - row->before[s];
	}
}

/* The file has one source, so from the first message on there is nothing to be in doubt of. */
static bool file_adds_up(const struct demo *demo, const struct demo_tally *tally, bool killed)
{
	uint64_t first = tally->first[DEMO_SOURCE_FILE], last = tally->last[DEMO_SOURCE_FILE];

	return tally->received + tally->gaps == last - first + 1 &&
	       (killed || last == atomic_load(&demo->shared->source[DEMO_SOURCE_FILE].done));
}

static int report_row(const struct demo *demo, enum demo_row_id id)
{
	const struct demo_row *row = &demo->shared->row[id];
	const struct demo_tally *tally = demo_row_tally(row);
	uint64_t received = tally->received, lost = atomic_load(&row->lost), sent, least, most;
	bool killed = id == DEMO_ROW_VICTIM, is_file = demo_row_topic(id) == DEMO_FILE;
	struct latency latency = row_latency(row);
	double span = (double)(tally->last_ns - tally->first_ns) / 1e9;

	row_sent(demo, id, &least, &most);
	if (killed) { /* what lies between its first and its last message */
		lost = tally->gaps;
		least = most = received + lost;
	}
	sent = received + lost;
	if (sent < least || sent > most)
		sent = sent < least ? least : most;
	bool good = received > 0 && received + lost == sent &&
		    (!is_file || file_adds_up(demo, tally, killed)) &&
		    (killed || atomic_load(&row->state) == DEMO_FINISHED);
	printf("  %-14s %-14s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "  %-5s %9s %9s %9.1f %8.0f\n",
		killed ? "victim, killed" : demo_row_name(id),
		is_file ? DEMO_FILE_TOPIC : DEMO_TELEMETRY_TOPIC, sent, received, lost,
		good ? "yes" : "NO", latency.text[0], latency.text[1],
		span > 0 ? (double)tally->bytes / span / (1 << 20) : 0.0,
		span > 0 ? (double)received / span : 0.0);
	if (row->error[0])
		printf("    ^ %s\n", row->error);
	return good ? 0 : 1;
}

int demo_report(const struct demo *demo)
{
	int bad = 0;

	printf("\n  %-14s %-14s %9s %9s %9s  %-5s %9s %9s %9s %8s\n", "subscriber", "topic", "sent",
		"received", "lost", "adds", "latency", "latency", "MiB/s", "msg/s");
	printf("  %-14s %-14s %9s %9s %9s  %-5s %9s %9s\n", "", "", "to it", "", "", "up", "p50",
		"p99");
	for (int i = 0; i < DEMO_ROWS; i++)
		bad += report_row(demo, i);
	printf("\n");
	for (int s = 0; s < DEMO_SOURCES; s++) {
		const struct demo_source *source = &demo->shared->source[s];
		bool killed = s == DEMO_SOURCE_VICTIM;
		bool good = atomic_load(&source->done) > 0 &&
			    (killed || atomic_load(&source->state) == DEMO_FINISHED);

		printf("  publisher %-15s sent %9" PRIu64 "%s%s%s\n", demo_source_name(s),
			atomic_load(&source->done),
			atomic_load(&source->begun) != atomic_load(&source->done)
				? " (and was killed in the middle of one)"
			: killed ? " (and was killed)"
				 : "",
			good ? "" : "   FAILED: ", good ? "" : source->error);
		bad += !good;
	}
	return bad;
}
