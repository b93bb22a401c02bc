/* SPDX-License-Identifier: Apache-2.0 */
/* A connected process: who it is, what it says, what it is answered. */
#pragma once

#include "broker.h"

/* Answers the request at hand. A peer that doesn't take its answers is disconnected when its
 * request is done with. Returns 0, or a negative errno when the answer didn't get out. */
int km_session_answer(
	struct km_session *session, void *message, size_t size, const int *fds, size_t fd_count);

/* Answers with an ERROR, and logs it. `error` is a negative errno; the text names the thing.
 * Returns as km_session_answer(). */
int km_session_refuse(struct km_session *session, const struct km_topic *topic, int error,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Says that a topic exists that was waited for. Whoever has no room for that is disconnected at its
 * next request. */
void km_session_tell(struct km_session *session);

/* Listens to its connection, if it has one, and to its process. Errors: -ENOMEM. */
int km_session_watch(struct km_session *session);

/* The connection is over; whether its process is, death.c finds out. */
void km_session_disconnect(struct km_session *session);

/* Closes what belongs to the connection and the process, before the session is freed or when it is
 * dead. */
void km_session_close(struct km_session *session);

/* Frees a session without members. Only km_broker_sweep() and the broker's end do. */
void km_session_free(struct km_session *session);

/* memory.c: adds a client segment and gives the descriptor for the client, which is the caller's.
 * Errors, in words in ret_text: -EDQUOT, -ENOMEM, -EMFILE, -ENFILE. */
int km_session_add_memory(
	struct km_session *session, int *ret_fd, char *ret_text, size_t text_size);
/* The same for one that an earlier broker made; the descriptor is taken on success. Errors: -EPROTO
 * not such a segment; -ENOMEM. */
int km_session_restore_memory(struct km_session *session, int fd);
/* Takes the very place that a record had. Errors: -EPROTO it can't have had it. */
int km_session_restore_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size);
/* A descriptor of a segment for the client, which is the caller's: its mapping will hold the lock
 * that says that the client lives. */
int km_session_hand_memory(const struct km_session *session, uint32_t segment, int *ret_fd);
/* Finds room for a record. -ENOSPC: in no segment. */
int km_session_take_record(
	struct km_session *session, uint32_t size, uint32_t *ret_segment, uint32_t *ret_offset);
void km_session_give_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size);
void km_session_free_memory(struct km_session *session);
/* Is every mapping gone that the client had of its segments? False without segments. */
bool km_session_memory_unmapped(const struct km_session *session);
