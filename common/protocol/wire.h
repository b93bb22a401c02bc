/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between client and broker. The socket is SOCK_SEQPACKET: one datagram is one
 * message, and a message is one fixed-width struct in host byte order. The client asks. The broker
 * answers each request but DETACH and STALLED once, in order, with the request's serial.
 *
 *   client                             broker        fds with the answer
 *   HELLO     version, name, prefix -> HELLO_OK      1: client segment
 *   ADVERTISE topic, geometry       -> ATTACHED      control, payload (rw); + bell + client segment
 *   SUBSCRIBE topic                 -> ATTACHED      control, payload (ro); + bell + client segment
 *                                   -> WAITS         0     and ATTACHED or ERROR once it exists
 *   DETACH    endpoint, or all      -> nothing
 *   STALLED   endpoint              -> nothing
 *   INFO      topic                 -> INFO_OK       0
 *   STATS     topic                 -> STATS_OK      0
 *   CLIENTS   topic, cursor         -> CLIENTS_OK    0
 *   SCHEMA    topic                 -> SCHEMA_OK     0
 *   CLAIM     topic, schema         -> SCHEMA_OK     0
 *   UNLINK    topic                 -> OK            0
 *   RIGHTS    topic, user           -> RIGHTS_OK     0
 *   CALLERS   service, cursor       -> CALLERS_OK    0
 *   LIST      cursor                -> LIST_OK       0
 *   STATUS                          -> STATUS_OK     0
 *   SESSIONS  cursor                -> SESSIONS_OK   0
 *   NUMBERS   cursor                -> NUMBERS_OK    0
 *   WATCH                           -> OK            0     and HAPPENED from then on
 *   LOG_LEVEL level                 -> OK            0
 *   DIAGNOSE  topic, cursor         -> DIAGNOSE_OK   0
 *   REPAIR    topic, what           -> REPAIR_OK     0
 *   any                             -> ERROR errno   0
 *
 * A bell comes where the topic has a shared ring. Its subscribers get control read only, unless
 * they ask for it WRITABLE and may publish. A client segment comes where the client says that it
 * lacks the segment with its record. That segment is new, or the answer that brought it came
 * without its descriptors.
 *
 * All messages stand in this one file, so that a reader sees both sides of the conversation.
 *
 * A SUBSCRIBE that is to WAIT for its topic is kept where there is none, and answered WAITS. The second
 * answer has the same serial. It is sent before the client that makes the topic is answered. DETACH of
 * the endpoint that WAITS names ends the wait, or the endpoint that has come of it meanwhile.
 *
 * EVENT and HAPPENED are what the broker says without being asked; their serial is 0.
 *
 * All names are written parts (name.h).
 *
 * Requests never carry fds. HELLO comes first and once. A message that is truncated, oversized, of
 * the wrong size, unknown, out of state, or carries fds gets an ERROR (-EPROTO), and then the
 * connection is closed. A bad value in a good message gets an ERROR and nothing else happens.
 *
 * Two things stay as they are in all versions, so that a client and a broker of different versions
 * can say so: the first 16 bytes of HELLO, and ERROR. A HELLO of other versions is refused with
 * -EPROTO and a text that names both sides' versions, whatever its size.
 *
 * The file is long because it has all messages, so that the protocol is read in one place.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/protocol/name.h"
#include "common/protocol/schema.h"

#define KM_WIRE_VERSION       6
#define KM_WIRE_TEXT_SIZE     256
#define KM_WIRE_MAX_FDS       4
#define KM_WIRE_LIST_PAGE     24
#define KM_WIRE_ANOMALY_PAGE  32
#define KM_WIRE_CLIENTS_PAGE  32
#define KM_WIRE_RINGS_PAGE    256
#define KM_WIRE_CALLERS_PAGE  16
#define KM_WIRE_SESSION_PAGE  64
#define KM_WIRE_NUMBERS_PAGE  128
#define KM_WIRE_CONFIG_PAGE   16
#define KM_WIRE_HAPPENED_PAGE 16
#define KM_WIRE_MAX_GROUPS    256
#define KM_WIRE_ORIGIN_SIZE   144 /* of FILE:LINE */

/*
 * All kinds of messages: number, NAME, member of union km_msg, struct. Their sizes and names follow from
 * these two lists. A request's struct has a check in wire.c, TYPE_is_good(), and one function of the
 * broker's serves it, km_serve_MEMBER() (daemon/serve/serve.h).
 */
#define KM_WIRE_REQUESTS(X)                                                                        \
	X(1, HELLO, hello, km_msg_hello)                                                           \
	X(2, ADVERTISE, advertise, km_msg_attach)                                                  \
	X(3, SUBSCRIBE, subscribe, km_msg_attach)                                                  \
	X(4, DETACH, detach, km_msg_detach)                                                        \
	X(5, LIST, list, km_msg_list)                                                              \
	X(6, DIAGNOSE, diagnose, km_msg_topic)                                                     \
	X(7, REPAIR, repair, km_msg_repair)                                                        \
	X(8, INFO, info, km_msg_topic)                                                             \
	X(9, STATS, stats, km_msg_topic)                                                           \
	X(10, CLIENTS, clients, km_msg_topic)                                                      \
	X(11, SCHEMA, schema, km_msg_topic)                                                        \
	X(12, CLAIM, claim, km_msg_claim)                                                          \
	X(13, UNLINK, unlink, km_msg_topic)                                                        \
	X(15, RIGHTS, rights, km_msg_rights)                                                       \
	X(16, CALLERS, callers, km_msg_topic)                                                      \
	X(17, STALLED, stalled, km_msg_detach)                                                     \
	X(30, STATUS, status, km_msg_list)                                                         \
	X(31, SESSIONS, sessions, km_msg_list)                                                     \
	X(32, NUMBERS, numbers, km_msg_list)                                                       \
	X(33, CONFIG, config, km_msg_list)                                                         \
	X(34, WATCH, watch, km_msg_list)                                                           \
	X(35, LOG_LEVEL, log_level, km_msg_list)
#define KM_WIRE_ANSWERS(X)                                                                         \
	X(64, OK, ok, km_msg_ok)                                                                   \
	X(65, ERROR, error, km_msg_error)                                                          \
	X(66, HELLO_OK, hello_ok, km_msg_hello_ok)                                                 \
	X(67, ATTACHED, attached, km_msg_attached)                                                 \
	X(68, LIST_OK, list_ok, km_msg_list_ok)                                                    \
	X(69, DIAGNOSE_OK, diagnose_ok, km_msg_diagnose_ok)                                        \
	X(70, REPAIR_OK, repair_ok, km_msg_repair_ok)                                              \
	X(71, INFO_OK, info_ok, km_msg_info_ok)                                                    \
	X(72, STATS_OK, stats_ok, km_msg_stats_ok)                                                 \
	X(73, CLIENTS_OK, clients_ok, km_msg_clients_ok)                                           \
	X(74, SCHEMA_OK, schema_ok, km_msg_schema_ok)                                              \
	X(75, EVENT, event, km_msg_event)                                                          \
	X(76, RIGHTS_OK, rights_ok, km_msg_rights_ok)                                              \
	X(77, CALLERS_OK, callers_ok, km_msg_callers_ok)                                           \
	X(78, WAITS, waits, km_msg_waits)                                                          \
	X(94, STATUS_OK, status_ok, km_msg_status_ok)                                              \
	X(95, SESSIONS_OK, sessions_ok, km_msg_sessions_ok)                                        \
	X(96, NUMBERS_OK, numbers_ok, km_msg_numbers_ok)                                           \
	X(97, CONFIG_OK, config_ok, km_msg_config_ok)                                              \
	X(98, HAPPENED, happened, km_msg_happened)

#define KM_WIRE_OP(number, NAME, member, type) KM_OP_##NAME = number,
enum km_op { KM_WIRE_REQUESTS(KM_WIRE_OP) KM_WIRE_ANSWERS(KM_WIRE_OP) };

struct km_msg_header {
	uint32_t op;
	uint32_t serial; /* the request's, in its answer */
};

struct km_msg_hello {
	struct km_msg_header header;
	uint32_t version; /* KM_WIRE_VERSION of the library */
	/* KM_LAYOUT_VERSION of the library; 0 before wire version 4. */
	uint32_t layout_version;
	char name[KM_PREFIX_SIZE];
	char prefix[KM_PREFIX_SIZE];
};

struct km_msg_hello_ok {
	struct km_msg_header header;
	uint32_t version;
	uint32_t reserved;
	uint64_t client_id;
	uint64_t segment_size; /* bytes of the client segment that comes along */
};

enum km_attach_flag {
	/* A topic that is there is good, whatever the request's config says. */
	KM_ATTACH_ANY_CONFIG = 1,
	KM_ATTACH_MUST_EXIST = 2, /* ADVERTISE that doesn't create */
	KM_ATTACH_CREATE = 4,     /* SUBSCRIBE that does */
	/* SUBSCRIBE to a shared ring by an observer, which is no member. */
	KM_ATTACH_OBSERVE = 8,
	/* SUBSCRIBE to a shared ring, mapped as by its publishers. */
	KM_ATTACH_WRITABLE = 16,
	/* The geometry's transport is a guess: a rule may say another. */
	KM_ATTACH_AUTO_TRANSPORT = 32,
	/* The client wants to hear that the topic has changed (EVENT). */
	KM_ATTACH_EVENTS = 64,
	/* SUBSCRIBE: the broker keeps the request until the topic exists. */
	KM_ATTACH_WAIT = 128,
	/* SUBSCRIBE as a reliable subscriber. */
	KM_ATTACH_RELIABLE = 256,
	/* SUBSCRIBE: none of the topic's history. */
	KM_ATTACH_NO_HISTORY = 512,
	KM_ATTACH_FLAGS = 1023,
};

/* ADVERTISE and SUBSCRIBE. The first two are the topic's name; its prefix is the client's. */
struct km_msg_attach {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];
	char owner[KM_PREFIX_SIZE]; /* of a mailbox; empty: the client */
	uint32_t kind;              /* enum km_kind */
	uint32_t flags;             /* of enum km_attach_flag */
	uint32_t has_geometry;      /* 0 or 1: the request has a config */
	/* SUBSCRIBE: messages to begin back; 0: as many as the topic's config says. */
	uint32_t history;
	struct km_geometry geometry;
	uint64_t linger_ns;
	uint32_t persistent; /* 0 or 1 */
	uint32_t has_schema; /* 0 or 1: `schema` is the topic's, or claimed for it */
	uint32_t has_wanted; /* 0 or 1: the topic's has to be `wanted` */
	/* Client segments that the client has: those from 0 on. */
	uint32_t segments;
	struct km_schema schema;
	struct km_schema wanted;
};

/* ATTACHED tells a client all that it has to know of a topic, also what the header repeats, since
 * clients can write the header. */
struct km_msg_attached {
	struct km_msg_header header;
	uint64_t control_size; /* bytes */
	uint64_t payload_size;
	uint64_t endpoint; /* names it in DETACH */
	/* Subscriber: the position of the first message that it may get. */
	uint64_t start;
	/* Client segment, counted from 0, that has the record. */
	uint32_t segment;
	uint32_t new_segment_size; /* bytes of the segment that comes, or 0 */
	uint32_t record_offset;    /* of the endpoint record in it */
	uint32_t role;
	uint32_t id;   /* publisher */
	uint32_t ring; /* subscriber */
	/* Bytes of the bell that comes along, or 0: no shared ring. */
	uint32_t bell_size;
	uint32_t observes; /* 0 or 1: there is no endpoint */
	struct km_geometry geometry;
	uint64_t linger_ns;
	uint32_t persistent; /* 0 or 1 */
	uint32_t has_schema; /* 0 or 1 */
	struct km_schema schema;
};

/* The broker has kept a SUBSCRIBE. */
struct km_msg_waits {
	struct km_msg_header header;
	/* Names the kept SUBSCRIBE in DETACH, and the endpoint that comes of it. */
	uint64_t endpoint;
};

/* DETACH and STALLED, by which a publisher says that it finds no room with a reliable subscriber
 * (daemon/topic/reliable.h), have no answer, since nobody waits for one. The broker ignores an endpoint that
 * isn't the client's. STALLED may name one of a connection that the broker has hung up on. */
/* In DETACH: each endpoint that the client has. A client says nothing after it. */
#define KM_ALL_ENDPOINTS UINT64_MAX

struct km_msg_detach {
	struct km_msg_header header;
	uint64_t endpoint;
};

/* Levels of the broker's log, as of syslog(3): from error to debug. */
#define KM_LEAST_LOG_LEVEL 3
#define KM_MOST_LOG_LEVEL  7

struct km_msg_list {
	struct km_msg_header header;
	/* 0, or from the last answer. STATUS, WATCH: 0; LOG_LEVEL: the level. */
	uint64_t cursor;
};

/* The resources of a broker that STATUS counts. */
enum km_status_resource {
	KM_STATUS_CLIENTS,
	KM_STATUS_TOPICS,
	KM_STATUS_ENDPOINTS,
	KM_STATUS_BYTES,
	KM_STATUS_RESOURCES
};

struct km_msg_status_ok {
	struct km_msg_header header;
	char version[32];
	uint64_t started_realtime_ns;
	uint64_t uptime_ns;
	uint64_t used[KM_STATUS_RESOURCES];
	uint64_t limits[KM_STATUS_RESOURCES];
	/* Events of this broker's life. */
	uint64_t refused;      /* requests, by a right or a limit */
	uint64_t gone;         /* clients that are gone */
	uint64_t repaired;     /* topics, after a death */
	uint64_t quarantined;  /* topics */
	uint64_t config_reads; /* how often it read its config, or refused to */
	uint64_t interval_ms;  /* ms between two looks at the topics' health */
	int32_t pid;
	uint32_t strangers; /* connections that have said nothing yet */
	uint32_t automatic; /* 0 or 1: it repairs by itself */
	uint32_t kept;      /* 0 or 1: a manager keeps all for the next broker */
	uint32_t log_level;
	uint32_t reserved;
	char config_error[KM_WIRE_TEXT_SIZE]; /* why the config that is there isn't used, or "" */
};

/* A client, whether it takes part in anything or not. */
struct km_session_entry {
	uint64_t id; /* a cursor: what comes after this one is older */
	uint64_t age_ns;
	char name[KM_PREFIX_SIZE];
	char prefix[KM_PREFIX_SIZE];
	int32_t pid;
	uint32_t uid;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t segments;
	uint32_t waits;     /* topics that it waits for */
	uint32_t connected; /* 0 or 1 */
	uint32_t alive;     /* 0 or 1 */
};

struct km_msg_sessions_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_session_entry sessions[KM_WIRE_SESSION_PAGE];
};

/* A topic's counters as far as they are cheap. */
struct km_topic_numbers {
	uint64_t id;
	uint64_t sent;
	uint64_t bytes; /* of the payloads that were sent */
	uint64_t received;
	uint64_t lost; /* shared ring: as far as it was noticed */
	uint64_t failed;
	uint64_t demoted; /* as in STATS_OK */
	uint64_t no_room; /* as in STATS_OK */
	uint32_t members;
	uint32_t complete; /* 0: it has too many members; STATS counts them */
};

struct km_msg_numbers_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint64_t monotonic_ns;
	uint32_t count;
	uint32_t reserved;
	struct km_topic_numbers topics[KM_WIRE_NUMBERS_PAGE];
};

/* A value of the configuration as it is in force. */
struct km_config_entry {
	char section[512];
	char key[48];
	char value[KM_WIRE_TEXT_SIZE];
	char origin[KM_WIRE_ORIGIN_SIZE]; /* FILE:LINE, or what it is instead */
};

struct km_msg_config_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_config_entry entries[KM_WIRE_CONFIG_PAGE];
};

struct km_list_entry {
	char topic[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE];
	char owner[KM_PREFIX_SIZE]; /* of a mailbox */
	char region[KM_REGION_NAME_SIZE];
	struct km_geometry geometry;
	uint64_t created_realtime_ns;
	uint64_t id;
	uint64_t linger_ns;
	uint64_t config_hash;
	uint64_t bytes; /* reserved */
	uint32_t kind;
	uint32_t persistent;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t has_schema;
	uint32_t unlinked;
	uint32_t quarantined;
	uint32_t owner_uid;
	char creator[KM_PREFIX_SIZE]; /* the name of the client that made it */
	int32_t creator_pid;          /* or 0: of another pid namespace */
	uint32_t reliable;            /* subscribers that publishers wait for */
};

/* Asks about one topic: several requests as it is, and within CLAIM, REPAIR and RIGHTS. */
struct km_msg_topic {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE]; /* empty: the caller's */
	char owner[KM_PREFIX_SIZE];  /* of a mailbox; empty: the caller */
	uint32_t kind;
	uint32_t reserved;
	/* CLIENTS, STATS, DIAGNOSE: 0, or from the last answer; CALLERS: the newest caller that is
	 * known, or 0; else 0 */
	uint64_t cursor;
};

struct km_msg_claim {
	struct km_msg_topic topic; /* the header is its */
	struct km_schema schema;
};

struct km_msg_info_ok {
	struct km_msg_header header;
	struct km_list_entry entry;
};

/* A subscriber's ring, or its part in the shared one. */
struct km_ring_stats {
	uint64_t handle;  /* of the subscriber; also a cursor */
	uint64_t written; /* for its present subscriber */
	uint64_t received;
	uint64_t lost;
	uint64_t waiting;
	uint32_t ring; /* UINT32_MAX: a shared one */
	int32_t pid;
	uint32_t sleeping;
	uint32_t reliable; /* 0 or 1 */
};

struct km_msg_stats_ok {
	struct km_msg_header header;
	uint64_t topic_id;
	/* The sums from `sent` to `lost` are of all endpoints that ever were. */
	uint64_t sent;
	uint64_t bytes; /* of the payloads that were sent */
	uint64_t failed;
	uint64_t received;
	uint64_t lost;
	uint64_t free_slots;
	uint64_t demoted; /* reliable subscribers that were made ordinary ones */
	/* sends that found no room with a reliable one, of all publishers that ever were */
	uint64_t no_room;
	uint64_t realtime_ns;
	uint64_t monotonic_ns;
	uint32_t pool_size;
	uint32_t live_rings;
	uint32_t max_subscribers;
	uint32_t count;
	/* The cursor for more rings, or 0: that was all. The other numbers come with cursor 0. */
	uint64_t next;
	struct km_ring_stats rings[KM_WIRE_RINGS_PAGE];
};

/* A client that has endpoints at a topic. */
struct km_topic_client {
	char name[KM_PREFIX_SIZE];
	int32_t pid;
	uint32_t uid;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t alive;
	uint32_t reliable; /* of its subscribers */
	uint64_t since_realtime_ns;
	uint64_t client_id;
	uint64_t handle;       /* a cursor: what comes after this one */
	uint64_t rings;        /* a bit for each that is its; 0 with a shared ring */
	uint32_t publisher_id; /* of the newest of its publishers, or 0 */
	/* Slots that its publishers have claimed, and samples that its subscribers hold, just now. */
	uint32_t loans;
	uint32_t borrows;
	uint32_t reserved;
};

struct km_msg_clients_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_topic_client clients[KM_WIRE_CLIENTS_PAGE];
};

/* A caller of a service, as the broker knows that program. */
struct km_caller {
	/* At the service; the owner of its requests and replies. */
	uint64_t endpoint;
	uint64_t client_id;
	char name[KM_PREFIX_SIZE];
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t reserved;
};

/* For servers: which server is active. The active one also hears of callers: of the oldest of those
 * that came later than the cursor. */
struct km_msg_callers_ok {
	struct km_msg_header header;
	uint64_t active; /* the server's endpoint, or 0 */
	uint32_t count;
	uint32_t more; /* 0 or 1 */
	struct km_caller callers[KM_WIRE_CALLERS_PAGE];
};

struct km_msg_schema_ok {
	struct km_msg_header header;
	uint32_t has_schema; /* 0 or 1 */
	uint32_t won;        /* CLAIM: what stands is what was claimed */
	struct km_schema schema;
};

/* The rights to a topic. It need not be there. */
enum km_right {
	KM_RIGHT_CREATE,
	KM_RIGHT_PUBLISH,
	KM_RIGHT_SUBSCRIBE,
	KM_RIGHT_ADMINISTER,
	/* The next two are of services alone, for which the first three don't count. */
	KM_RIGHT_SERVE,
	KM_RIGHT_CALL,
	/* To subscribe so that publishers wait (common/shared/room.h); of topics alone. */
	KM_RIGHT_RELIABLE,
	KM_RIGHTS
};

/* Why a user may do all, whatever the rules say. */
enum km_privilege { KM_PRIVILEGE_NONE, KM_PRIVILEGE_ROOT, KM_PRIVILEGE_SELF, KM_PRIVILEGE_ADMIN };

struct km_msg_rights {
	struct km_msg_topic topic; /* the header is its */
	uint32_t of_other;         /* 0: of the client, the rest is 0; 1: of this user */
	uint32_t uid;
	uint32_t gid;
	uint32_t group_count;
	uint32_t groups[KM_WIRE_MAX_GROUPS];
};

struct km_said_right {
	uint32_t allowed;   /* 0 or 1 */
	uint32_t privilege; /* enum km_privilege */
	char origin[KM_WIRE_ORIGIN_SIZE];
	/* The value of the deciding line; "" where the client may not ask about others. */
	char value[KM_WIRE_TEXT_SIZE];
};

struct km_msg_rights_ok {
	struct km_msg_header header;
	uint32_t exists; /* 0 or 1 */
	uint32_t owner_uid;
	uint32_t uid; /* the user whose rights these are */
	uint32_t reserved;
	struct km_said_right rights[KM_RIGHTS];
};

enum km_news {
	KM_NEWS_TOPICS_CHANGED = 2, /* the topics' headers say what (serve/notice.h) */
};

struct km_msg_event {
	struct km_msg_header header; /* serial 0 */
	uint32_t what;               /* enum km_news */
	uint32_t reserved;
};

/* Something that happened, as an operator hears of it. */
struct km_happening {
	uint64_t realtime_ns;
	uint32_t level; /* of syslog(3) */
	/* The client's process. 0: it is of another pid namespace; -1: there is no client. */
	int32_t pid;
	/* The client's, else that of the topic's owner, else UINT32_MAX. */
	uint32_t uid;
	uint32_t reserved;
	char kind[32];                  /* as "topic-made" */
	char client[KM_PREFIX_SIZE];    /* its name, or "" */
	char topic[KM_NAME_WHOLE_SIZE]; /* the whole name, or "" */
	char text[KM_WIRE_TEXT_SIZE];
};

/* To those that WATCH (daemon/serve/happened.h). */
struct km_msg_happened {
	struct km_msg_header header; /* serial 0 */
	uint64_t missed;             /* that came before these and aren't told */
	uint32_t count;              /* at least 1 */
	uint32_t reserved;
	struct km_happening happenings[KM_WIRE_HAPPENED_PAGE];
};

struct km_msg_list_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_list_entry entries[KM_WIRE_LIST_PAGE];
};

/* The counts of a diagnosis (DIAGNOSE) or a repair (REPAIR). Slots by state add up to the pool. */
struct km_health {
	uint32_t slots_free;
	uint32_t slots_loaned;    /* by a living publisher */
	uint32_t slots_in_flight; /* every bit explained */
	uint32_t slots_orphaned;  /* the owner's id is dead */
	uint32_t slots_stale;     /* at least one bit that nobody accounts for */
	uint32_t stale_bits;
	uint32_t rings_live;
	uint32_t rings_undrained; /* not live and not empty */
	uint32_t rings_sleeping;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t endpoints_dead;
	uint32_t endpoints_leaving;
	/* Bits that a hazard kept this time; the next pass looks again. */
	uint32_t left_by_hazard;
	uint32_t quarantined;
	uint32_t reserved;
};

enum km_anomaly_kind {
	KM_ANOMALY_ORPHANED_SLOT = 1, /* loaned by a dead publisher */
	KM_ANOMALY_STALE_BIT = 2,
	/* Ring of a dead or gone subscriber that isn't drained or still live. */
	KM_ANOMALY_DEAD_RING = 3,
	KM_ANOMALY_DEAD_ENDPOINT = 4,
	/* A living subscriber's sample, held longer than a tick. */
	KM_ANOMALY_LONG_HELD = 5,
	KM_ANOMALY_STILL_HAZARD = 6, /* an endpoint that stands still within a step */
	KM_ANOMALY_CORRUPT = 7,
};

struct km_anomaly {
	uint32_t kind;
	uint32_t slot;     /* or KM_HAZARD_NONE */
	uint32_t ring;     /* or KM_HAZARD_NONE */
	uint32_t owner_id; /* endpoint id, or 0 */
	int32_t owner_pid; /* or 0: unknown */
	uint32_t owner_uid;
	uint32_t owner_alive; /* 0 or 1 */
	uint32_t reserved;
	/* Time since the anomaly was first seen, or since its owner died; 0: unknown. */
	uint64_t age_ns;
	char owner[KM_PREFIX_SIZE];
};

struct km_msg_diagnose_ok {
	struct km_msg_header header;
	struct km_health health;
	uint64_t next; /* cursor for more anomalies, or 0 */
	uint32_t count;
	uint32_t reserved;
	char reason[KM_WIRE_TEXT_SIZE]; /* why the topic is quarantined */
	struct km_anomaly anomalies[KM_WIRE_ANOMALY_PAGE];
};

enum km_repair_what {
	KM_REPAIR_REFERENCES = 1, /* stale bits */
	KM_REPAIR_RINGS = 2,      /* rings of the dead */
	KM_REPAIR_SLOTS = 4,      /* slots whose owners are dead */
	KM_REPAIR_ALL = 7,
};

struct km_msg_repair {
	struct km_msg_topic topic; /* the header is its */
	uint32_t what;             /* bits of enum km_repair_what */
	uint32_t reserved;
};

struct km_msg_repair_ok {
	struct km_msg_header header;
	struct km_health before;
	struct km_health after;
	uint32_t bits_cleared;
	uint32_t slots_reclaimed;
	uint32_t rings_reset;
	uint32_t endpoints_freed;
};

struct km_msg_ok {
	struct km_msg_header header;
};

struct km_msg_error {
	struct km_msg_header header;
	int32_t error;                /* negative errno */
	uint32_t detail;              /* of -EPROTOTYPE: bits of km_schema_diff(); else 0 */
	char text[KM_WIRE_TEXT_SIZE]; /* what, to what, what to do; may be empty */
};

#define KM_WIRE_MEMBER(number, NAME, member, type) struct type member;
union km_msg {
	struct km_msg_header header;
	struct km_msg_topic topic; /* the part that many requests have in common */
	KM_WIRE_REQUESTS(KM_WIRE_MEMBER)
	KM_WIRE_ANSWERS(KM_WIRE_MEMBER)
};

/* Bytes of a message of this kind; 0 for an unknown one. */
size_t km_wire_size(uint32_t op);

/* The kind's name for people, never null. */
const char *km_wire_name(uint32_t op);

/*
 * Is what was received, `size` bytes with `fd_count` descriptors, a well-formed request (answer): a
 * known kind, of exactly its size, strings ended, reserved fields zero, as many fds as it says?
 * Returns 0 or -EPROTO. Values (geometry, names) are for the receiver to judge.
 */
int km_wire_check_request(const union km_msg *message, size_t size, size_t fd_count);
int km_wire_check_answer(const union km_msg *message, size_t size, size_t fd_count);
/* How many descriptors come with an answer, by its own words. */
size_t km_wire_announced_fds(const union km_msg *answer);

/*
 * Sends one message with its descriptors, which stay the caller's; never raises SIGPIPE. Returns 0.
 * Errors: -EAGAIN the socket is full (nonblocking); -ENOTCONN the peer is gone; others of
 * sendmsg(2).
 */
int km_wire_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count);

/*
 * Receives one message; descriptors (close-on-exec, none of them 0 to 2) are the caller's in
 * ret_fds[KM_WIRE_MAX_FDS], and *ret_fd_count says how many. A datagram that is longer than union
 * km_msg, or has more descriptors, is taken whole, closed, and -EPROTO. Returns the number of
 * bytes. Errors: -EAGAIN nothing there (nonblocking); -ENOTCONN the peer hung up; -EPROTO; -EMFILE
 * this process can't have all the descriptors that came: it has none of them; others of recvmsg(2).
 */
ssize_t km_wire_receive(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);

/* Receives as km_wire_receive(), and checks that the message is a good answer. Returns 0. With
 * -EMFILE the answer is in *ret, good but for its descriptors. */
int km_wire_receive_answer(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);

/*
 * The next message, which stays: km_wire_skip() takes it. Descriptors that came with it are never
 * opened here, since closing one can run code of its sender's: such a message is -EPROTO, and so is
 * one that is too long. A thread that takes such a message from the socket closes its descriptors
 * itself. Other errors as of km_wire_receive().
 */
ssize_t km_wire_peek(int socket, union km_msg *ret);
/* Drops the next message, if there is one. Never waits. */
void km_wire_skip(int socket);
