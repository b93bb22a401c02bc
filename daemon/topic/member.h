/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher or subscriber of a topic as the broker knows it. */
#pragma once

#include "common/repair/reconcile.h"
#include "daemon/peer/session.h"

struct km_topic;

/* A hazard as health saw it last. The same slot in the same generation means the same step. */
struct km_watch {
	uint32_t slot;
	uint64_t generation;
	int64_t since_ns;
};

struct km_member {
	LIST_ENTRY(km_member) of_session;
	LIST_ENTRY(km_member) of_topic;
	struct km_session *session;
	struct km_topic *topic;
	struct km_kept_member kept; /* what the next broker is to know of it too */
	uint32_t kept_at;           /* the place of `kept` in the state, or 0 */
	uint32_t held_count;
	uint32_t size; /* of its record */
	/* [2 + held_count]: delivering, evicting, held; or null. */
	struct km_watch *watches;
	/* The pass that found the member dead, or gone, and settles it (recover.c). */
	uint64_t gone_in;
};

/* "publisher" or "subscriber". */
const char *km_member_role_name(enum km_role role);

/* Does DETACH mean the member by this number: its handle, or the wait that it has come of? */
bool km_member_is_named(const struct km_member *member, uint64_t handle);

/* Is an id (a ring) free? The numbers of the dead are theirs until they are settled. */
bool km_member_has_room(const struct km_topic *topic, enum km_role role);

/* The member's record in its client's memory. */
struct km_endpoint *km_member_record(const struct km_member *member);

/* Messages that a subscriber lost, pushed out of its ring unread. While it takes one the count may
 * be one too high. */
uint64_t km_member_lost(const struct km_member *member);

/* Messages that a subscriber got by its topic's history, and so not from its ring; and those that it
 * lost so. */
uint64_t km_member_history(const struct km_member *member);
uint64_t km_member_history_lost(const struct km_member *member);

/* Numbers of a shared ring's subscriber, for a ring with that frontier. Its own record says
 * what the subscriber has lost. */
struct km_ring_stats km_member_describe_shared(const struct km_member *member, uint64_t frontier);

/* Writes into the topic's header how many publishers and subscribers there are, and tells the other
 * members' clients that this has changed. */
void km_member_tell_counts(struct km_topic *topic);

/* Do the member's hazards say that its owner is in no step and holds nothing? */
bool km_member_is_quiet(const struct km_member *member);

/* Writes the member's record for the next broker. */
void km_keep_member(struct km_member *member);
/* Drops the member's record for the next broker. */
void km_keep_forget_member(struct km_member *member);
