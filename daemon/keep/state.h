/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's memory of sessions, topics, members and waits for the broker that comes after it: a
 * memfd that is the broker's alone and that the service manager keeps (store.h).
 *
 *   +--------+-----+------------+----------+-----------+---------+
 *   | header | log | sessions[] | topics[] | members[] | waits[] |   sparse: what isn't used
 *   +--------+-----+------------+----------+-----------+---------+   costs nothing
 *
 * Changes are staged in the log and become valid together, by one store of the log's length; then
 * they are copied to their records, and the length is 0 again. When the broker is killed before
 * that store nothing has happened. When it is killed after it, the next broker copies again. So a
 * reader always gets the last complete state. Each record has a checksum: memory that was spoilt is told from memory
 * that is whole.
 *
 * A new record takes the lowest free place. Pages without a record are given back to the system, and
 * so is what a long log has taken, but for the first KM_STATE_STAYS bytes of each: they come and go
 * all the time.
 *
 * Orders
 *   T1 length of the log   acquire / release   pairs with itself: what it counts is written
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keep/state_tables.h"

#define KM_STATE_VERSION 5

struct km_state;

/* Makes an empty state; *ret_fd stays the state's. Errors: -ENOMEM, -EMFILE, ... */
int km_state_new(struct km_state **ret, int *ret_fd);

/*
 * Takes over the state that an earlier broker left. On success the descriptor is the state's.
 * `*ret_reason` says what is wrong with memory that is refused; it is good until the next call.
 * Errors: -EPROTO not a state, a state of another version, or of another version's regions or
 * clients, or a spoilt one; -ENOMEM.
 */
int km_state_open(int fd, struct km_state **ret, const char **ret_reason);

/* Closes the state; changes that are staged and not committed are forgotten. Takes a null
 * pointer. */
void km_state_free(struct km_state *state);

/* Stages a record's new content; *place is 0 for a new one and gets its place. When the table is
 * full *place stays 0 and -ENOSPC is returned. */
int km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size);

/* Stages a record's end; *place becomes 0. Nothing to do for place 0. */
void km_state_drop(struct km_state *state, enum km_state_table table, uint32_t *place);

/* Says that an id was given away. That counts at once, without a commit: it does no harm to reserve
 * too many. */
void km_state_reserve(struct km_state *state, enum km_state_table table, uint64_t id);
/* The highest id that was given away. */
uint64_t km_state_reserved(const struct km_state *state, enum km_state_table table);

/* Makes all staged changes valid at once. */
void km_state_commit(struct km_state *state);

/* Finds the next record at or behind *place (begin with 1). *place is its place; add 1 to go on.
 * False: there is none. */
bool km_state_next(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void **ret_record);
