/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher or subscriber of a topic as the broker knows it. */
#pragma once

#include "broker.h"

/* Is there an id (a ring) that is nobody's? Those of the dead are theirs until they are settled. */
bool km_member_has_place(const struct km_topic *topic, enum km_role role);

/*
 * Makes one: there must be a place. Its record is formatted, its ring not live yet. When its
 * client's segments had no room for the record, *ret_segment_fd is a new one's descriptor for the
 * client, the caller's; else -1. Errors, in words in ret_text: those of km_session_add_memory().
 */
int km_member_new(struct km_session *session, struct km_topic *topic, enum km_role role,
	struct km_member **ret, int *ret_segment_fd, char *ret_text, size_t text_size);

/* Its record in its client's memory. */
struct km_endpoint *km_member_record(const struct km_member *member);

/* Messages that a subscriber lost, pushed out of its ring unread; one too many for the moment in
 * which it takes one. */
uint64_t km_member_evicted(const struct km_member *member);

/* Numbers of a shared ring's subscriber; what it has lost it says itself. */
struct km_ring_stats km_member_describe_shared(const struct km_member *member);

/* No new messages for its ring. */
void km_member_close_ring(struct km_member *member);

/* Its client gave it back. */
void km_member_detach(struct km_member *member);

/* Its process is dead, or never knew of it. */
void km_member_die(struct km_member *member);

/* Do its hazards say that its owner is in no step and holds nothing? */
bool km_member_is_quiet(const struct km_member *member);

/* Nothing in the region speaks of it any more: its id or ring and its record may be used again.
 * Frees it. */
void km_member_settle(struct km_member *member);

/* Forgets it and touches no shared memory: for the broker's end. */
void km_member_free(struct km_member *member);
