/* SPDX-License-Identifier: Apache-2.0 */
/* See orders.h. Labels are those of the tables of orders in ring.h, slot.h, endpoint.h, waiter.h,
 * region.h and reconcile.c. */
#include "tests/explore/orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/explore/scenarios.h"

#define MAX_VARIANTS      128
#define MAX_NAMED_SECONDS 20 /* for a scenario that is known to catch it */

struct variant {
	const char *label;
	int kind, from, to;
};

/* The orders that were shown to be needed, each with the scenario that shows it fastest. */
static const struct {
	const char *label, *kind, *to, *scenario;
} needed[] = {
	{ "R2", "load", "relaxed", "evict_take" },
	{ "R1", "load", "relaxed", "evict_take" },
	{ "H1", "store", "relaxed", "evict_take" },
	{ "R6", "cas", "relaxed", "evict_take" },
	{ "S4", "and", "relaxed", "evict_take" },
	{ "S1", "cas", "relaxed", "evict_take" },
	{ "S2", "store", "relaxed", "health" },
	{ "S3", "store", "relaxed", "evict_take" },
	{ "R5", "load", "relaxed", "full_ring" },
	{ "R3", "cas", "acq_rel", "sleep_wake" },
	{ "R5", "store", "relaxed", "full_ring" },
	{ "W1", "load", "acquire", "sleep_wake" },
	{ "R4", "cas", "relaxed", "evict_take" },
	{ "C1", "load", "relaxed", "health" },
	{ "C2", "load", "relaxed", "evict_take" },
	{ "C4", "load", "relaxed", "evict_take" },
	{ "C6", "load", "relaxed", "old_looks" },
	{ "C7", "load", "relaxed", "health" },
	{ "C9", "and", "relaxed", "evict_take" },
	{ "C3", "load", "relaxed", "evict_take" },
	{ "W2", "cas", "acq_rel", "sleep_wake" },
	{ "W3", "load", "acquire", "sleep_wake" },
	{ "C5", "load", "relaxed", "old_looks" },
	{ "U1", "load", "relaxed", "sh_inline" },
	{ "U2", "fence", "relaxed", "sh_inline" },
	{ "U3", "fence", "relaxed", "sh_inline" },
	{ "U4", "cas", "acq_rel", "sh_sleep" },
	{ "U5", "load", "relaxed", "sh_slots" },
	{ "U5", "store", "relaxed", "sh_slots" },
	{ "U9", "store", "relaxed", "sh_inline_2" },
	{ "U10", "fence", "acq_rel", "sh_sole_sleep" },
	{ "B1", "load", "acquire", "sh_sleep" },
	{ "B2", "cas", "acq_rel", "sh_sleep" },
	{ "B3", "load", "acquire", "sh_sleep" },
	{ "K1", "load", "relaxed", "kept_stale" },
	{ "K1", "store", "relaxed", "kept_stale" },
	{ "K3", "load", "acquire", "kept_sleep" },
	{ "K4", "store", "release", "kept_sleep" },
	{ "K5", "load", "acquire", "kept_sleep" },
	{ "K6", "load", "relaxed", "kept_sleep" },
	{ "K7", "load", "relaxed", "kept_round" },
	{ "K7", "store", "relaxed", "kept_round" },
	{ "K8", "load", "relaxed", "kept_alike" },
	{ "K9", "cas", "release", "kept_again" },
	{ "K9", "cas", "acquire", "kept_held" },
	{ "K10", "load", "relaxed", "kept_stale" },
	{ "K11", "cas", "relaxed", "kept_sleep" },
	{ "L1", "load", "relaxed", "opened" },
	{ "L2", "store", "relaxed", "opened" },
	{ "M1", "load", "relaxed", "call_end" },
	{ "M1", "add", "relaxed", "call_end" },
	{ "E3", "load", "acquire", "room_full" },
	{ "E4", "fence", "acq_rel", "room_full" },
	{ "V1", "load", "acquire", "sh_room_join_two" },
	{ "V2", "load", "acquire", "sh_room_full" },
	{ "V3", "store", "release", "sh_room_full" },
	{ "V4", "fence", "acq_rel", "sh_room_join" },
	{ "L3", "load", "acquire", "given_up" },
	{ "L3", "store", "release", "given_up" },
};

static struct variant variants[MAX_VARIANTS];
static unsigned variant_count;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void add(const char *label, int kind, int from, int to)
{
	for (unsigned i = 0; i < variant_count; i++)
		if (strcmp(variants[i].label, label) == 0 && variants[i].kind == kind &&
			variants[i].to == to)
			return;
	if (variant_count == MAX_VARIANTS) {
		fprintf(stderr, "explore: variants[] is too small\n");
		abort();
	}
	variants[variant_count++] = (struct variant){ label, kind, from, to };
}

/* The next weaker order, for an operation. */
static void add_weaker(const char *label, int kind, int order)
{
	bool loads = kind == KM_EXPLORE_LOAD || kind == KM_EXPLORE_CAS_FAIL;

	switch (order) {
	case km_explore_seq_cst:
		add(label, kind, order,
			loads                      ? km_explore_acquire
			: kind == KM_EXPLORE_STORE ? km_explore_release
						   : km_explore_acq_rel);
		break;
	case km_explore_acq_rel:
		add(label, kind, order, km_explore_acquire);
		add(label, kind, order, km_explore_release);
		break;
	case km_explore_acquire:
	case km_explore_release:
		add(label, kind, order, km_explore_relaxed);
		break;
	default:
		break;
	}
}

/* Explores every scenario a little, so that all sites are met. */
static void find_variants(void)
{
	for (unsigned i = 0; i < scenario_count; i++) {
		struct ex_search search = {
			.interruptions = 1, .max_runs = 3000, .max_seconds = 1
		};

		scenario_explore(&scenarios[i], true, &search);
	}
	for (unsigned i = 0; i < ex_site_count(); i++) {
		const struct km_site *site = ex_site(i);

		add_weaker(site->label, site->kind, site->order);
		if (site->kind == KM_EXPLORE_CAS)
			add_weaker(site->label, KM_EXPLORE_CAS_FAIL, site->fail_order);
	}
}

static const char *needed_scenario(const struct variant *variant)
{
	for (unsigned i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (strcmp(needed[i].label, variant->label) == 0 &&
			strcmp(needed[i].kind, ex_kind_name(variant->kind)) == 0 &&
			strcmp(needed[i].to, ex_order_name(variant->to)) == 0)
			return needed[i].scenario;
	return NULL;
}

static bool is_caught(const char *first, double seconds, const char **ret_by, struct ex_search *ret)
{
	double end = now() + (first ? MAX_NAMED_SECONDS : seconds);

	for (unsigned i = 0; i < scenario_count; i++) {
		const struct scenario *scenario = &scenarios[i];

		if (first && strcmp(first, scenario->name) != 0)
			continue;
		double share = (end - now()) / (double)(first ? 1 : scenario_count - i);
		*ret = (struct ex_search){ .interruptions = -1,
			.old_reads = -1,
			.max_seconds = first ? share : share / 8 };
		*ret_by = scenario->name;
		if (!scenario_explore(scenario, true, ret))
			return true;
		*ret = (struct ex_search){ .max_seconds = share / 4 };
		if (!first && !scenario_wander(scenario, ret, 1))
			return true;
	}
	return false;
}

int explore_orders(double seconds)
{
	unsigned caught = 0, missed = 0, open = 0, named = 0;
	double end = now() + seconds;

	find_variants();
	for (unsigned i = 0; i < variant_count; i++) {
		const struct variant *variant = &variants[i];
		const char *first = needed_scenario(variant), *by = "";
		double left = end - now();
		struct ex_search search;

		if (left < 1)
			left = 1;
		ex_weaken(variant->label, variant->kind, variant->to);
		bool is = is_caught(first, left / (variant_count - i), &by, &search);
		printf("%-3s %-8s %-8s -> %-8s  ", variant->label, ex_kind_name(variant->kind),
			ex_order_name(variant->from), ex_order_name(variant->to));
		if (is)
			printf("needed: %s: %s\n        explore replay %s '%s'\n", by,
				search.failure, by, search.replay);
		else
			printf("%s\n", first ? "NOT CAUGHT, but was" : "not shown to be needed");
		fflush(stdout);
		caught += is;
		open += !is;
		missed += !is && first;
		named += first != NULL;
	}
	ex_weaken("", 0, 0);
	printf("orders: %u weakenings, %u caught, %u not shown to be needed, %u missed\n",
		variant_count, caught, open, missed);
	if (named != sizeof needed / sizeof needed[0]) {
		printf("orders.c lists a label, operation or order that isn't in the sources any "
		       "more\n");
		return 1;
	}
	return missed > 0;
}
