/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which choice comes next.
 *
 * Exhaustive: depth first by re-execution. The list of choices of the last run is the path; the
 * last one that has another way takes it, what is behind it is forgotten, and the program runs
 * again from its beginning. Partial-order reduction: two schedules that differ in the order of
 * independent steps lead to the same state. A state's fingerprint is a hash of what each thread did
 * and saw and of each location's modification order, both independent of that order; a run that
 * meets a state which is known with at least as much left to spend ends there.
 *
 * What may be spent: interruptions (a thread that could go on has to stop) and old reads (a load
 * that doesn't see the newest store). A thread that ends, sleeps, waits or dies is no interruption.
 *
 * Random (after PCT): threads have random priorities, the highest that can run runs; at a few
 * random steps the running one falls to the lowest. Loads are old now and then. All from a seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/explore/engine.h"
#include "tests/explore/hash.h"

#define MAX_CHOICES  4096
#define TABLE_SIZE   (UINT64_C(1) << 23)
#define MAX_FALLS    4
#define OLD_PER_1024 200

enum mode { MODE_ALL, MODE_RANDOM, MODE_REPLAY };

struct choice {
	uint16_t count, taken;
};

/* An entry of the table: a state (all but the lowest byte), and the largest budget that a run
 * had left there. An entry of 0 is empty. */
#define KNOWN_STATE              (~UINT64_C(255))
#define KNOWN(state, turns, old) (((state)&KNOWN_STATE) | (uint64_t)((turns)&15) << 4 | ((old)&15))
#define KNOWN_TURNS(known)       ((int)((known) >> 4 & 15)) /* 15: any number */
#define KNOWN_OLD(known)         ((int)((known)&15))

static enum mode mode;
static struct choice path[MAX_CHOICES];
static unsigned path_length, position;
static int interruptions_left, old_reads_left;
static bool pruned;
static uint64_t *table;
static uint64_t table_used, salt, searches;
static struct ex_search *search;
static uint64_t random_state, falls[MAX_FALLS], usual_steps = 60;

static uint64_t next_random(void)
{
	random_state += UINT64_C(0x9e3779b97f4a7c15);
	return hash_mix(random_state);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool ex_search_pruned(void)
{
	return pruned;
}

/* True when the state is known with as much left to spend; makes it known otherwise. */
static bool meet_state(void)
{
	uint64_t state = hash_mix(ex.fingerprint + salt + (uint64_t)(ex.current + 1)) | 256;
	uint64_t now_left = KNOWN(state, interruptions_left, old_reads_left);

	for (uint64_t i = state >> 20;; i++) {
		uint64_t *known = &table[i & (TABLE_SIZE - 1)];

		if (*known == 0) {
			*known = now_left;
			search->states++;
			table_used++;
			return false;
		}
		if ((*known ^ state) & KNOWN_STATE)
			continue;
		if (KNOWN_TURNS(*known) >= KNOWN_TURNS(now_left) &&
			KNOWN_OLD(*known) >= KNOWN_OLD(now_left))
			return true;
		if (KNOWN_TURNS(*known) <= KNOWN_TURNS(now_left) &&
			KNOWN_OLD(*known) <= KNOWN_OLD(now_left))
			*known = now_left;
		return false;
	}
}

/* Takes the choice that the path says, or the first of a new one. */
static unsigned choose(unsigned count, unsigned wanted)
{
	if (position == MAX_CHOICES)
		ex_fail("explorer: more than %d choices in a run", MAX_CHOICES);
	if (position == path_length || mode == MODE_RANDOM) {
		if (mode == MODE_REPLAY)
			return 0;
		path[position] = (struct choice){ (uint16_t)count, (uint16_t)wanted };
		path_length = position + 1;
	}
	unsigned taken = path[position++].taken;
	return taken < count ? taken : 0;
}

unsigned ex_choose(unsigned count, enum ex_choice kind)
{
	unsigned wanted = 0;

	if (old_reads_left == 0)
		return 0;
	if (mode == MODE_RANDOM && (next_random() & 1023) < OLD_PER_1024)
		wanted = (unsigned)(next_random() % count);
	unsigned taken = choose(count, wanted);
	ex.old_reads += taken > 0;
	if (taken > 0 && old_reads_left > 0)
		old_reads_left--;
	return taken;
}

static unsigned highest(const int *threads, unsigned count)
{
	unsigned best = 0;

	for (unsigned i = 0; i < MAX_FALLS; i++)
		if (falls[i] == ex.steps)
			ex.threads[threads[0]].priority = MAX_FALLS - i;
	for (unsigned i = 1; i < count; i++)
		if (ex.threads[threads[i]].priority > ex.threads[threads[best]].priority)
			best = i;
	return best;
}

unsigned ex_choose_thread(const int *threads, unsigned count, bool interrupts)
{
	unsigned wanted = 0;

	if (count == 1)
		return 0;
	if (mode == MODE_ALL && position == path_length && meet_state()) {
		pruned = true;
		ex_abandon();
	}
	if (interrupts && interruptions_left == 0)
		return 0;
	if (mode == MODE_RANDOM)
		wanted = highest(threads, count);
	unsigned taken = choose(count, wanted);
	if (taken > 0 && interrupts && interruptions_left > 0)
		interruptions_left--;
	return taken;
}

static bool one_run(const struct ex_program *program)
{
	position = 0;
	pruned = false;
	interruptions_left = search->interruptions;
	old_reads_left = search->old_reads;
	bool good = ex_run(program);
	search->runs++;
	search->steps += ex.steps;
	search->repeated += pruned;
	return good;
}

/* Writes "interruptions,old reads/thread:at,.../choice:way ...", with those choices that aren't
 * the ordinary way. */
static void describe(void)
{
	char *to = search->replay, *end = to + sizeof search->replay;

	memcpy(search->failure, ex.failure, sizeof search->failure);
	to += snprintf(to, (size_t)(end - to), "%d,%d/", search->interruptions, search->old_reads);
	for (int i = 0; i < EX_MAX_CRASHES; i++)
		if (ex.crashes[i].thread >= 0)
			to += snprintf(to, (size_t)(end - to), "%d:%d,", ex.crashes[i].thread,
				ex.crashes[i].at);
	to += snprintf(to, (size_t)(end - to), "/");
	for (unsigned i = 0; i < position && end - to > 16; i++)
		if (path[i].taken)
			to += snprintf(to, (size_t)(end - to), "%u:%u,", i, path[i].taken);
}

static bool next_path(void)
{
	while (path_length > 0 && path[path_length - 1].taken + 1 == path[path_length - 1].count)
		path_length--;
	if (path_length == 0)
		return false;
	path[path_length - 1].taken++;
	return true;
}

static void make_table(void)
{
	if (!table)
		table = mmap(NULL, TABLE_SIZE * sizeof *table, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED) {
		perror("explore: no memory for the table of states");
		exit(2);
	}
}

bool ex_search_all(const struct ex_program *program, struct ex_search *with)
{
	double end = now() + with->max_seconds;
	uint64_t first_run = with->runs;

	make_table();
	search = with;
	mode = MODE_ALL;
	path_length = 0;
	/* a salt makes the states that an earlier search knew unknown in this one */
	salt = hash_mix(++searches);
	do {
		if (table_used > TABLE_SIZE / 2) { /* to forget them only costs time */
			memset(table, 0, TABLE_SIZE * sizeof *table);
			table_used = 0;
		}
		if (!one_run(program)) {
			describe();
			return false;
		}
		if ((with->max_runs && with->runs - first_run >= with->max_runs) ||
			((with->runs & 255) == 0 && now() > end)) {
			with->cut = true;
			break;
		}
	} while (next_path());
	return true;
}

bool ex_search_random(const struct ex_program *program, struct ex_search *with, uint64_t seed,
	void (*vary)(uint64_t random))
{
	double end = now() + with->max_seconds;
	uint64_t first_run = with->runs;

	search = with;
	mode = MODE_RANDOM;
	with->interruptions = with->old_reads = -1;
	for (;;) {
		random_state = hash_mix(seed + with->runs);
		vary(next_random());
		for (int i = 0; i < EX_MAX_THREADS; i++)
			ex.threads[i].priority = MAX_FALLS + 1 + (next_random() >> 8);
		for (int i = 0; i < MAX_FALLS; i++)
			falls[i] = next_random() % usual_steps;
		path_length = 0;
		bool good = one_run(program);
		with->deaths += ex.crashed[0];
		if (!good) {
			describe();
			return false;
		}
		usual_steps = (usual_steps * 15 + ex.steps + 15) / 16;
		if (with->max_runs && with->runs - first_run >= with->max_runs)
			return true;
		if ((with->runs & 63) == 0 && now() > end)
			return true;
	}
}

static bool read_replay(const char *text, struct ex_search *ret)
{
	int used;

	for (int i = 0; i < EX_MAX_CRASHES; i++)
		ex.crashes[i].thread = -1;
	if (sscanf(text, "%d,%d/%n", &ret->interruptions, &ret->old_reads, &used) != 2)
		return false;
	text += used;
	for (int i = 0; i < EX_MAX_CRASHES && *text != '/'; i++, text += used)
		if (sscanf(text, "%d:%d,%n", &ex.crashes[i].thread, &ex.crashes[i].at, &used) != 2)
			return false;
	if (*text++ != '/')
		return false;
	memset(path, 0, sizeof path);
	path_length = MAX_CHOICES;
	unsigned index, taken;
	for (; *text; text += used) {
		if (sscanf(text, "%u:%u,%n", &index, &taken, &used) != 2 || index >= MAX_CHOICES)
			return false;
		path[index].taken = (uint16_t)taken;
	}
	return true;
}

bool ex_search_replay(const struct ex_program *program, const char *replay)
{
	static struct ex_search once;

	memset(&once, 0, sizeof once);
	if (!read_replay(replay, &once)) {
		snprintf(ex.failure, sizeof ex.failure, "can't read \"%s\"", replay);
		return false;
	}
	search = &once;
	mode = MODE_REPLAY;
	return one_run(program);
}
