/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explore all [SECONDS]          every scenario, all runs within its bounds; the test
 * explore deep SECONDS [SEED]    half the time wider bounds, then random runs, of all scenarios
 * explore run SCENARIO [INTERRUPTIONS [OLD_READS [SECONDS]]]
 * explore orders [SECONDS]       each memory order of the product weakened, one at a time
 * explore weaken LABEL KIND ORDER SCENARIO [INTERRUPTIONS [OLD_READS [SECONDS]]]   one of them, as "run"
 * explore caught [SCENARIO...]   for a build with a fault: 0 when it is caught, and again by replay
 * explore litmus                 is the memory C11's? small programs whose outcomes are known
 * explore replay SCENARIO CHOICES
 * explore list
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/explore/litmus.h"
#include "tests/explore/orders.h"
#include "tests/explore/scenarios.h"

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void print_failure(const struct scenario *scenario, const struct ex_search *search)
{
	printf("\n%s: %s\n", scenario->name, search->failure);
	scenario_replay(scenario, search->replay, true);
	printf("  => %s\n  again: explore replay %s '%s'\n", ex.failure, scenario->name,
		search->replay);
}

static void print_counts(const char *name, const struct ex_search *search, double seconds)
{
	printf("%-18s %10lu runs %10lu states %12lu steps %5lu deaths  %6.1f s%s\n", name,
		search->runs, search->states, search->steps, search->deaths, seconds,
		search->cut ? "  (cut short)" : "");
	fflush(stdout);
}

static void add(struct ex_search *to, const struct ex_search *what)
{
	to->runs += what->runs;
	to->states += what->states;
	to->steps += what->steps;
	to->deaths += what->deaths;
	to->cut |= what->cut;
}

static bool explore_one(const struct scenario *scenario, struct ex_search *search)
{
	double start = now();
	bool good = scenario_explore(scenario, true, search);

	print_counts(scenario->name, search, now() - start);
	if (!good)
		print_failure(scenario, search);
	return good;
}

/* Explores all runs of every scenario. Fails if they take more than `seconds`; 0: any time. */
static int explore_all(double seconds)
{
	struct ex_search sum = { 0 };
	double start = now();
	int bad = 0;

	for (unsigned i = 0; i < scenario_count; i++) {
		double left = seconds > 0 ? start + seconds - now() : 1e9;
		struct ex_search search = {
			.interruptions = -1, .old_reads = -1, .max_seconds = left > 0 ? left : 0.1
		};

		bad += !explore_one(&scenarios[i], &search);
		add(&sum, &search);
	}
	print_counts("all", &sum, now() - start);
	if (sum.cut) {
		printf("explore all: %.0f s were not enough, NOT all of it was explored\n",
			seconds);
		return 1;
	}
	return bad + ex_site_print_unmet() > 0;
}

/* Explores with one interruption and one old read more than each scenario's own bounds. */
static int explore_wider(double seconds, struct ex_search *sum)
{
	double start = now();
	int bad = 0;

	for (unsigned i = 0; i < scenario_count && !bad; i++) {
		double share = (start + seconds - now()) / (scenario_count - i);
		struct ex_search search = { .interruptions = scenarios[i].interruptions + 1,
			.old_reads = scenarios[i].old_reads + 1,
			.max_seconds = share / 4 }; /* runs with deaths take their time as well */

		if (share <= 0)
			break;
		bad = !explore_one(&scenarios[i], &search);
		add(sum, &search);
	}
	return bad;
}

static int explore_deep(double seconds, uint64_t seed)
{
	struct ex_search sum = { 0 }, wider = { 0 };
	double start = now(), end = start + seconds;
	int bad = explore_wider(seconds / 2, &wider);
	double random_start = now(), turn = (end - random_start) / scenario_count;

	turn = turn < 2 ? turn : 2;

	for (uint64_t round = 0; now() < end && !bad; round++) {
		const struct scenario *scenario = &scenarios[round % scenario_count];
		struct ex_search search = { .max_seconds = turn };

		if (!scenario_wander(scenario, &search, seed + (round << 32))) {
			print_failure(scenario, &search);
			bad = 1;
		}
		add(&sum, &search);
	}
	print_counts("wider bounds", &wider, random_start - start);
	print_counts("random", &sum, now() - random_start);
	return bad;
}

#define RANDOM_RUNS 60000

/* Does the failed run fail again, with the same message, by its list of choices? */
static bool fails_again(const struct scenario *scenario, const struct ex_search *search)
{
	if (scenario_replay(scenario, search->replay, false) ||
		strcmp(ex.failure, search->failure) != 0) {
		printf("%s: \"%s\", but replay %s says \"%s\"\n", scenario->name, search->failure,
			search->replay, ex.failure);
		return false;
	}
	return true;
}

static bool is_caught(const struct scenario *scenario)
{
	struct ex_search search = { .interruptions = -1, .old_reads = -1, .max_seconds = 30 };
	struct ex_search random = { .max_runs = RANDOM_RUNS, .max_seconds = 30 };

	if (scenario_explore(scenario, true, &search))
		return false;
	printf("caught by %s after %lu runs: %s\n", scenario->name, search.runs, search.failure);
	if (!fails_again(scenario, &search))
		return false;
	bool missed = scenario_wander(scenario, &random, 1);
	if (missed)
		printf("by random runs: not in %lu\n", random.runs);
	else
		printf("by random runs: after %lu\n", random.runs);
	return missed || fails_again(scenario, &random);
}

static int caught(int count, char **names)
{
	for (unsigned i = 0; i < scenario_count; i++) {
		bool wanted = count == 0;

		for (int k = 0; k < count; k++)
			wanted |= strcmp(names[k], scenarios[i].name) == 0;
		if (wanted && is_caught(&scenarios[i]))
			return 0;
	}
	printf("NOT caught\n");
	return 1;
}

static int run_one(int argc, char **argv)
{
	const struct scenario *scenario = scenario_find(argv[0]);
	struct ex_search search = {
		.interruptions = argc > 1 ? atoi(argv[1]) : -1,
		.old_reads = argc > 2 ? atoi(argv[2]) : -1,
		.max_seconds = argc > 3 ? atof(argv[3]) : 60,
	};

	if (!scenario) {
		fprintf(stderr, "explore: no scenario '%s'\n", argv[0]);
		return 2;
	}
	return !explore_one(scenario, &search);
}

static int replay(const char *name, const char *choices)
{
	const struct scenario *scenario = scenario_find(name);

	if (!scenario) {
		fprintf(stderr, "explore: no scenario '%s'\n", name);
		return 2;
	}
	if (scenario_replay(scenario, choices, true))
		return 0;
	printf("  => %s\n", ex.failure);
	return 1;
}

static int list(void)
{
	for (unsigned i = 0; i < scenario_count; i++)
		printf("%-18s %s\n", scenarios[i].name, scenarios[i].about);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	for (int i = 0; i < EX_MAX_CRASHES; i++)
		ex.crashes[i].thread = -1;
	if (strcmp(verb, "all") == 0)
		return explore_all(argc > 2 ? atof(argv[2]) : 0);
	if (strcmp(verb, "deep") == 0 && argc > 2)
		return explore_deep(atof(argv[2]), argc > 3 ? strtoull(argv[3], NULL, 0) : 1);
	if (strcmp(verb, "run") == 0 && argc > 2)
		return run_one(argc - 2, argv + 2);
	if (strcmp(verb, "orders") == 0)
		return explore_orders(argc > 2 ? atof(argv[2]) : 60);
	if (strcmp(verb, "caught") == 0)
		return caught(argc - 2, argv + 2);
	if (strcmp(verb, "weaken") == 0 && argc > 5) {
		if (!ex_weaken_by_name(argv[2], argv[3], argv[4])) {
			fprintf(stderr, "explore: no such operation or order\n");
			return 2;
		}
		return run_one(argc - 5, argv + 5);
	}
	if (strcmp(verb, "replay") == 0 && argc > 3)
		return replay(argv[2], argv[3]);
	if (strcmp(verb, "litmus") == 0)
		return explore_litmus();
	if (strcmp(verb, "list") == 0)
		return list();
	fprintf(stderr,
		"usage: explore all [SECONDS] | deep SECONDS [SEED] | orders [SECONDS] | litmus | "
		"list |\n"
		"       weaken LABEL KIND ORDER SCENARIO [INTERRUPTIONS [OLD_READS [SECONDS]]] |\n"
		"       run SCENARIO [INTERRUPTIONS [OLD_READS [SECONDS]]] | caught [SCENARIO...] "
		"|\n"
		"       replay SCENARIO CHOICES\n");
	return 2;
}
