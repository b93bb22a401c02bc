/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that came with the start: see stored.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "daemon/keep/stored.h"

static int compare(const void *a, const void *b)
{
	const struct km_stored *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

int km_stored_add(struct km_stored_list *list, struct km_stored stored)
{
	if (list->count == list->room) {
		size_t room = 2 * list->room + 64;
		struct km_stored *grown = reallocarray(list->items, room, sizeof *grown);

		if (!grown) {
			km_close(stored.fd);
			return -ENOMEM;
		}
		list->items = grown;
		list->room = room;
	}
	list->items[list->count++] = stored;
	return 0;
}

void km_stored_sort(struct km_stored_list *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof *list->items, compare);
}

struct km_stored *km_stored_find(
	const struct km_stored_list *list, char kind, uint64_t id, uint32_t part)
{
	struct km_stored wanted = { .kind = kind, .id = id, .part = part };

	if (list->count == 0)
		return NULL;
	return bsearch(&wanted, list->items, list->count, sizeof wanted, compare);
}

bool km_stored_has_twin(const struct km_stored_list *list, size_t index)
{
	const struct km_stored *stored = &list->items[index];

	return (index > 0 && compare(stored, stored - 1) == 0) ||
	       (index + 1 < list->count && compare(stored, stored + 1) == 0);
}

void km_stored_clear(struct km_stored_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		km_close(list->items[i].fd);
	free(list->items);
	*list = (struct km_stored_list){ 0 };
}
