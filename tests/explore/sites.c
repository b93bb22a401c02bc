/* SPDX-License-Identifier: Apache-2.0 */
/* The places with atomic operations that were met, and the one whose order is weakened. */
#include <stdio.h>
#include <string.h>

#include "tests/explore/memory.h"

static struct km_site *sites[512];
static unsigned site_count;
static struct {
	char label[8];
	int kind, order;
} weakening;
static uint8_t weakening_stamp = 1;

void ex_site_meet(struct km_site *site)
{
	bool known = false;

	if (site->stamp == weakening_stamp)
		return;
	for (unsigned i = 0; i < site_count; i++)
		known |= sites[i] == site;
	if (!known && site_count == sizeof sites / sizeof sites[0])
		ex_fail("explorer: sites[] is too small");
	if (!known)
		sites[site_count++] = site;
	site->used_order = site->order;
	site->used_fail_order = site->fail_order;
	site->stamp = weakening_stamp;
	if (strcmp(weakening.label, site->label) != 0)
		return;
	if (weakening.kind == site->kind)
		site->used_order = (unsigned char)weakening.order;
	if (weakening.kind == KM_EXPLORE_CAS_FAIL && site->kind == KM_EXPLORE_CAS)
		site->used_fail_order = (unsigned char)weakening.order;
}

void ex_weaken(const char *label, int kind, int order)
{
	snprintf(weakening.label, sizeof weakening.label, "%s", label);
	weakening.kind = kind;
	weakening.order = order;
	weakening_stamp = weakening_stamp == 255 ? 1 : weakening_stamp + 1;
}

bool ex_weaken_by_name(const char *label, const char *kind, const char *order)
{
	for (int k = KM_EXPLORE_LOAD; k <= KM_EXPLORE_CAS_FAIL; k++)
		for (int o = km_explore_relaxed; o <= km_explore_seq_cst; o++)
			if (strcmp(kind, ex_kind_name(k)) == 0 &&
				strcmp(order, ex_order_name(o)) == 0) {
				ex_weaken(label, k, o);
				return true;
			}
	return false;
}

/* the linker collects the sites of the whole program in one section */
extern struct km_site *const __start_km_sites[], *const __stop_km_sites[];

unsigned ex_site_print_unmet(void)
{
	unsigned all = 0, unmet = 0;

	for (struct km_site *const *site = __start_km_sites; site < __stop_km_sites; site++) {
		/* left out: the sites of litmus.c, and those of lost.h but for the bell's, since
		 * going over to a fresh region isn't modelled */
		if (strstr((*site)->file, "litmus.c") ||
			((*site)->label[0] == 'G' && strcmp((*site)->label, "G5") != 0))
			continue;
		all++;
		unmet += !(*site)->reached;
		if (!(*site)->reached)
			printf("no run comes to %s %s, %s:%d\n", (*site)->label,
				ex_kind_name((*site)->kind), (*site)->file, (*site)->line);
	}
	printf("atomic operations in the sources: %u, reached by some run: %u\n", all, all - unmet);
	return unmet;
}

unsigned ex_site_count(void)
{
	return site_count;
}

const struct km_site *ex_site(unsigned index)
{
	return sites[index];
}
