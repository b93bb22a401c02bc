/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client and broker say to each other: SOCK_SEQPACKET, one datagram one message, one message
 * one fixed-width struct, host byte order. The client asks, the broker answers each request once,
 * in order, with the request's serial.
 *
 *   client                             broker        fds with the answer
 *   HELLO     version, name, prefix -> HELLO_OK      1: client segment
 *   ADVERTISE topic, geometry       -> ATTACHED      control, payload (rw); + bell + client segment
 *   SUBSCRIBE topic                 -> ATTACHED      control, payload (ro); + bell + client segment
 *   DETACH    endpoint              -> OK            0
 *   INFO      topic                 -> INFO_OK       0
 *   STATS     topic                 -> STATS_OK      0
 *   PEOPLE    topic, cursor         -> PEOPLE_OK     0
 *   SCHEMA    topic                 -> SCHEMA_OK     0
 *   CLAIM     topic, schema         -> SCHEMA_OK     0
 *   UNLINK    topic                 -> OK            0
 *   WAIT      topic                 -> OK            0     and an EVENT once it exists
 *   LIST      cursor                -> LIST_OK       0
 *   DIAGNOSE  topic, cursor         -> DIAGNOSE_OK   0
 *   REPAIR    topic, what           -> REPAIR_OK     0
 *   any                             -> ERROR errno   0
 *
 * A bell comes where the topic has a shared ring (whose subscribers get control read only, unless
 * they ask for it WRITABLE and may publish), a client segment where the ones before have no room.
 *
 * An EVENT is what the broker says without being asked; its serial is 0.
 *
 * Requests never carry fds. HELLO comes first and once. What is truncated, oversized, of the wrong
 * size, unknown, out of state, or carries fds gets an ERROR (-EPROTO) and then the connection is
 * closed; a bad value in a good message gets an ERROR and nothing else happens.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "name.h"
#include "schema.h"

#define KM_WIRE_VERSION      3
#define KM_WIRE_TEXT_SIZE    256
#define KM_WIRE_MAX_FDS      4
#define KM_WIRE_LIST_PAGE    24
#define KM_WIRE_ANOMALY_PAGE 32
#define KM_WIRE_PEOPLE_PAGE  32

enum km_op {
	KM_OP_HELLO = 1,
	KM_OP_ADVERTISE = 2,
	KM_OP_SUBSCRIBE = 3,
	KM_OP_DETACH = 4,
	KM_OP_LIST = 5,
	KM_OP_DIAGNOSE = 6,
	KM_OP_REPAIR = 7,
	KM_OP_INFO = 8,
	KM_OP_STATS = 9,
	KM_OP_PEOPLE = 10,
	KM_OP_SCHEMA = 11,
	KM_OP_CLAIM = 12,
	KM_OP_UNLINK = 13,
	KM_OP_WAIT = 14,

	KM_OP_OK = 64,
	KM_OP_ERROR = 65,
	KM_OP_HELLO_OK = 66,
	KM_OP_ATTACHED = 67,
	KM_OP_LIST_OK = 68,
	KM_OP_DIAGNOSE_OK = 69,
	KM_OP_REPAIR_OK = 70,
	KM_OP_INFO_OK = 71,
	KM_OP_STATS_OK = 72,
	KM_OP_PEOPLE_OK = 73,
	KM_OP_SCHEMA_OK = 74,
	KM_OP_EVENT = 75,
};

struct km_msg_header {
	uint32_t op;
	uint32_t serial; /* the request's, in its answer */
};

struct km_msg_hello {
	struct km_msg_header header;
	uint32_t version;
	uint32_t reserved;
	char name[KM_PREFIX_SIZE];
	char prefix[KM_PREFIX_SIZE];     /* sanitised */
	char raw_prefix[KM_PREFIX_SIZE]; /* as written, without leading '/'; empty: the same */
};

struct km_msg_hello_ok {
	struct km_msg_header header;
	uint32_t version;
	uint32_t reserved;
	uint64_t client_id;
	uint64_t segment_size; /* bytes of the client segment that comes along */
};

enum km_attach_flag {
	KM_ATTACH_ANY_CONFIG = 1, /* what is there is good whatever the request's config says */
	KM_ATTACH_MUST_EXIST = 2, /* ADVERTISE that doesn't create */
	KM_ATTACH_CREATE = 4,     /* SUBSCRIBE that does */
	KM_ATTACH_OBSERVE = 8,    /* SUBSCRIBE to a shared ring without becoming a member */
	KM_ATTACH_WRITABLE = 16,  /* SUBSCRIBE to a shared ring, mapped as by its publishers */
	KM_ATTACH_FLAGS = 31,
};

/* ADVERTISE and SUBSCRIBE. The first four are the topic's name; its prefix is the client's. */
struct km_msg_attach {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];       /* sanitised */
	char raw[KM_NAME_SIZE];         /* as written, without leading '/'; empty: the same */
	char owner[KM_PREFIX_SIZE];     /* of a mailbox, sanitised; empty: the client */
	char raw_owner[KM_PREFIX_SIZE]; /* as raw */
	uint32_t kind;                  /* enum km_kind */
	uint32_t flags;                 /* of enum km_attach_flag */
	uint32_t has_geometry;          /* 0 or 1: the next three are asked for; else zero */
	uint32_t history;               /* SUBSCRIBE to a shared ring: messages to begin back */
	struct km_geometry geometry;
	uint64_t linger_ns;
	uint32_t persistent; /* 0 or 1 */
	uint32_t has_schema; /* 0 or 1: `schema` is the topic's, or claimed for it */
	uint32_t has_wanted; /* 0 or 1: the topic's has to be `wanted` */
	uint32_t reserved2;
	struct km_schema schema;
	struct km_schema wanted;
};

struct km_msg_attached {
	struct km_msg_header header;
	uint64_t control_size; /* bytes */
	uint64_t payload_size;
	uint64_t endpoint;         /* names it in DETACH */
	uint64_t start;            /* subscriber: position of the first message that may be its */
	uint32_t segment;          /* client segment, counted from 0, that has the record */
	uint32_t new_segment_size; /* bytes of the segment that comes along, or 0 */
	uint32_t record_offset;    /* of the endpoint record in it */
	uint32_t role;
	uint32_t id;        /* publisher */
	uint32_t ring;      /* subscriber */
	uint32_t bell_size; /* bytes of the bell that comes along, or 0: no shared ring */
	uint32_t observes;  /* 0 or 1: there is no endpoint */
};

struct km_msg_detach {
	struct km_msg_header header;
	uint64_t endpoint;
};

struct km_msg_list {
	struct km_msg_header header;
	uint64_t cursor; /* 0, or from the last answer */
};

struct km_list_entry {
	char topic[KM_NAME_SIZE];    /* sanitised */
	char prefix[KM_PREFIX_SIZE]; /* sanitised */
	char raw[KM_NAME_SIZE];      /* as its creator wrote it */
	char raw_owner[KM_PREFIX_SIZE];
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
};

/* Asks about one topic: INFO, STATS, PEOPLE, SCHEMA, UNLINK, WAIT. */
struct km_msg_topic {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];    /* sanitised */
	char raw[KM_NAME_SIZE];      /* as written, without leading '/'; empty: the same */
	char prefix[KM_PREFIX_SIZE]; /* empty: the caller's */
	char owner[KM_PREFIX_SIZE];  /* of a mailbox; empty: the caller */
	uint32_t kind;
	uint32_t reserved;
	uint64_t cursor; /* PEOPLE: 0, or from the last answer; else 0 */
};

struct km_msg_claim {
	struct km_msg_topic topic; /* the header is its */
	struct km_schema schema;
};

struct km_msg_info_ok {
	struct km_msg_header header;
	struct km_list_entry entry;
};

struct km_ring_stats {
	uint64_t written; /* for its present subscriber */
	uint64_t received;
	uint64_t evicted;
	uint64_t waiting;
	uint32_t live;
	int32_t pid;
	uint32_t sleeping;
	uint32_t reserved;
};

struct km_msg_stats_ok {
	struct km_msg_header header;
	uint64_t topic_id;
	uint64_t sent; /* these four: of all that ever were */
	uint64_t failed;
	uint64_t received;
	uint64_t evicted;
	uint64_t free_slots;
	uint64_t realtime_ns;
	uint64_t monotonic_ns;
	uint32_t pool_size;
	uint32_t live_rings;
	uint32_t ring_count;
	uint32_t reserved;
	struct km_ring_stats rings[KM_MAX_RINGS];
};

/* A client that participates in a topic. */
struct km_person {
	char name[KM_PREFIX_SIZE];
	int32_t pid;
	uint32_t uid;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t alive;
	uint32_t reserved;
	uint64_t since_realtime_ns;
	uint64_t client_id;
	uint64_t handle; /* a cursor: what comes after this one */
};

struct km_msg_people_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_person people[KM_WIRE_PEOPLE_PAGE];
};

struct km_msg_schema_ok {
	struct km_msg_header header;
	uint32_t has_schema; /* 0 or 1 */
	uint32_t won;        /* CLAIM: what stands is what was claimed */
	struct km_schema schema;
};

struct km_msg_event {
	struct km_msg_header header; /* serial 0 */
	uint32_t what;               /* 1: a topic exists that was waited for */
	uint32_t reserved;
};

struct km_msg_list_ok {
	struct km_msg_header header;
	uint64_t next; /* cursor for more, or 0: that was all */
	uint32_t count;
	uint32_t reserved;
	struct km_list_entry entries[KM_WIRE_LIST_PAGE];
};

/* What diagnose counts (DIAGNOSE) and what a repair did (REPAIR); slots by state add up to the
 * pool. */
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
	uint32_t left_by_hazard; /* bits that a hazard kept this time; the next pass looks again */
	uint32_t quarantined;
	uint32_t reserved;
};

enum km_anomaly_kind {
	KM_ANOMALY_ORPHANED_SLOT = 1, /* loaned by a dead publisher */
	KM_ANOMALY_STALE_BIT = 2,
	KM_ANOMALY_DEAD_RING =
		3, /* ring of a dead or gone subscriber that isn't drained or still live */
	KM_ANOMALY_DEAD_ENDPOINT = 4,
	KM_ANOMALY_LONG_HELD = 5,    /* a living subscriber's sample, held longer than a tick */
	KM_ANOMALY_STILL_HAZARD = 6, /* delivering or evicting that stands still */
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
	uint64_t age_ns; /* since when it was first seen or its owner died; 0 unknown */
	char owner[KM_PREFIX_SIZE];
};

struct km_msg_diagnose {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE]; /* empty: the caller's */
	char owner[KM_PREFIX_SIZE];  /* of a mailbox; empty: the caller */
	uint32_t kind;
	uint32_t reserved0;
	uint64_t cursor;
};

struct km_msg_diagnose_ok {
	struct km_msg_header header;
	struct km_health health;
	uint64_t next; /* cursor for more anomalies, or 0 */
	uint32_t count;
	uint32_t reserved;
	char reason[KM_WIRE_TEXT_SIZE]; /* why it is quarantined */
	struct km_anomaly anomalies[KM_WIRE_ANOMALY_PAGE];
};

enum km_repair_what {
	KM_REPAIR_REFERENCES = 1, /* stale bits */
	KM_REPAIR_RINGS = 2,      /* rings of the dead */
	KM_REPAIR_SLOTS = 4,      /* slots whose owners are dead */
	KM_REPAIR_ALL = 7,
};

struct km_msg_repair {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE];
	char owner[KM_PREFIX_SIZE]; /* of a mailbox; empty: the caller */
	uint32_t kind;
	uint32_t reserved0;
	uint32_t what; /* bits of enum km_repair_what */
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

union km_msg {
	struct km_msg_header header;
	struct km_msg_hello hello;
	struct km_msg_hello_ok hello_ok;
	struct km_msg_attach advertise;
	struct km_msg_attach subscribe;
	struct km_msg_attached attached;
	struct km_msg_detach detach;
	struct km_msg_list list;
	struct km_msg_list_ok list_ok;
	struct km_msg_diagnose diagnose;
	struct km_msg_diagnose_ok diagnose_ok;
	struct km_msg_repair repair;
	struct km_msg_repair_ok repair_ok;
	struct km_msg_topic topic;
	struct km_msg_claim claim;
	struct km_msg_info_ok info_ok;
	struct km_msg_stats_ok stats_ok;
	struct km_msg_people_ok people_ok;
	struct km_msg_schema_ok schema_ok;
	struct km_msg_event event;
	struct km_msg_ok ok;
	struct km_msg_error error;
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

/*
 * Sends one message with its descriptors, which stay the caller's; never raises SIGPIPE. Returns 0.
 * Errors: -EAGAIN the socket is full (nonblocking); -ENOTCONN the peer is gone; others of
 * sendmsg(2).
 */
int km_wire_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count);

/*
 * Receives one message; descriptors (close-on-exec) are the caller's in ret_fds[KM_WIRE_MAX_FDS],
 * and *ret_fd_count says how many. A datagram that is longer than union km_msg, or has more
 * descriptors, is taken whole, closed, and -EPROTO. Returns the number of bytes. Errors: -EAGAIN
 * nothing there (nonblocking); -ENOTCONN the peer hung up; -EPROTO; others of recvmsg(2).
 */
ssize_t km_wire_receive(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);

/* The same, but the message stays: km_wire_skip() takes it. Its descriptors come with each look. */
ssize_t km_wire_peek(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);
/* Drops the next message, if there is one. Never waits. */
void km_wire_skip(int socket);
