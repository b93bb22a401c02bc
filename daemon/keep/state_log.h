/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the state (state.h): changes that become valid together. */
#pragma once

#include "daemon/keep/state_memory.h"

/* Writes a record's new content into the log, or (null) the record's end. A full log is committed
 * before. */
void km_state_log(
	struct km_state *state, unsigned table, uint32_t place, const void *content, uint32_t size);

/* Does the log of another broker make sense? */
bool km_state_log_is_good(const struct km_state *state, uint64_t size);

/* Copies what the log says to its places, without a commit. It has to be good. */
void km_state_log_apply(struct km_state *state, uint64_t size);

/* Makes the content of the log valid at once, and copies it to its places. */
void km_state_log_commit(struct km_state *state);

/* Gives back the pages of the log, and those on which it had records end. */
void km_state_log_tidy(struct km_state *state, uint64_t size);
