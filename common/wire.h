/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client and broker say to each other: SOCK_SEQPACKET, one datagram one message, one message
 * one fixed-width struct, host byte order. The client asks, the broker answers each request once,
 * in order, with the request's serial.
 *
 *   client                             broker        fds with the answer
 *   HELLO     version, name, prefix -> HELLO_OK      1: client segment
 *   ADVERTISE topic, geometry       -> ATTACHED      2: control, payload (rw); 3: and client segment
 *   SUBSCRIBE topic                 -> ATTACHED      2: control, payload (ro); 3: and client segment
 *   DETACH    endpoint              -> OK            0
 *   LIST      cursor                -> LIST_OK       0
 *   DIAGNOSE  topic, cursor         -> DIAGNOSE_OK   0
 *   REPAIR    topic, what           -> REPAIR_OK     0
 *   any                             -> ERROR errno   0
 *
 * Requests never carry fds. HELLO comes first and once. What is truncated, oversized, of the wrong
 * size, unknown, out of state, or carries fds gets an ERROR (-EPROTO) and then the connection is
 * closed; a bad value in a good message gets an ERROR and nothing else happens.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

#define KM_WIRE_VERSION      1
#define KM_WIRE_TEXT_SIZE    256
#define KM_WIRE_MAX_FDS      3
#define KM_WIRE_LIST_PAGE    24
#define KM_WIRE_ANOMALY_PAGE 32

enum km_op {
	KM_OP_HELLO = 1,
	KM_OP_ADVERTISE = 2,
	KM_OP_SUBSCRIBE = 3,
	KM_OP_DETACH = 4,
	KM_OP_LIST = 5,
	KM_OP_DIAGNOSE = 6,
	KM_OP_REPAIR = 7,

	KM_OP_OK = 64,
	KM_OP_ERROR = 65,
	KM_OP_HELLO_OK = 66,
	KM_OP_ATTACHED = 67,
	KM_OP_LIST_OK = 68,
	KM_OP_DIAGNOSE_OK = 69,
	KM_OP_REPAIR_OK = 70,
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
	char prefix[KM_PREFIX_SIZE]; /* sanitised */
};

struct km_msg_hello_ok {
	struct km_msg_header header;
	uint32_t version;
	uint32_t reserved;
	uint64_t client_id;
	uint64_t segment_size; /* bytes of the client segment that comes along */
};

struct km_msg_advertise {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE]; /* sanitised */
	uint32_t has_geometry;    /* 0 or 1 */
	uint32_t reserved;
	struct km_geometry geometry; /* zero without has_geometry */
};

struct km_msg_subscribe {
	struct km_msg_header header;
	char topic[KM_NAME_SIZE];
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
	uint32_t id;   /* publisher */
	uint32_t ring; /* subscriber */
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
	char topic[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE];
	struct km_geometry geometry;
	uint64_t created_realtime_ns;
	uint32_t publishers;
	uint32_t subscribers;
	uint32_t quarantined;
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
	int32_t error; /* negative errno */
	uint32_t reserved;
	char text[KM_WIRE_TEXT_SIZE]; /* what, to what, what to do; may be empty */
};

union km_msg {
	struct km_msg_header header;
	struct km_msg_hello hello;
	struct km_msg_hello_ok hello_ok;
	struct km_msg_advertise advertise;
	struct km_msg_subscribe subscribe;
	struct km_msg_attached attached;
	struct km_msg_detach detach;
	struct km_msg_list list;
	struct km_msg_list_ok list_ok;
	struct km_msg_diagnose diagnose;
	struct km_msg_diagnose_ok diagnose_ok;
	struct km_msg_repair repair;
	struct km_msg_repair_ok repair_ok;
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
