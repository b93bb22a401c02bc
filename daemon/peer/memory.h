/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a client shares with the broker: segments of a fixed size with the records of its
 * endpoints. The broker's own memory says which records are used.
 *
 * The client's mapping is the proof that it may still be at work: the broker locks (shared) a
 * second open file description and hands that out; the client maps through it and closes it, so
 * that the mapping alone keeps the lock. As long as it does, the broker's own description can't be
 * locked exclusively. A description that didn't get there (the client had no descriptor free) is
 * replaced with the next answer that needs it.
 */
#pragma once

#include "daemon/peer/session.h"

/* Adds a client segment. Errors, in words in ret_text: -EDQUOT, -ENOMEM, -EMFILE,
 * -ENFILE. */
int km_memory_add(struct km_session *session, char *ret_text, size_t text_size);
/* Adds a segment that an earlier broker made; the descriptor is taken on success. Errors: -EPROTO
 * it can't be such a segment; -ENOMEM. */
int km_memory_restore(struct km_session *session, int fd);
/* A descriptor of a segment for the client, which is the caller's: its mapping will hold the lock
 * that says that the client lives. */
int km_memory_hand(const struct km_session *session, uint32_t segment, int *ret_fd);
/* Finds room for a record. -ENOSPC: in no segment. */
int km_memory_find_record(const struct km_session *session, uint32_t size, uint32_t *ret_segment,
	uint32_t *ret_offset);
/* Takes the room at this place. Errors: -EPROTO there is none, or another record lies there. */
int km_memory_claim_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size);
void km_memory_give_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size);
/* Frees the session's memory, and gives its pages back, whoever still has them mapped: of no more
 * segments than there is `work`, which is counted down. True: that was all. */
bool km_memory_give_back(struct km_session *session, unsigned *work);
/* Frees the session's memory at the broker's end. */
void km_memory_free(struct km_session *session);
/* Is every mapping gone that the client had of its segments? False without segments. */
bool km_memory_is_unmapped(const struct km_session *session);
