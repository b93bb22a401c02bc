/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory there is for the broker: the least of what the machine has and what each of its
 * control groups may have, of version 1 or 2, from its own up to the root. All of it is looked at
 * again while the broker runs, since limits change and others use memory too. The kernel would kill
 * the broker for what it takes beyond a group's limit, so what doesn't fit is refused before.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct km_room {
	/* Bytes that the broker may have at most; UINT64_MAX: nobody says. */
	uint64_t total;
	uint64_t left;  /* bytes that are left of it now */
	char what[128]; /* which limit has the least left */
};

/* Looks under `root`: "" but for tests. A file that can't be read is no limit. */
void km_room_look(const char *root, struct km_room *ret);

/* Is there room for so many bytes? A look is good for some ms, as long as little of what it found
 * is used. Errors: -ENOMEM, and the text says which limit is in the way. */
int km_room_check(uint64_t size, char *ret_text, size_t text_size);

/* Names the limits of the broker's process that may have been in the way, as the end of a sentence,
 * or "". The kernel answers these with an error. Returns ret. */
#define KM_ROOM_LIMITS_SIZE 96
const char *km_room_limits(char ret[KM_ROOM_LIMITS_SIZE]);
