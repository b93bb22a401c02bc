/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of the parking that are needed, in a tree: see parking_needed.h. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "daemon/keep/parking_needed.h"

uint64_t km_parked_pack(const struct km_parked *parked)
{
	return parked->id << 20 | (uint64_t)(parked->part & 0xffff) << 4 |
	       (uint64_t)parked->kind << 2 | (parked->fd_count & 3);
}

struct km_parked km_parked_unpack(uint64_t entry)
{
	return (struct km_parked){ .id = entry >> 20,
		.part = entry >> 4 & 0xffff,
		.kind = entry >> 2 & 3,
		.fd_count = entry & 3 };
}

unsigned km_parked_fds(uint64_t entry)
{
	return entry & 3;
}

/* An entry stays the same one however many descriptors it has. */
static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct km_needed *)a)->entry >> 2;
	uint64_t y = ((const struct km_needed *)b)->entry >> 2;

	return x < y ? -1 : x > y;
}

struct km_needed *km_needed_find(const struct km_needed_set *set, uint64_t entry)
{
	struct km_needed wanted = { .entry = entry };
	struct km_needed *const *found = tfind(&wanted, &set->tree, compare);

	return found ? *found : NULL;
}

int km_needed_add(struct km_needed_set *set, uint64_t entry, uint64_t at, bool claimed)
{
	struct km_needed *needed = malloc(sizeof *needed);

	if (!needed)
		return -ENOMEM;
	*needed = (struct km_needed){ entry, at, claimed };
	if (!tsearch(needed, &set->tree, compare)) {
		free(needed);
		return -ENOMEM;
	}
	set->count++;
	set->fds += km_parked_fds(entry);
	return 0;
}

void km_needed_drop(struct km_needed_set *set, struct km_needed *needed)
{
	if (!needed)
		return;
	set->count--;
	set->fds -= km_parked_fds(needed->entry);
	tdelete(needed, &set->tree, compare);
	free(needed);
}

struct list {
	struct km_needed **found;
	size_t count;
};

static void list_unclaimed(const void *node, VISIT visit, void *userdata)
{
	struct km_needed *needed = *(struct km_needed *const *)node;
	struct list *list = userdata;

	if ((visit == postorder || visit == leaf) && !needed->claimed)
		list->found[list->count++] = needed;
}

void km_needed_drop_unclaimed(struct km_needed_set *set)
{
	struct list list = { calloc(set->count + 1, sizeof *list.found), 0 };

	if (!list.found)
		/* the entries wait in vain, as long as this broker lives */
		return;
	twalk_r(set->tree, list_unclaimed, &list);
	while (list.count > 0)
		km_needed_drop(set, list.found[--list.count]);
	free(list.found);
}

void km_needed_clear(struct km_needed_set *set)
{
	tdestroy(set->tree, free);
	*set = (struct km_needed_set){ 0 };
}
