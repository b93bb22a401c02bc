/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of the parking (parking.h) that are needed. An entry is a word:
 *
 *   [id:44 | part:16 | kind:2 | count:2]
 *
 * The last message that has an entry counts, so each needed entry knows that message's number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An entry has so many descriptors at most. */
#define KM_PARKED_FDS 3

enum km_parked_kind { KM_PARKED_SESSION, KM_PARKED_SEGMENT, KM_PARKED_TOPIC, KM_PARKED_KINDS };

/* The owner of an entry's descriptors. */
struct km_parked {
	enum km_parked_kind kind;
	uint64_t id;       /* below 2^44 */
	uint32_t part;     /* below 2^16 */
	unsigned fd_count; /* 1 to KM_PARKED_FDS */
};

uint64_t km_parked_pack(const struct km_parked *parked);
struct km_parked km_parked_unpack(uint64_t entry);
unsigned km_parked_fds(uint64_t entry);

struct km_needed {
	uint64_t entry;
	uint64_t at; /* the number of the message that has the entry */
	bool claimed;
};

struct km_needed_set {
	void *tree;
	size_t count, fds;
};

/* The needed entry of the same kind, id and part; or null. */
struct km_needed *km_needed_find(const struct km_needed_set *set, uint64_t entry);
/* Adds the entry of message `at`. Errors: -ENOMEM. */
int km_needed_add(struct km_needed_set *set, uint64_t entry, uint64_t at, bool claimed);
/* Takes an entry out. Takes a null pointer. */
void km_needed_drop(struct km_needed_set *set, struct km_needed *needed);
/* Drops entries that nobody claimed. When there is no memory they stay. */
void km_needed_drop_unclaimed(struct km_needed_set *set);
void km_needed_clear(struct km_needed_set *set);
