/* SPDX-License-Identifier: Apache-2.0 */
/* A set of rows, measured together in interleaved rounds: see stage.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conduct.h"

#define LEAST_ROUNDS 3
#define TAIL_SAMPLES 1000 /* with fewer the largest of all would be p99.9 */

struct figures {
	double values[BENCH_MAX_ROUNDS];
	double arrived[BENCH_MAX_ROUNDS];
	uint64_t due; /* of floods, over all rounds: see struct playing */
	uint64_t got;
	struct histogram times;
};

/* What one attempt gave. */
struct attempt {
	double probes[2];
	unsigned rounds;
	uint64_t verified;
	char failures[SET_MAX_ENTRIES][128]; /* "": it has figures */
	struct figures figures[SET_MAX_ENTRIES];
};

struct entry *set_add(struct set *set, const char *load, const char *system,
	const struct adapter *adapter, const struct shape *shape, int floor)
{
	struct entry *entry = &set->entries[set->count];

	if (set->count++ == SET_MAX_ENTRIES)
		bench_die("more than %d rows in a set", SET_MAX_ENTRIES);
	*entry = (struct entry){
		.system = system ? system : adapter->name,
		.adapter = adapter,
		.shape = *shape,
		.floor = floor,
		.arrivals_of = -1,
		.beside = -1,
		.per_ring_from = -1,
	};
	snprintf(entry->load, sizeof(entry->load), "%s", load);
	return entry;
}

static bool measured(const struct entry *entry)
{
	return entry->arrivals_of < 0;
}

static const char *unfit(const struct entry *entry)
{
	if (!(entry->adapter->shapes >> entry->shape.kind & 1))
		return "has no such thing";
	return entry->shape.size > entry->adapter->max_size ? "not so large a message" : NULL;
}

/* One of ours must not fail; another's failure is its row's. */
static void failed(struct attempt *attempt, const struct entry *entry, unsigned index,
	const struct playing *playing)
{
	if (!entry->adapter->peer)
		bench_die("%s, %s: %s", entry->load, entry->system, playing->failure);
	snprintf(attempt->failures[index], sizeof(attempt->failures[index]), "%s",
		playing->failure[0] ? playing->failure : "failed");
}

static void begin_all(struct attempt *attempt, const struct bench *bench, const struct set *set,
	struct playing *playing)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct entry *entry = &set->entries[i];
		const char *why = measured(entry) ? unfit(entry) : NULL;

		if (why)
			snprintf(attempt->failures[i], sizeof(attempt->failures[i]), "%s", why);
		/* what failed in the attempt before isn't tried again */
		if (!measured(entry) || attempt->failures[i][0])
			continue;
		if (!playing_begin(
			    &playing[i], bench, entry->adapter, &entry->shape, entry->load) ||
			!playing_calibrate(&playing[i], bench->scale.round_seconds))
			failed(attempt, entry, i, &playing[i]);
	}
}

static void play_round(struct attempt *attempt, const struct set *set, struct playing *playing)
{
	for (unsigned i = 0; i < set->count; i++) {
		struct figures *figures = &attempt->figures[i];

		if (!playing[i].stage)
			continue;
		if (!playing_turn(&playing[i], playing[i].count)) {
			failed(attempt, &set->entries[i], i, &playing[i]);
			continue;
		}
		figures->values[attempt->rounds] = playing[i].value;
		figures->arrived[attempt->rounds] = playing[i].arrived;
		figures->due += playing[i].due;
		figures->got += playing[i].got;
		histogram_merge(&figures->times, &playing[i].stage->times);
	}
	attempt->rounds++;
}

static void play(struct attempt *attempt, const struct bench *bench, const struct set *set)
{
	struct playing *playing = calloc(set->count, sizeof(*playing)), line;
	int64_t end;

	if (!playing)
		bench_die("no memory");
	memset(attempt, 0, offsetof(struct attempt, failures));
	memset(attempt->figures, 0, sizeof(attempt->figures));
	playing_begin_line(&line, bench);
	begin_all(attempt, bench, set, playing);
	end = bench_now_ns() + (int64_t)(bench->scale.seconds * 1e9);
	attempt->probes[0] = playing_probe(&line);
	while (attempt->rounds < bench->scale.rounds &&
		(attempt->rounds < LEAST_ROUNDS || bench_now_ns() < end))
		play_round(attempt, set, playing);
	attempt->probes[1] = playing_probe(&line);
	for (unsigned i = 0; i < set->count; i++) {
		playing_end(&playing[i]);
		attempt->verified += playing[i].verified;
	}
	playing_end(&line);
	free(playing);
}

static const double *values_of(
	const struct attempt *attempt, const struct set *set, unsigned index, unsigned *ret_source)
{
	int of = set->entries[index].arrivals_of;

	*ret_source = of < 0 ? index : (unsigned)of;
	return of < 0 ? attempt->figures[index].values : attempt->figures[of].arrived;
}

static const char *unit_of(const struct entry *entry)
{
	switch (entry->shape.kind) {
	case SHAPE_STREAM:
	case SHAPE_FLOOD:
		return "M/s";
	case SHAPE_COPY:
		return "GB/s";
	default:
		return "ns";
	}
}

/* One row to another of the set, both of the same round. */
static double ratio_of(
	const struct attempt *attempt, const struct set *set, unsigned index, unsigned other)
{
	double ratios[BENCH_MAX_ROUNDS];
	unsigned source;
	const double *values = values_of(attempt, set, index, &source);
	const double *others = values_of(attempt, set, other, &source);

	for (unsigned r = 0; r < attempt->rounds; r++)
		ratios[r] = values[r] / others[r];
	return bench_median(ratios, attempt->rounds);
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

static void fill(struct bench_row *row, const struct attempt *attempt, const struct set *set,
	unsigned index, const struct bench_row *floor_row)
{
	const struct entry *entry = &set->entries[index];
	bool rate = strcmp(row->unit, "ns") != 0;
	unsigned source;
	const double *values = values_of(attempt, set, index, &source);

	bench_row_values(row, values, attempt->rounds);
	if (!rate)
		fill_tail(
			row, &attempt->figures[source].times, entry->shape.kind == SHAPE_PING_PONG);
	if (entry->floor < 0)
		return;
	row->ratio = ratio_of(attempt, set, index, (unsigned)entry->floor);
	row->goal = entry->goal;
	row->goal_is_least = rate;
	if (floor_row && floor_row->p999 > 0 && row != floor_row && row->p999 > 0)
		row->tail = row->p999 / row->median / (floor_row->p999 / floor_row->median);
}

static void judge_tail(struct bench_row *row, const struct attempt *attempt, unsigned index,
	const struct entry *entry)
{
	if (entry->tail_goal == 0)
		return;
	if (attempt->figures[index].times.count < TAIL_SAMPLES ||
		attempt->figures[entry->floor].times.count < TAIL_SAMPLES)
		bench_row_judge_not(row, "tail", entry->tail_goal);
	else
		bench_row_judge(row, "tail", row->tail, entry->tail_goal);
}

/* What arrived of a flood, and what didn't. */
static void note_arrivals(struct bench_row *row, const struct figures *figures, unsigned rounds)
{
	double arrived[BENCH_MAX_ROUNDS];

	memcpy(arrived, figures->arrived, sizeof(arrived));
	/* what a peer brings too late for one round is in the next one's */
	row->lost = figures->got < figures->due ? 1 - (double)figures->got / (double)figures->due
						: 0;
	bench_row_note(row, "arrived %.3g M/s, lost %.3g %%", bench_median(arrived, rounds),
		100 * row->lost);
}

/* What the row is beside other rows of its own system. */
static void compare(struct bench_row *row, const struct attempt *attempt, const struct set *set,
	unsigned index, struct bench_row *const *rows)
{
	const struct entry *entry = &set->entries[index];

	if (entry->beside >= 0) {
		double ratio = ratio_of(attempt, set, index, (unsigned)entry->beside);
		char what[40];

		snprintf(what, sizeof(what), "x %s", set->entries[entry->beside].load);
		bench_row_note(row, "%.2f %s", ratio, what);
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

static void report(struct bench *bench, const struct set *set, const struct attempt *attempt,
	unsigned attempts)
{
	struct bench_row *rows[SET_MAX_ENTRIES];

	for (unsigned i = 0; i < set->count; i++) {
		const struct entry *entry = &set->entries[i];
		struct bench_row *row = bench_row_new(
			&bench->report, entry->load, entry->system, unit_of(entry));
		unsigned source;

		rows[i] = row;
		values_of(attempt, set, i, &source);
		if (attempt->failures[source][0]) {
			bench_row_note(row, "%s", attempt->failures[source]);
			continue;
		}
		if (i == 0)
			bench_row_note(
				row, "line %.0f/%.0f ns", attempt->probes[0], attempt->probes[1]);
		if (i == 0 && attempts > 1)
			bench_row_note(row, "attempt %u", attempts);
		if (i == 0 && attempt->rounds < bench->scale.rounds)
			bench_row_note(row, "%u rounds", attempt->rounds);
		fill(row, attempt, set, i, entry->floor < 0 ? NULL : rows[entry->floor]);
		bench_row_note(row, "%s", entry->note ? entry->note : entry->adapter->setting);
		if (entry->shape.kind == SHAPE_FLOOD && entry->arrivals_of < 0)
			note_arrivals(row, &attempt->figures[i], attempt->rounds);
		judge_tail(row, attempt, i, entry);
		compare(row, attempt, set, i, rows);
		row->noisy = stage_probes_differ(attempt->probes[0], attempt->probes[1]);
	}
	bench->report.verified += attempt->verified;
}

static double difference_of(const struct attempt *attempt)
{
	double a = attempt->probes[0], b = attempt->probes[1];

	return (a < b ? b / a : a / b) - 1;
}

void set_run(struct bench *bench, const struct set *set)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt)), *best = calloc(1, sizeof(*best));
	unsigned attempts = 0;

	if (!attempt || !best)
		bench_die("no memory");
	do {
		struct attempt *other;

		memcpy(attempt->failures, best->failures, sizeof(attempt->failures));
		play(attempt, bench, set);
		if (attempts++ == 0 || difference_of(attempt) < difference_of(best)) {
			other = best;
			best = attempt;
			attempt = other;
		}
	} while (attempts < bench->scale.attempts && difference_of(best) > PROBE_DIFFERENCE);
	report(bench, set, best, attempts);
	free(attempt);
	free(best);
}
