/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From SIGKILL to a region without a trace of the dead, as the broker's own count (DIAGNOSE) sees
 * it.
 *
 * Deaths overlap, so a kill counts as recovered at the first answer in which everything is in order
 * for everybody: an upper bound. The first answer after it was reaped may have been given before
 * the broker looked at the pidfd; the second can't be, because both are descriptors of one event
 * loop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/stress/stress_region.h"
#include "tests/support/stress/stress_storm.h"

#define RECOVERY_LIMIT INT64_C(20000000000) /* ns; bounds a hang, measures nothing */

int storm_recovery_begin(struct director *d, uint32_t role, int64_t killed_ns)
{
	struct storm_recovery *all = &d->recovery;
	int64_t now = km_clock_ns();

	if (all->count == STORM_KILLS_OPEN)
		return storm_fail(
			d, "too many dead that the broker has not dealt with", all->count);
	all->open[all->count++] = (struct storm_kill){
		.killed_ns = killed_ns,
		.reaped_ns = now,
		.unclean_ns = now,
		.answers = all->answers,
		.role = role,
		.last = "",
	};
	return 0;
}

static int64_t unclean_for(const struct storm_kill *kill)
{
	return kill->unclean_ns - kill->reaped_ns;
}

static void note(struct storm_recovery *all, const struct storm_kill *kill, int64_t now)
{
	double took_ms = (double)(now - kill->killed_ns) / 1e6;
	uint32_t at = STORM_WORST;

	if (all->over == all->room) {
		all->room = all->room == 0 ? 4096 : 2 * all->room;
		all->took_ms = realloc(all->took_ms, all->room * sizeof(double));
		all->reap_ms = realloc(all->reap_ms, all->room * sizeof(double));
		all->rest_ms = realloc(all->rest_ms, all->room * sizeof(double));
		if (all->took_ms == NULL || all->reap_ms == NULL || all->rest_ms == NULL)
			abort();
	}
	all->took_ms[all->over] = took_ms;
	all->rest_ms[all->over] = (double)(now - kill->reaped_ns) / 1e6;
	all->reap_ms[all->over++] = (double)(kill->reaped_ns - kill->killed_ns) / 1e6;
	all->seen_unclean += kill->unclean_ns > kill->reaped_ns;
	while (at > 0 && unclean_for(kill) > unclean_for(&all->worst[at - 1]))
		at--;
	if (at == STORM_WORST)
		return;
	memmove(&all->worst[at + 1], &all->worst[at], (STORM_WORST - 1 - at) * sizeof(*kill));
	all->worst[at] = *kill;
}

static bool is_clean(const struct km_health *h)
{
	return h->endpoints_dead == 0 && h->slots_orphaned == 0 && h->slots_stale == 0 &&
	       h->rings_undrained == 0;
}

static void describe(const struct km_health *h, char *ret, size_t size)
{
	snprintf(ret, size,
		"%u dead, %u slots orphaned, %u stale, %u rings undrained, %u bits under a hazard",
		h->endpoints_dead, h->slots_orphaned, h->slots_stale, h->rings_undrained,
		h->left_by_hazard);
}

/* Takes one answer of the broker. */
static int ask(struct director *d)
{
	struct storm_recovery *all = &d->recovery;
	struct km_health h = { 0 };
	uint32_t left = 0;
	int r = stress_region_health(&d->storm.run, &h);
	int64_t now = km_clock_ns();

	if (r < 0)
		return storm_fail(d, "DIAGNOSE", r);
	if (h.quarantined)
		return storm_fail(d, "quarantined", h.quarantined);
	all->answers++;
	for (uint32_t i = 0; i < all->count; i++) {
		struct storm_kill *kill = &all->open[i];

		if (is_clean(&h) && all->answers - kill->answers >= 2) {
			note(all, kill, now);
			continue;
		}
		if (!is_clean(&h)) {
			kill->unclean_ns = now;
			describe(&h, kill->last, sizeof(kill->last));
		}
		if (now - kill->killed_ns > RECOVERY_LIMIT)
			return stress_fail(d->storm.run.board,
				"after %" PRIu64 " kills: not recovered: %s", d->kills, kill->last);
		if (left != i)
			all->open[left] = *kill;
		left++;
	}
	all->count = left;
	return 0;
}

int storm_recovery_tend(struct director *d)
{
	for (int i = 0; i < 2 && d->recovery.count > 0; i++)
		if (ask(d) < 0)
			return -1;
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_line(const char *what, double *values, size_t count)
{
	if (count == 0)
		return;
	qsort(values, count, sizeof(double), compare);
	printf("%s: p50 %.2f ms, p99 %.2f ms, worst %.2f ms, of %zu\n", what, values[count / 2],
		values[count * 99 / 100], values[count - 1], count);
}

void storm_recovery_print(struct director *d)
{
	struct storm_recovery *all = &d->recovery;

	print_line("kill -> reconciled", all->took_ms, all->over);
	print_line("  kill -> the kernel has ended it, and it is reaped", all->reap_ms, all->over);
	print_line("  reaped -> reconciled, and seen to be", all->rest_ms, all->over);
	printf("  %zu were seen not to be in order after they were reaped; the longest:\n",
		all->seen_unclean);
	for (uint32_t i = 0; i < STORM_WORST && unclean_for(&all->worst[i]) > 0; i++) {
		const struct storm_kill *kill = &all->worst[i];

		printf("    %.2f ms, a %s: %s\n", (double)unclean_for(kill) / 1e6,
			kill->role == 0                  ? "stand-by"
			: kill->role <= STORM_PUBLISHERS ? "publisher"
							 : "subscriber",
			kill->last);
	}
}
