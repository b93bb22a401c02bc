/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of what a set's measuring gave: see set.h. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/set.h"

#define TAIL_SAMPLES 1000 /* with fewer, p99.9 would be the largest one */
#define TAIL_BEYOND  0.001

static const double *values_of(const struct measured *measured, const struct set *set,
	unsigned index, unsigned *ret_source)
{
	int of = set->entries[index].arrivals_of;

	*ret_source = of < 0 ? index : (unsigned)of;
	return of < 0 ? measured->figures[index].values : measured->figures[of].arrived;
}

static const char *unit_of(const struct entry *entry)
{
	switch (entry->shape.kind) {
	case SHAPE_STREAM:
	case SHAPE_FLOOD:
	case SHAPE_CALLS:
		return "M/s";
	case SHAPE_COPY:
		return "GB/s";
	default:
		return "ns";
	}
}

/* The ratio of one row to another of the set, round by round. */
static double ratio_of(
	const struct measured *measured, const struct set *set, unsigned index, unsigned other)
{
	double ratios[BENCH_MAX_ROUNDS];
	unsigned source;
	const double *values = values_of(measured, set, index, &source);
	const double *others = values_of(measured, set, other, &source);

	for (unsigned r = 0; r < measured->rounds; r++)
		ratios[r] = values[r] / others[r];
	return bench_median(ratios, measured->rounds);
}

static void fill_tail(struct bench_row *row, const struct histogram *times, bool ping_pong)
{
	double per_tick = bench_ns_per_tick() / (ping_pong ? 2 : 1);

	if (times->count == 0)
		return;
	row->p99 = histogram_quantile(times, 0.99) * per_tick;
	row->p999 = histogram_quantile(times, 0.999) * per_tick;
	row->p9999 = histogram_quantile(times, 0.9999) * per_tick;
}

/*
 * The quantile of the floor that the row's p99.9 is compared with. A timer's tick meets a message
 * the more often the longer the message takes. So as many ticks are to lie beyond the floor's
 * quantile as beyond the row's p99.9: the share of messages beyond it is smaller by the ratio of
 * the medians.
 */
static double floor_quantile(const struct bench_row *row, const struct bench_row *floor_row)
{
	double beyond = TAIL_BEYOND * floor_row->median / row->median;

	return beyond < 0.5 ? 1 - beyond : 0.5;
}

static double tail_of(const struct bench_row *row, const struct bench_row *floor_row,
	const struct histogram *floor_times, bool ping_pong)
{
	double per_tick = bench_ns_per_tick() / (ping_pong ? 2 : 1);
	double due = histogram_quantile(floor_times, floor_quantile(row, floor_row)) * per_tick;

	return due > 0 ? row->p999 / row->median / (due / floor_row->median) : 0;
}

static void fill(struct bench_row *row, const struct measured *measured, const struct set *set,
	unsigned index, const struct bench_row *floor_row)
{
	const struct entry *entry = &set->entries[index];
	bool rate = strcmp(row->unit, "ns") != 0;
	unsigned source;
	const double *values = values_of(measured, set, index, &source);

	bench_row_values(row, values, measured->rounds);
	if (!rate)
		fill_tail(row, &measured->figures[source].times,
			entry->shape.kind == SHAPE_PING_PONG);
	if (entry->floor < 0 || measured->figures[entry->floor].failure[0])
		return;
	row->ratio = ratio_of(measured, set, index, (unsigned)entry->floor);
	row->goal = entry->goal;
	row->goal_is_least = rate;
	if (floor_row && row != floor_row && row->p999 > 0)
		row->tail = tail_of(row, floor_row, &measured->figures[entry->floor].times,
			entry->shape.kind == SHAPE_PING_PONG);
}

static void judge_tail(struct bench_row *row, const struct measured *measured, unsigned index,
	const struct entry *entry, const struct bench_row *floor_row)
{
	if (entry->tail_goal == 0 || !floor_row)
		return;
	if (measured->figures[index].times.count < TAIL_SAMPLES ||
		(double)measured->figures[entry->floor].times.count *
				(1 - floor_quantile(row, floor_row)) <
			1)
		bench_row_judge_not(row, "tail", entry->tail_goal);
	else
		bench_row_judge(row, "tail", row->tail, entry->tail_goal);
}

/* Adds the rows of a flood: messages that arrived, and messages that didn't. */
static void note_arrivals(struct bench_row *row, const struct figures *figures, unsigned rounds)
{
	double arrived[BENCH_MAX_ROUNDS];

	memcpy(arrived, figures->arrived, sizeof(arrived));
	row->is_flood = true;
	row->sent = figures->due;
	row->received = figures->got;
	row->lost = figures->due ? (double)figures->lost / (double)figures->due : 0;
	bench_row_note(row, "arrived %.3g M/s, lost %.3g %%", bench_median(arrived, rounds),
		100 * row->lost);
}

/* Notes how fast the line was around the row's turns. */
static void note_line(struct bench_row *row, const struct figures *figures, unsigned rounds)
{
	double before[BENCH_MAX_ROUNDS], after[BENCH_MAX_ROUNDS];

	memcpy(before, figures->before, sizeof(before));
	memcpy(after, figures->after, sizeof(after));
	bench_row_note(row, "line %.0f/%.0f ns", bench_median(before, rounds),
		bench_median(after, rounds));
	if (figures->again > 0)
		bench_row_note(row, "turns again: %u", figures->again);
	row->noisy = figures->disturbed > rounds / 4;
}

/* Compares the row with another of its load, or of its system. */
static void compare(struct bench_row *row, const struct measured *measured, const struct set *set,
	unsigned index, struct bench_row *const *rows)
{
	const struct entry *entry = &set->entries[index];

	if (entry->beside >= 0) {
		const struct entry *other = &set->entries[entry->beside];
		double ratio = ratio_of(measured, set, index, (unsigned)entry->beside);
		char what[40];

		snprintf(what, sizeof(what), "x %s",
			strcmp(other->load, entry->load) == 0 ? other->system : other->load);
		bench_row_note(row, "%.2f %s", ratio, what);
		if (entry->beside_goal > 0)
			bench_row_judge(row, what, ratio, entry->beside_goal);
	}
	if (entry->per_ring_from >= 0) {
		const struct shape *fewer = &set->entries[entry->per_ring_from].shape;
		unsigned less = fewer->receivers * fewer->ends;
		double each = (row->median - rows[entry->per_ring_from]->median) /
			      (entry->shape.receivers * entry->shape.ends - less);

		bench_row_note(row, "%.1f ns for %s", each, less ? "each further" : "the first");
		if (entry->per_ring_goal > 0)
			bench_row_judge(row, "ns/ring", each, entry->per_ring_goal);
	}
}

void set_report(struct bench *bench, const struct set *set, const struct measured *measured)
{
	struct bench_row *rows[SET_MAX_ENTRIES];

	for (unsigned i = 0; i < set->count; i++) {
		const struct entry *entry = &set->entries[i];
		struct bench_row *row = bench_row_new(
			&bench->report, entry->load, entry->system, unit_of(entry));
		unsigned source;

		rows[i] = row;
		values_of(measured, set, i, &source);
		if (measured->figures[source].failure[0]) {
			bench_row_note(row, "%s", measured->figures[source].failure);
			continue;
		}
		note_line(row, &measured->figures[source], measured->rounds);
		if (i == 0 && measured->rounds < bench->scale.rounds)
			bench_row_note(row, "%u rounds", measured->rounds);
		fill(row, measured, set, i, entry->floor < 0 ? NULL : rows[entry->floor]);
		bench_row_note(row, "%s", entry->note ? entry->note : entry->adapter->setting);
		if (entry->shape.kind == SHAPE_FLOOD && entry->arrivals_of < 0)
			note_arrivals(row, &measured->figures[i], measured->rounds);
		judge_tail(row, measured, i, entry, entry->floor < 0 ? NULL : rows[entry->floor]);
		compare(row, measured, set, i, rows);
	}
}
