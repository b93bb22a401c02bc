/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of shared memory, byte by byte. Kinds of segment, a memfd each (segment.h):
 *
 *   control (one a topic; everybody read/write; with the shared ring subscribers read only, unless
 *   they may publish and asked)
 *   +--------+------+---------------------+--------+--------+-- --+
 *   | header | live | slot lines [pool]   | ring 0 | ring 1 | ... |    each ring: head | hint |
 *   +--------+------+---------------------+--------+--------+-- --+               waiting | cells
 *                                         and, with history, the kept ring behind them (kept.h)
 *                                         or: the shared ring: hint | cells with two buffers each
 *
 *   payload (one a topic; publishers read/write, subscribers read only)
 *   +---------------+-----------------------+---------------+-- --+
 *   | sample header | payload, 64-aligned   | sample header | ... |    one fixed stride a slot
 *   +---------------+-----------------------+---------------+-- --+
 *
 *   bell (one a topic with the shared ring; everybody read/write): a futex word, and whether
 *   subscribers have left; how far its reliable subscribers have come, and where publishers wait
 *
 *   client (one or more a process; its owner read/write, the broker read)
 *   +----------+----------+-- --+
 *   | endpoint | endpoint | ... |    records of one attached publisher or subscriber each
 *   +----------+----------+-- --+
 *
 * All fields are host byte order. Nothing read from here is believed: what a region is comes from
 * the broker (wire.h), indexes are checked at each use, positions are only ever compared.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define KM_CACHE_LINE       64
#define KM_PAGE_SIZE        4096
#define KM_LAYOUT_MAGIC     UINT64_C(0x31304447534d4b43) /* "CKMSGD01" in memory order */
#define KM_LAYOUT_VERSION   5

#define KM_MAX_RINGS        48    /* bits of a slot word that name rings */
#define KM_MAX_SUBSCRIBERS  65535 /* of a shared ring */
#define KM_MAX_PUBLISHERS   65535
#define KM_MAX_CAPACITY     65536
#define KM_MIN_POOL         2u
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
	uint32_t pool_size;     /* slots; of a request also 0: as many as are needed */
	uint32_t max_publishers;
	uint64_t max_payload_size; /* bytes */
	uint32_t max_loans;
	uint32_t max_borrows;
	uint32_t transport;  /* enum km_transport */
	uint32_t timestamps; /* 1: each message carries the time of its publishing */
	/* Subscribers that lose nothing while they keep up (room.h); 0: the topic knows of none. */
	uint32_t max_reliable;
	uint32_t history; /* that a newcomer gets, messages */
	/* So long one of these may stand still while a publisher waits. */
	uint64_t stall_ns;
};
static_assert(sizeof(struct km_geometry) == 56, "shared layout");

/* How messages get to subscribers. */
enum km_transport {
	KM_TRANSPORT_RINGS = 0,  /* a ring for each subscriber: ring.h */
	KM_TRANSPORT_SHARED = 1, /* one ring for all: shared.h */
};

/*
 * `live`: a bit for each ring that takes messages. Above them a number that moves when a ring is
 * opened, so a reader of the whole word sees that a ring was closed and opened in between. The
 * second bit from the top says that endpoints have left for a fresh region, since this one's broker
 * is gone (a leaving endpoint sets it); the top bit says that the region is given up. With a
 * shared ring the number is 1 for good: there the word is 0 only in memory that was given back to
 * the system after the topic's end, which an observer may still look at.
 */
#define KM_LIVE_QUARANTINED (UINT64_C(1) << 63)
#define KM_LIVE_LEFT        (UINT64_C(1) << 62)
#define KM_LIVE_OPENING     (UINT64_C(1) << KM_MAX_RINGS)
#define KM_LIVE_OPENINGS    (KM_LIVE_LEFT - KM_LIVE_OPENING)
#define KM_LIVE_RINGS       (KM_LIVE_OPENING - 1)

/* In a topic with history the last bit of slot words is the kept ring's, and no subscriber's. */
#define KM_KEPT_RING (KM_MAX_RINGS - 1)
#define KM_KEPT_BIT  (UINT64_C(1) << KM_KEPT_RING)

/* Sleep and wake of several at one word (bell.h). Of a shared ring, in a page of its own, it is all
 * that the usual subscribers may write; of a header, it is where publishers wait for room (room.h). */
struct km_bell {
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t word; /* everybody; a futex */
	/* subscribers, who can't write KM_LIVE_LEFT (lost.h). Once for each that leaves; in the
	 * word's line, since its readers have just written the word. */
	_Atomic uint32_t left;
};
#define KM_BELL_SIZE KM_PAGE_SIZE
static_assert(offsetof(struct km_bell, word) == 0, "shared layout");
static_assert(offsetof(struct km_bell, left) == 4, "shared layout");
static_assert(sizeof(struct km_bell) == KM_CACHE_LINE, "shared layout");

/* How far a reliable subscriber of a shared ring has come (reader.h). Publishers read the line. */
struct km_reader {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t next; /* its subscriber; before it the broker */
};

/* The bell's page. All but its first line is used in topics that may have reliable subscribers. */
struct km_bell_page {
	struct km_bell bell, room; /* the latter as in a header */
	struct km_reader readers[KM_MAX_RINGS];
};
static_assert(offsetof(struct km_bell_page, room) == 64, "shared layout");
static_assert(offsetof(struct km_bell_page, readers) == 128, "shared layout");
static_assert(sizeof(struct km_bell_page) <= KM_BELL_SIZE, "shared layout");

struct km_control_header {
	/* written by the broker, for people and debuggers alone. No program believes what stands
	 * here, since every process with the segment writable can write it. The broker compares it
	 * with its own copy and mends it (daemon/topic/header.h). */
	_Atomic uint64_t magic;
	uint32_t version;
	uint32_t kind;
	struct km_geometry geometry;
	uint64_t config_hash;
	uint64_t created_realtime_ns;
	char region_name[KM_REGION_NAME_SIZE];
	char topic[KM_NAME_SIZE];
	unsigned char schema[512];     /* when made, or at the one later claim */
	_Atomic uint32_t schema_state; /* 1: there is one */
	uint64_t linger_ns;
	uint32_t persistent;

	/* written by the broker (KM_LIVE_LEFT, and then their own rings' bits, by endpoints),
	 * read by publishers at each message: one line for both words, which changes when a
	 * subscriber or the privileged publisher comes or goes */
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t live;
	/* Shared ring: id of the publisher that writes into cells' buffers; 0: none. */
	_Atomic uint32_t privileged;
	/* The broker: how many there are; believed for that number alone. */
	_Atomic uint32_t subscribers;
	/* The broker: a bit for each ring from which publishers push nothing out (room.h), or for each
	 * reader before whom they overwrite nothing (reader.h). */
	_Atomic uint64_t reliable;
	/* The broker, in a topic with history: how often a ring was opened. The low bits are those
	 * of the number in `live`. */
	_Atomic uint64_t openings;
	/* not read on the path of a message */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t publishers; /* the broker: how many there are */
	_Atomic uint32_t departed; /* publishers that left for a fresh region (lost.h) */
	/* The broker, for handles that count their peers; believed for that alone (notice.h). A futex,
	 * which moves after each change of the counts. */
	_Atomic uint32_t changes;
	_Atomic uint32_t fate; /* bits of enum km_fate */
	/* Endpoints that left or died since the topic was made; the counts may wrap. */
	struct km_gone {
		_Atomic uint32_t left, died;
	} gone_publishers, gone_subscribers;
	/* Reliable subscribers that became ordinary ones since the topic was made. */
	_Atomic uint32_t demoted;

	/* Publishers, reliable subscribers, the broker. */
	struct km_bell room;
};

/* The end of a topic's name, while its endpoints still use it. */
enum km_fate {
	KM_FATE_UNLINKED = 1, /* its name was taken away */
	KM_FATE_REPLACED = 2, /* there is another one of its name */
};

static_assert(offsetof(struct km_control_header, geometry) == 16, "shared layout");
static_assert(offsetof(struct km_control_header, live) == 1024, "shared layout");
static_assert(offsetof(struct km_control_header, privileged) == 1032, "in live's line");
static_assert(offsetof(struct km_control_header, subscribers) == 1036, "in live's line");
static_assert(offsetof(struct km_control_header, reliable) == 1040, "in live's line");
static_assert(offsetof(struct km_control_header, publishers) == 1088, "not in live's line");
static_assert(offsetof(struct km_control_header, room) == 1152, "a line of its own");
static_assert(sizeof(struct km_control_header) == 1216, "shared layout");

/* The slot's word says who has the slot (slot.h). A slot has a line of its own, so endpoints at
 * neighbouring slots don't touch each other's line. The generation lies in that line, since a
 * publisher that claims has just got the line. */
struct km_slot {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t word; /* everybody */
	_Atomic uint64_t generation;                   /* the publisher that claims the slot */
	/* The publisher, in a topic with history: header->openings as far as it knew them. */
	_Atomic uint64_t opening;
};
static_assert(sizeof(struct km_slot) == KM_CACHE_LINE, "shared layout");
static_assert(offsetof(struct km_slot, generation) == 8, "shared layout");

/*
 * One for each subscriber place (ring.h, waiter.h). Its subscriber writes head at each message and
 * publishers the hint, so each has a line of its own; publishers look at waiting behind each
 * commit, and what is in its line with it changes only when somebody comes, goes or has left. Cells
 * are packed: publishers write and the subscriber reads them in turn.
 */
struct km_ring {
	/* the ring's subscriber (take), publishers (evict) */
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t head;
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t hint;    /* publishers */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t waiting; /* its subscriber, publishers; a futex */
	/* The broker, publishers: [opening:16 | messages:48] (lost.h). */
	_Atomic uint64_t lost_before;
	_Atomic uint64_t lost_after; /* the broker, publishers (lost.h) */
	/* The broker, in a topic with history (kept.h): the number of the opening that let the ring's
	 * owner in, and where the kept ring ended shortly before that and after it. The last word is
	 * [opening:16 | position:48], and publishers write it too. */
	_Atomic uint64_t opening, kept_before, kept_behind;
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t cells[]; /* publishers; [lap:40 | slot:24] */
};
static_assert(offsetof(struct km_ring, head) == 0, "shared layout");
static_assert(offsetof(struct km_ring, hint) == 64, "shared layout");
static_assert(offsetof(struct km_ring, waiting) == 128, "shared layout");
static_assert(offsetof(struct km_ring, lost_before) == 136, "in waiting's line");
static_assert(offsetof(struct km_ring, lost_after) == 144, "in waiting's line");
static_assert(offsetof(struct km_ring, cells) == 192, "shared layout");

/* The description of a message beside its bytes, in memory where readers may look while a publisher
 * overwrites it. */
struct km_shared_head {
	_Atomic uint64_t sequence; /* from 1 */
	_Atomic uint64_t about;    /* [len : 48 | publisher id : 16] */
};

/* A cell of the shared ring (shared.h). Behind it, where payloads may be longer than 8 bytes or the
 * topic has timestamps, the two buffers, whole lines each: of even laps and, from the next pair of
 * lines on, of odd ones. A cell is whole pairs of lines: what fetches lines in pairs takes none that a
 * publisher is at. */
struct km_shared_cell {
	_Alignas(KM_CACHE_LINE) _Atomic uint64_t word; /* publishers; [lap:40 | ref:24] */
	struct km_shared_head heads[2];                /* the privileged publisher: these, and: */
	/* A payload of up to 8 bytes, one of even laps and one of odd ones. With timestamps all
	 * payloads lie in the buffers, and these are the times of publishing. */
	_Atomic uint64_t small[2];
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

/* The header before each payload. Its publisher writes it before the message is committed. A
 * hostile publisher may write later. The fields are volatile, so that a field that the source reads
 * once is read once. */
struct km_sample_header {
	_Alignas(KM_CACHE_LINE) volatile uint64_t sequence; /* from 1 */
	/* CLOCK_MONOTONIC ns. Without timestamps nobody writes this, so it stays 0. It lies behind
	 * the sequence, since a reader takes both at once. */
	volatile uint64_t publish_ns;
	volatile uint64_t len; /* bytes */
	volatile uint32_t publisher_id;
	/* The word of a service's message (libclient/service/message.h). */
	volatile uint64_t word;
};
static_assert(offsetof(struct km_sample_header, publish_ns) == 8, "read with sequence");
static_assert(sizeof(struct km_sample_header) == KM_CACHE_LINE, "shared layout");

/* With a shared ring a slot has these words in that place. */
struct km_shared_slot {
	struct km_shared_head head;
	_Atomic uint64_t publish_ns;
};
static_assert(sizeof(struct km_shared_slot) <= sizeof(struct km_sample_header), "shared layout");

/* One attached publisher or subscriber. A record never moves while its endpoint is attached
 * (endpoint.h). Records, perhaps of several threads of one process, are whole pairs of lines
 * (km_geometry_endpoint_size). */
enum km_role { KM_ROLE_NONE = 0, KM_ROLE_PUBLISHER = 1, KM_ROLE_SUBSCRIBER = 2 };

#define KM_HAZARD_NONE UINT32_MAX

struct km_endpoint {
	/* written by the broker before its owner knows of it */
	_Alignas(KM_CACHE_LINE) volatile uint32_t role;
	/* A publisher's: its slots' words carry this id, from 1. */
	volatile uint32_t id;
	volatile uint32_t ring;       /* of a subscriber */
	volatile uint32_t held_count; /* of a subscriber: entries in held[] */

	/* written by its owner alone, with plain stores; read by the broker */
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t delivering; /* a slot, or KM_HAZARD_NONE */
	_Atomic uint32_t evicting;
	_Atomic uint64_t messages; /* sent or received */
	/* A publisher counts its sends that found no free slot here, and a subscriber the messages of
	 * its history that it lost. */
	_Atomic uint64_t failed;
	_Atomic uint64_t
		/* A publisher counts the old messages here that it pushed out of full rings, and a
		 * subscriber the messages of its history that it got from the kept ring. */
		evicted;
	_Atomic uint64_t lost;  /* positions that a subscriber found skipped */
	_Atomic uint64_t bytes; /* of the payloads that a publisher sent */
	/* a publisher's sends that found no room with a reliable subscriber */
	_Atomic uint64_t no_room;
	_Alignas(KM_CACHE_LINE) _Atomic uint32_t held[];
};
static_assert(offsetof(struct km_endpoint, delivering) == 64, "shared layout");
static_assert(offsetof(struct km_endpoint, evicting) == 68, "in delivering's line");
static_assert(offsetof(struct km_endpoint, lost) == 96, "in delivering's line");
static_assert(offsetof(struct km_endpoint, bytes) == 104, "in delivering's line");
static_assert(offsetof(struct km_endpoint, held) == 128, "shared layout");
static_assert(sizeof(struct km_endpoint) == 2 * KM_CACHE_LINE, "neighbours don't meet");

static_assert(
	ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics must be lock-free");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "shared layout");
