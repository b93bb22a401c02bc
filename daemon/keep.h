/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the next broker is to know, written down as it happens (state.h), and read again at its
 * start (restore.c).
 *
 * Each km_keep_ call stages an object's present picture; km_keep_commit() makes all that was staged
 * valid at once. It is called before a client is answered, before a pass changes what the members'
 * numbers are read from, and at the end of each event. So the next broker finds the world as it was
 * between two steps; what a step did to shared memory and had not yet written down is what a
 * reconcile pass mends anyway.
 *
 * A request whose answer may not have got out is met again by the next broker, since it is taken
 * from the socket only after the answer. `done` of its session says what it did; it isn't done
 * twice, its answer is sent again.
 */
#pragma once

#include "broker.h"
#include "state.h"

struct km_kept_session {
	uint64_t id;
	int32_t pid;
	uint32_t uid, gid;
	uint32_t state; /* enum km_session_state */
	uint32_t segment_count;
	uint32_t reserved;
	int64_t since_ns, died_ns;
	struct km_done done;
	char name[KM_PREFIX_SIZE], prefix[KM_PREFIX_SIZE];
	char raw_name[KM_PREFIX_SIZE], raw_prefix[KM_PREFIX_SIZE];
};

struct km_kept_topic {
	uint64_t id;
	struct km_topic_key key;
	struct km_geometry geometry;
	uint64_t created_realtime_ns;
	uint64_t linger_ns;
	struct km_totals gone;
	uint32_t owner_uid;
	uint8_t persistent, named, unlinked, has_schema, quarantined;
	uint8_t reserved[7];
	struct km_schema schema;
	char reason[KM_WIRE_TEXT_SIZE];
};

struct km_kept_member {
	uint64_t handle;
	uint64_t session_id, topic_id;
	uint64_t start, evicted;
	uint64_t since_realtime_ns;
	uint32_t state; /* enum km_party_state */
	uint32_t role;
	uint32_t id, ring;
	uint32_t segment, offset;
};

static_assert(sizeof(struct km_kept_session) <= KM_STATE_SESSION_SIZE, "a record has room");
static_assert(sizeof(struct km_kept_topic) <= KM_STATE_TOPIC_SIZE, "a record has room");
static_assert(sizeof(struct km_kept_member) <= KM_STATE_MEMBER_SIZE, "a record has room");

/* Starts an empty state, when there is a manager to keep it. Without one, and when it fails (it is
 * logged), all below does nothing. */
void km_keep_init(struct km_broker *broker);

void km_keep_session(struct km_session *session);
void km_keep_topic(struct km_topic *topic);
void km_keep_member(struct km_member *member);

/* It is no more: its record, and the descriptors that the manager has of it. */
void km_keep_forget_session(struct km_session *session);
void km_keep_forget_topic(struct km_topic *topic);
void km_keep_forget_member(struct km_member *member);

/* Says what the request at hand has done; `handle` of an endpoint, or 0. */
void km_keep_done(struct km_session *session, uint32_t op, uint64_t handle, bool with_segment);

void km_keep_commit(struct km_broker *broker);
