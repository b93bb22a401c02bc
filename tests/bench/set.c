/* SPDX-License-Identifier: Apache-2.0 */
/* Measures a set: see set.h. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/conduct.h"
#include "tests/bench/set.h"

#define LEAST_ROUNDS 3

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

static const char *unfit(const struct entry *entry)
{
	if (!(entry->adapter->shapes >> entry->shape.kind & 1))
		return "has no such thing";
	return entry->shape.size > entry->adapter->max_size ? "not so large a message" : NULL;
}

/* Takes a failure. One of kickmsg's ends the bench, another system's is noted in its row. */
static void failed(
	struct figures *figures, const struct entry *entry, const struct playing *playing)
{
	if (!entry->adapter->peer)
		bench_die("%s, %s: %s", entry->load, entry->system, playing->failure);
	snprintf(figures->failure, sizeof(figures->failure), "%s",
		playing->failure[0] ? playing->failure : "failed");
}

static void begin_all(struct measured *measured, const struct bench *bench, const struct set *set,
	struct playing *playing)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct entry *entry = &set->entries[i];
		struct figures *figures = &measured->figures[i];
		const char *why = unfit(entry);

		if (entry->arrivals_of >= 0)
			continue;
		if (why)
			snprintf(figures->failure, sizeof(figures->failure), "%s", why);
		else if (!playing_begin(
				 &playing[i], bench, entry->adapter, &entry->shape, entry->load) ||
			 !playing_calibrate(&playing[i], bench->scale.round_seconds))
			failed(figures, entry, &playing[i]);
	}
}

/*
 * One turn, again while the line's probes before and after differ and `attempts` are left. *line_ns is the
 * probe before, and becomes the one after. False: it failed.
 */
static bool play_turn(struct figures *figures, unsigned round, struct playing *playing,
	struct playing *line, double *line_ns, unsigned attempts)
{
	bool differ;

	do {
		if (!playing_turn(playing, playing->count))
			return false;
		figures->values[round] = playing->value;
		figures->arrived[round] = playing->arrived;
		figures->due += playing->due;
		figures->got += playing->got;
		figures->lost += playing->lost;
		figures->before[round] = *line_ns;
		*line_ns = figures->after[round] = playing_probe(line);
		differ = stage_probes_differ(figures->before[round], figures->after[round]);
		figures->again += differ && attempts > 1;
	} while (differ && --attempts > 0);
	figures->disturbed += differ;
	histogram_merge(&figures->times, &playing->stage->times);
	return true;
}

static void play(struct measured *measured, struct bench *bench, const struct set *set)
{
	struct playing *playing = calloc(set->count, sizeof(*playing)), line;
	double line_ns;
	int64_t end;

	if (!playing)
		bench_die("no memory");
	playing_begin_line(&line, bench);
	begin_all(measured, bench, set, playing);
	end = bench_now_ns() + (int64_t)(bench->scale.seconds * 1e9);
	line_ns = playing_probe(&line);
	for (bool late = false; measured->rounds < bench->scale.rounds &&
				(measured->rounds < LEAST_ROUNDS || !late);
		measured->rounds++)
		for (unsigned i = 0; i < set->count; i++) {
			struct figures *figures = &measured->figures[i];

			late = bench_now_ns() > end;
			if (playing[i].stage &&
				!play_turn(figures, measured->rounds, &playing[i], &line, &line_ns,
					late ? 1 : bench->scale.attempts))
				failed(figures, &set->entries[i], &playing[i]);
		}
	for (unsigned i = 0; i < set->count; i++) {
		playing_end(&playing[i]);
		bench->report.verified += playing[i].verified;
	}
	playing_end(&line);
	free(playing);
}

void set_run(struct bench *bench, const struct set *set)
{
	struct measured *measured = calloc(1, sizeof(*measured));

	if (!measured)
		bench_die("no memory");
	play(measured, bench, set);
	set_report(bench, set, measured);
	free(measured);
}
