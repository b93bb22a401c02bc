/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a session, a topic, a member and a wait for the next broker. Each of these objects has its
 * record embedded. The broker works on the record itself, writes it down whole, and takes it over
 * whole at its start. So no field that the next broker needs can be forgotten on the way.
 */
#pragma once

#include <stdbool.h>

#include "common/memory/region.h"
#include "common/protocol/wire.h"
#include "daemon/keep/state.h"

/* The result of the last request of a session that changed something: its answer may have to be
 * sent again (keep.h). */
struct km_done {
	uint64_t handle; /* of the endpoint that it made */
	uint32_t serial;
	uint32_t op; /* 0: none */
};

/* A request at which brokers ended, since they never took it from the socket. */
struct km_tried {
	uint32_t serial;
	uint32_t times;
};

enum km_session_state {
	KM_SESSION_NEW,
	KM_SESSION_READY,
	KM_SESSION_DISCONNECTED,
	KM_SESSION_DEAD
};

struct km_kept_session {
	uint64_t id;
	int32_t pid;
	uint32_t uid, gid;
	uint32_t state; /* enum km_session_state */
	uint32_t segment_count;
	uint16_t watches; /* 0 or 1: what happens (serve/happened.h) */
	uint16_t goes;    /* 0 or 1: hung up on (repair/parting.h) */
	int64_t since_ns, died_ns;
	struct km_done done;
	struct km_tried tried;
	char name[KM_PREFIX_SIZE], prefix[KM_PREFIX_SIZE];
};

/* The key by which a topic is found: written parts (name.h). */
struct km_topic_key {
	uint32_t kind;
	char prefix[KM_PREFIX_SIZE];
	char owner[KM_PREFIX_SIZE]; /* of a mailbox */
	char name[KM_NAME_SIZE];
};

/* How long a topic lives without members. */
struct km_lifetime {
	uint64_t linger_ns;
	uint32_t persistent, reserved;
};

/* Numbers of members that are settled. */
struct km_totals {
	uint64_t sent, bytes, failed, received, lost;
	/* sends that found no room with a reliable subscriber */
	uint64_t no_room;
};

/* Endpoints of one role that are gone; the topic's header tells the same numbers. */
struct km_kept_gone {
	uint32_t left, died;
};

struct km_kept_topic {
	uint64_t id; /* grows: the order of LIST */
	struct km_topic_key key;
	struct km_geometry geometry;
	uint64_t created_realtime_ns;
	struct km_lifetime lifetime;
	struct km_totals gone;
	struct km_kept_gone gone_publishers, gone_subscribers;
	uint32_t demoted; /* reliable subscribers that were made ordinary ones */
	uint32_t reserved32;
	uint32_t owner_uid;
	int32_t creator_pid;
	char creator[KM_PREFIX_SIZE]; /* the written name of the client that made it */
	uint8_t named;                /* newcomers find it */
	uint8_t unlinked;             /* its name was taken away */
	uint8_t quarantined;
	uint8_t emptied;  /* quarantined: its memory was given back (ending.h) */
	uint8_t observed; /* somebody who isn't a member looks at its memory */
	uint8_t has_schema;
	uint8_t reserved[2];
	struct km_schema schema; /* this one counts; the header's is for people */
	/* Why the topic is quarantined, or that its header was mended. */
	char reason[KM_WIRE_TEXT_SIZE];
};

struct km_kept_member {
	uint64_t handle; /* names it in DETACH */
	uint64_t session_id, topic_id;
	uint64_t start; /* subscriber: the first position that may be its */
	uint64_t lost;  /* subscriber: what it had lost when it left */
	uint64_t since_realtime_ns;
	uint32_t state;           /* enum km_endpoint_state */
	uint32_t role;            /* enum km_role */
	uint32_t id;              /* publisher */
	uint32_t ring;            /* subscriber */
	uint32_t segment, offset; /* of its record in the session's segments */
	/* Subscriber: of a shared ring, mapped as its publishers do. */
	uint32_t writable;
	/* The client hears when the topic has changed (notice.h). */
	uint32_t wants_events;
	/* The wait of which the member has come, or 0 (serve/wait.h). */
	uint64_t waited;
	uint32_t reliable; /* subscriber: 0 or 1 (topic/reliable.h) */
	uint32_t reserved;
};

/* A SUBSCRIBE that is kept until its topic exists (serve/wait.h). */
struct km_kept_wait {
	/* Names the wait in DETACH; no member has it for its handle. */
	uint64_t id;
	uint64_t session_id;
	uint32_t tried; /* brokers that have ended at it */
	uint32_t reserved;
	struct km_msg_attach request;
};

static_assert(sizeof(struct km_kept_session) <= KM_STATE_SESSION_SIZE, "a record has room");
static_assert(sizeof(struct km_kept_topic) <= KM_STATE_TOPIC_SIZE, "a record has room");
static_assert(sizeof(struct km_kept_member) <= KM_STATE_MEMBER_SIZE, "a record has room");
static_assert(sizeof(struct km_kept_wait) <= KM_STATE_WAIT_SIZE, "a record has room");

/* Can a broker have written such a record? A checksum tells of damage; these checks are for what no
 * checksum tells. */
bool km_kept_session_is_good(const struct km_kept_session *kept);
bool km_kept_topic_is_good(const struct km_kept_topic *kept);
bool km_kept_member_is_good(const struct km_kept_member *kept);
bool km_kept_wait_is_good(const struct km_kept_wait *kept);
