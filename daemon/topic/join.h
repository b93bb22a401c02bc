/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a publisher or subscriber comes into a topic.
 *
 * A subscriber's ring takes messages from the moment that its live bit is set. Before that the ring
 * is drained, since a publisher with old targets may have delivered to it after the last look. Then
 * its head is read: that is the subscriber's start, from which its losses are counted. A publisher
 * that sees the bit (L1) sees the ring so (L2).
 */
#pragma once

#include "daemon/run/broker.h"
#include "daemon/topic/member.h"

/* May the session have one more endpoint? Those that it waits for count. Errors: -EDQUOT, and
 * ret_text says whose limit is reached. */
int km_join_check(struct km_session *session, char *ret_text, size_t text_size);

/*
 * Makes a member; `reliable`: that is to be a reliable subscriber. Its record is formatted, its ring
 * not live yet. When its client's segments have no room for the record, there is a new one. Errors, in
 * words in ret_text: -EDQUOT the client, its user or all have their endpoints; -ENOSPC the topic has no room; those of
 * km_memory_add().
 */
int km_join(struct km_session *session, struct km_topic *topic, enum km_role role, bool reliable,
	struct km_member **ret, char *ret_text, size_t text_size);

/*
 * Links a member in whose `kept`, session and topic are filled in. The member is new, or an earlier
 * broker had it. Takes its id or ring, its record and its share of the account, and counts it. Its
 * peers are told by km_member_tell_counts(), when its ring is live. Errors: -EPROTO its id, ring or
 * record can't be, or another member has it; nothing is changed.
 */
int km_join_insert(struct km_member *member);

/* Makes a new subscriber's ring ready and lets messages in. `history` as for km_join_start().
 * Errors: -ESTALE the ring makes no sense. */
int km_join_open(struct km_member *member, uint32_t history);

/* Makes the newcomer, whose ring isn't live yet, a reliable one: participants hear of it. `history` as for
 * km_join_open(). Errors: -ENOMEM; -ENOSPC a shared ring has no number left that says which reader it is. */
int km_join_reliably(struct km_member *member, uint32_t history);

/* Drains up to `count` messages of the ring that the next subscriber gets. True: more may be
 * left. */
bool km_join_drain(const struct km_topic *topic, uint32_t count);

/* The position at which a shared ring's subscriber begins: with messages to come, or `history`
 * messages back. Errors: -ESTALE. */
int km_join_start(const struct km_topic *topic, uint32_t history, uint64_t *ret);
