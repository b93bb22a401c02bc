/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in shared memory, byte by byte. Kinds of segment, a memfd each (segment.h):
 *
 *   control (one a topic; everybody read/write; with the shared ring subscribers read only, unless
 *   they may publish and asked)
 *   +--------+------+---------------------+--------+--------+-- --+
 *   | header | live | slot lines [pool]   | ring 0 | ring 1 | ... |    each ring: head | hint |
 *   +--------+------+---------------------+--------+--------+-- --+               waiting | cells
 *                                         or: the shared ring: hint | cells with two buffers each
 *
 *   payload (one a topic; publishers read/write, subscribers read only)
 *   +---------------+-----------------------+---------------+-- --+
 *   | sample header | payload, 64-aligned   | sample header | ... |    one fixed stride a slot
 *   +---------------+-----------------------+---------------+-- --+
 *
 *   bell (one a topic with the shared ring; everybody read/write): a futex word, and whether
 *   subscribers have left
 *
 *   client (one or more a process; its owner read/write, the broker read)
 *   +----------+----------+-- --+
 *   | endpoint | endpoint | ... |    records of one attached publisher or subscriber each
 *   +----------+----------+-- --+
 *
 * All fields are host byte order. Nothing read from here is believed: geometry is copied once and
 * checked (region.h), indexes are checked at each use, positions are only ever compared.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define KM_CACHE_LINE       64
#define KM_LAYOUT_MAGIC     UINT64_C(0x31304447534d4b43) /* "CKMSGD01" in memory order */
#define KM_LAYOUT_VERSION   3

#define KM_MAX_RINGS        48    /* bits of a slot word that name rings */
#define KM_MAX_SUBSCRIBERS  65535 /* of a shared ring */
#define KM_MAX_PUBLISHERS   65535
#define KM_MAX_CAPACITY     65536
#define KM_MAX_POOL         (1u << 20)
#define KM_MAX_PAYLOAD      (UINT64_C(1) << 30)
#define KM_MAX_HOLDS        1024
#define KM_NAME_SIZE        128 /* of a topic's, with its 0 */
#define KM_PREFIX_SIZE      64
#define KM_REGION_NAME_SIZE 256

/* The shape of a topic, as the broker made it. */
struct km_geometry {
	uint32_t max_subscribers;
	uint32_t ring_capacity; /* cells, a power of two */
	uint32_t pool_size;     /* slots */
	uint32_t max_publishers;
	uint64_t max_payload_size; /* bytes */
	uint32_t max_loans;
	uint32_t max_borrows;
	uint32_t transport; /* enum km_transport */
	uint32_t reserved;  /* zero */
};
static_assert(sizeof(struct km_geometry) == 40, "shared layout");

/* How messages get to subscribers. */
enum km_transport {
	KM_TRANSPORT_RINGS = 0,  /* a ring for each subscriber: ring.h */
	KM_TRANSPORT_SHARED = 1, /* one ring for all: shared.h */
};

/*
 * `live`: a bit for each ring that takes messages. Above them a number that moves when a ring is
 * opened, so that who looks at the whole word sees a ring that was closed and opened in between. The
 * second bit from the top says that participants have left for a fresh region, since this one's
 * broker is gone (a participant sets it); the top bit says that the region is given up.
 */
#define KM_LIVE_QUARANTINED (UINT64_C(1) << 63)
#define KM_LIVE_LEFT        (UINT64_C(1) << 62)
#define KM_LIVE_OPENING     (UINT64_C(1) << KM_MAX_RINGS)
#define KM_LIVE_OPENINGS    (KM_LIVE_LEFT - KM_LIVE_OPENING)
#define KM_LIVE_RINGS       (KM_LIVE_OPENING - 1)

struct km_control_header {
	/* written by the broker before anyone else has the memory; constant from then on */
	_Atomic uint64_t magic; /* last */
	uint32_t version;
	uint32_t kind;
	struct km_geometry geometry;
	uint64_t config_hash;
	uint64_t created_realtime_ns;
	char region_name[KM_REGION_NAME_SIZE];
	char topic[KM_NAME_SIZE];
	unsigned char schema[512]; /* the broker writes it, at creation or at the one later claim */
	_Atomic uint32_t schema_state;
	uint64_t linger_ns; /* constant, for who makes the topic anew when its broker is gone */
	uint32_t persistent;

	/* written by the broker (KM_LIVE_LEFT, and then their own rings' bits, by participants), read
	 * by publishers at each message: one line for both words, which changes when somebody comes or
	 * goes whom a message concerns */
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t live;
	_Atomic uint32_t privileged; /* shared ring: who writes into cells' buffers; 0: nobody */
	/* read in a left region alone */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t publishers; /* the broker: present ones */
	_Atomic uint32_t departed; /* publishers that left for a fresh region (missed.h) */
};
static_assert(offsetof(struct km_control_header, geometry) == 16, "shared layout");
static_assert(offsetof(struct km_control_header, live) == 1024, "shared layout");
static_assert(offsetof(struct km_control_header, privileged) == 1032, "in live's line");
static_assert(offsetof(struct km_control_header, publishers) == 1088, "not in live's line");
static_assert(sizeof(struct km_control_header) == 1152, "shared layout");

/* Who has a slot (slot.h). A line of its own: two publishers, or a publisher and a subscriber, that
 * are at neighbouring slots don't touch each other's line. The generation is in it since who claims
 * has just got the line. */
struct km_slot {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t word; /* everybody */
	_Atomic uint64_t generation;                   /* whoever claims the slot */
};
static_assert(sizeof(struct km_slot) == KM_CACHE_LINE, "shared layout");
static_assert(offsetof(struct km_slot, generation) == 8, "shared layout");

/* One for each subscriber place (ring.h, waiter.h). Its subscriber writes head at each message and
 * publishers the hint, so each has a line of its own; publishers look at waiting behind each commit,
 * and what is in its line with it changes only when somebody comes, goes or has left. Cells are
 * packed: publishers write and the subscriber reads them in turn. */
struct km_ring {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t
		head; /* its subscriber (take), publishers (evict) */
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t hint;    /* publishers */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t waiting; /* its subscriber, publishers; a futex */
	_Atomic uint64_t missed; /* the broker, publishers: [opening:16 | messages:48] (missed.h) */
	_Atomic uint64_t strays; /* the broker, publishers (missed.h) */
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t cells[]; /* publishers; [lap:40 | slot:24] */
};
static_assert(offsetof(struct km_ring, head) == 0, "shared layout");
static_assert(offsetof(struct km_ring, hint) == 64, "shared layout");
static_assert(offsetof(struct km_ring, waiting) == 128, "shared layout");
static_assert(offsetof(struct km_ring, missed) == 136, "in waiting's line");
static_assert(offsetof(struct km_ring, strays) == 144, "in waiting's line");
static_assert(offsetof(struct km_ring, cells) == 192, "shared layout");

/* What is said of a message besides its bytes, where readers may look while it is overwritten. */
struct km_shared_head {
	_Atomic uint64_t sequence; /* from 1 */
	_Atomic uint64_t about;    /* [len : 48 | publisher id : 16] */
};

/* A cell of the shared ring (shared.h). Behind it, where payloads may be longer than 8 bytes, the
 * two buffers, whole lines each: of even laps and, from the next pair of lines on, of odd ones. A
 * cell is whole pairs of lines: what fetches lines in pairs takes none that a publisher is at. */
struct km_shared_cell {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t word; /* publishers; [lap:40 | ref:24] */
	struct km_shared_head heads[2];                /* the privileged publisher: these two */
	_Atomic uint64_t small[2];                     /* payloads of up to 8 bytes */
};
static_assert(offsetof(struct km_shared_cell, heads) == 8, "shared layout");
static_assert(offsetof(struct km_shared_cell, small) == 40, "shared layout");
static_assert(sizeof(struct km_shared_cell) == KM_CACHE_LINE, "one transfer for all of it");

struct km_shared_ring {
	_Alignas(2 * KM_CACHE_LINE) _Atomic uint64_t hint; /* publishers */
	_Alignas(2 * KM_CACHE_LINE) unsigned char cells[]; /* capacity times a stride */
};
static_assert(offsetof(struct km_shared_ring, hint) == 0, "shared layout");
static_assert(offsetof(struct km_shared_ring, cells) == 128, "shared layout");

/* All that the usual subscribers of a shared ring may write (bell.h). */
struct km_bell {
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t word; /* everybody; a futex */
	/* subscribers, who can't write KM_LIVE_LEFT (missed.h). Once for each that leaves; in the
	 * word's line, for who looks at it has just written that. */
	_Atomic uint32_t left;
};
#define KM_BELL_SIZE 4096
static_assert(offsetof(struct km_bell, word) == 0, "shared layout");
static_assert(offsetof(struct km_bell, left) == 4, "shared layout");
static_assert(sizeof(struct km_bell) == KM_CACHE_LINE, "shared layout");

/* What stands before each payload. Its publisher writes it before the message is committed. */
struct km_sample_header {
	_Alignas(KM_CACHE_LINE) uint64_t sequence; /* from 1 */
	uint64_t len;                              /* bytes */
	uint32_t publisher_id;
};
static_assert(sizeof(struct km_sample_header) == KM_CACHE_LINE, "shared layout");

/* One attached publisher or subscriber. Never moves while it is attached (endpoint.h). Records, of
 * threads of one process perhaps, are whole pairs of lines (km_geometry_endpoint_size). */
enum km_role { KM_ROLE_NONE = 0, KM_ROLE_PUBLISHER = 1, KM_ROLE_SUBSCRIBER = 2 };

#define KM_HAZARD_NONE UINT32_MAX

struct km_endpoint {
	/* written by the broker before its owner knows of it */
	_Alignas(KM_CACHE_LINE) uint32_t role;
	uint32_t id;         /* of a publisher: what its slots' words carry, from 1 */
	uint32_t ring;       /* of a subscriber */
	uint32_t held_count; /* of a subscriber: entries in held[] */

	/* written by its owner alone, with plain stores; read by the broker */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t delivering; /* a slot, or KM_HAZARD_NONE */
	_Atomic uint32_t evicting;
	_Atomic uint64_t messages; /* sent or received */
	_Atomic uint64_t failed;   /* of a publisher: sends that met an empty pool */
	_Atomic uint64_t
		evicted;       /* of a publisher: old messages that it pushed out of full rings */
	_Atomic uint64_t lost; /* of a subscriber: positions that it found skipped */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t held[];
};
static_assert(offsetof(struct km_endpoint, delivering) == 64, "shared layout");
static_assert(offsetof(struct km_endpoint, evicting) == 68, "in delivering's line");
static_assert(offsetof(struct km_endpoint, lost) == 96, "in delivering's line");
static_assert(offsetof(struct km_endpoint, held) == 128, "shared layout");
static_assert(sizeof(struct km_endpoint) == 2 * KM_CACHE_LINE, "neighbours don't meet");

static_assert(
	ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics must be lock-free");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "shared layout");
