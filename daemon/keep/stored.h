/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that came with the broker's start, found by kind, id and part (store.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct km_stored {
	char kind;
	uint64_t id;
	uint32_t part; /* of KM_STORE_SEGMENT */
	int fd;        /* -1: taken */
};

struct km_stored_list {
	struct km_stored *items;
	size_t count, room;
};

/* Adds a descriptor, which is the list's from then on; on an error it is closed. Errors:
 * -ENOMEM. */
int km_stored_add(struct km_stored_list *list, struct km_stored stored);
/* Makes the list ready for the calls that follow. */
void km_stored_sort(struct km_stored_list *list);
/* The descriptor of that kind, id and part; or null. */
struct km_stored *km_stored_find(
	const struct km_stored_list *list, char kind, uint64_t id, uint32_t part);
/* Is another descriptor of the same kind, id and part there as well? */
bool km_stored_has_twin(const struct km_stored_list *list, size_t index);
/* Closes the descriptors that are left in the list. */
void km_stored_clear(struct km_stored_list *list);
