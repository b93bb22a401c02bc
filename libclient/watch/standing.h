/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits that stay in the kernel from one sleep to the next. Each has a place in one io_uring, and stands
 * there until its word is woken. So a sleep costs what was woken since the last one, and not what there
 * is. The sleeper has each place wait for its word, sleeps, and asks which waits ended.
 *
 * A wait may have begun at an older value of the word, since a wake ends it whatever the word is. One that
 * begins compares, as any FUTEX_WAIT. So a place that is put behind an announcement and a second look
 * loses no wake: an older wait was there before the announcement, a new one compares with what was
 * announced.
 *
 * `key` says which memory the word is in: another region may be mapped where the last one was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct km_uring;

struct km_standing_wait {
	const _Atomic uint32_t *word;
	uint64_t key;
	uint32_t number; /* of cancelled waits, whose ends say nothing */
	bool waits;
};

struct km_standing {
	struct km_uring *uring;
	struct km_standing_wait *waits; /* [count] */
	size_t count;
};

/* Makes room for so many places. Errors: -ENOMEM. */
int km_standing_reserve(struct km_standing *standing, size_t count);
/* Frees the ring and the places. Takes zeros. */
void km_standing_free(struct km_standing *standing);
/* Has a place wait for a word, or for nothing (null). A wait that stands there for this word is left alone.
 * Errors: the kernel takes nothing now; try again. */
int km_standing_put(struct km_standing *standing, size_t place, const _Atomic uint32_t *word,
	uint64_t key, uint32_t expected);
/* Takes the end of a wait in. False: there is none. */
bool km_standing_next(struct km_standing *standing, size_t *ret_place);
