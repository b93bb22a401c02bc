/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's control and payload segments as one process sees them: where things are, by a geometry
 * that was copied and checked once. Nothing here is shared; the pointers lead into what is.
 *
 * Orders of the header
 *   L0 format, and the constant words   relaxed   a process gets the memory by a message
 * and of header->live (written by the broker; KM_LIVE_LEFT and what follows it by endpoints)
 *   L1 a publisher's load that finds a change   acquire   pairs with L2: it counts for new rings
 *   L2 set a ring's bit, or leave the region   release   pairs with L1: the ring's count was begun
 *   L3 give the region up, or leave it behind: set the bit, then wake all; a sleeper announces, then
 *      looks                      seq_cst / relaxed   pairs with W1, W2
 *   L4 a look for flags or a change alone   relaxed   what follows takes a lock, ends the call or
 *      looks again; or the broker's, whose own word it is
 *   L5 subscribers                relaxed   a number for people
 *   L6 the broker clears bits     relaxed   says nothing of a ring; goes on with what L2 released
 * None of L1 to L3 can be weaker (`explore orders`: L1 and L2 in scenario opened, L3 in given_up).
 * No trace of a message needs L1 and L2: the commit CAS reads the newest cell whatever was seen
 * before. A publisher's count of lost messages (G1 in lost.h) needs them: by L1 the publisher sees
 * the count that the broker began before it opened the ring. A word that is what it was brings
 * nothing new with it, since each opening has its number there; and a shared ring has no counts.
 */
#pragma once

#include <stdbool.h>

#include "common/memory/layout.h"

/* The path decides which code sends and receives: the transport's own, and with timestamps another
 * one. So topics without timestamps pay nothing for topics with them. */
enum km_path {
	KM_PATH_RINGS = KM_TRANSPORT_RINGS,
	KM_PATH_SHARED = KM_TRANSPORT_SHARED,
	KM_PATH_TIMED = 2, /* or'ed */
	KM_PATH_RINGS_TIMED = KM_PATH_RINGS | KM_PATH_TIMED,
	KM_PATH_SHARED_TIMED = KM_PATH_SHARED | KM_PATH_TIMED,
	/* or'ed by a subscriber that wants the newest messages alone, in its own struct */
	KM_PATH_NEWEST = 4,
	/* or'ed by a publisher of a topic that may have reliable subscribers, and by one of these, each
	 * in its own struct; never together with the last */
	KM_PATH_RELIABLE = 8,
	/* or'ed where there is a kept ring; by a subscriber while it takes messages from there;
	 * never together with the last */
	KM_PATH_KEPT = 16,
	KM_PATHS = 24
};

struct km_region {
	struct km_control_header *header;
	struct km_slot *slots;         /* [geometry.pool_size] */
	unsigned char *rings;          /* [ring_count], ring_stride bytes each */
	struct km_shared_ring *shared; /* or null: a ring for each subscriber */
	struct km_ring *kept;          /* the kept ring (kept.h); null: no history */
	uint32_t kept_capacity;        /* its cells, a power of two */
	struct km_bell *bell;          /* of a shared ring; set where it is mapped */
	/* [geometry.pool_size], payload_stride bytes each; may be null. */
	unsigned char *payload;
	uint64_t ring_stride;
	bool sole;            /* a shared ring whose publisher can have no rival */
	uint64_t cell_stride; /* of the shared ring */
	/* Bytes from a shared cell's one buffer to its other; 0: there are none. */
	uint64_t buffer_step;
	/* The largest message of the shared ring's usual case: a line's, if payloads are so long. */
	uint64_t short_size;
	uint64_t payload_stride;
	uint64_t control_size;
	uint64_t payload_size;
	uint32_t ring_count;
	uint32_t path;       /* enum km_path */
	uint32_t cell_mask;  /* capacity - 1 */
	uint32_t cell_shift; /* log2(capacity) */
	struct km_geometry geometry;
};

/* Fills in the default geometry. Its pool_size is 0: km_geometry_pool() says how many slots. */
void km_geometry_init(struct km_geometry *geometry);

/* Returns the name of a field that is wrong in a bad geometry, or null when it is good. All sizes
 * that follow from a good one fit 63 bits. */
const char *km_geometry_check(const struct km_geometry *geometry);

/* The name of the first field in which the two differ, or null. */
const char *km_geometry_diff(const struct km_geometry *a, const struct km_geometry *b);

/* The value of a field that one of the two calls above named, and what it may be in such a
 * geometry. */
uint64_t km_geometry_field(const struct km_geometry *geometry, const char *name);
void km_geometry_limits(
	const struct km_geometry *geometry, const char *name, uint64_t *ret_min, uint64_t *ret_max);

#define KM_MIN_STALL_NS UINT64_C(1000000)
#define KM_MAX_STALL_NS (UINT64_C(3600) * 1000000000)

/* FNV-1a-64 of the geometry. */
uint64_t km_geometry_hash(const struct km_geometry *geometry);

/* FNV-1a-64 of a whole config: of the geometry, and of how long the topic lives. A config without
 * linger that isn't persistent has its geometry's hash. */
uint64_t km_config_hash(
	const struct km_geometry *geometry, uint64_t linger_ns, uint32_t persistent);

/* The longest time that a topic may linger: a year. */
#define KM_MAX_LINGER_NS (UINT64_C(366) * 24 * 3600 * 1000000000)

/* Bytes of the segments of a good geometry. Without a shared ring the bell's are 0. */
uint64_t km_geometry_control_size(const struct km_geometry *geometry);
uint64_t km_geometry_payload_size(const struct km_geometry *geometry);
uint64_t km_geometry_bell_size(const struct km_geometry *geometry);
/* Bytes that are reserved for all of them: each is whole pages. */
uint64_t km_geometry_total_size(const struct km_geometry *geometry);

/* Entries of held[] that a subscriber's record has. */
uint32_t km_geometry_held_count(const struct km_geometry *geometry);

/* Bytes of an endpoint record, a multiple of KM_CACHE_LINE. */
uint64_t km_geometry_endpoint_size(const struct km_geometry *geometry, enum km_role role);

/*
 * The pool below which `send` can meet an empty one with everybody within their limits. `uneven`:
 * subscribers may skip their own messages (of a broadcast). Rings of the gone need nothing: a
 * publisher that finds no slot free empties them first.
 */
uint64_t km_geometry_needed_pool(const struct km_geometry *geometry, bool uneven);

/* The geometry's pool_size; where that is 0, the needed pool. The result may be too large for a
 * topic. Where another field is bad, it is a size that is good, so that a check names that field.
 */
uint32_t km_geometry_pool(const struct km_geometry *geometry, bool uneven);

/* Writes a new region into zeroed memory. `geometry` must be good. */
void km_region_format(void *control, const struct km_geometry *geometry, const char *region_name,
	const char *topic, uint64_t created_realtime_ns);

/* The part of a header that stays as it is, for a topic that is neither lingering nor persistent.
 */
void km_region_describe(struct km_control_header *ret, const struct km_geometry *geometry,
	const char *region_name, const char *topic, uint64_t created_realtime_ns);

/*
 * Where everything is in a control segment of `control_size` bytes that the broker formatted with
 * such a geometry, of which it keeps a copy; `payload` (payload_size bytes) may be null. The memory
 * stays the caller's. Nothing is read there: what its header says of the geometry, clients can
 * write. Errors: -EPROTO the geometry is bad, or more than the segments have room for.
 */
int km_region_attach(struct km_region *ret, const struct km_geometry *geometry, void *control,
	uint64_t control_size, void *payload, uint64_t payload_size);

static inline struct km_ring *km_region_ring(const struct km_region *region, uint32_t index)
{
	return (struct km_ring *)(region->rings + index * region->ring_stride);
}

static inline struct km_shared_cell *km_region_cell(
	const struct km_region *region, uint64_t position)
{
	return (struct km_shared_cell *)(region->shared->cells +
					 (position & region->cell_mask) * region->cell_stride);
}

static inline struct km_sample_header *km_region_sample(
	const struct km_region *region, uint32_t slot)
{
	return (struct km_sample_header *)(region->payload + slot * region->payload_stride);
}

static inline unsigned char *km_region_payload(const struct km_region *region, uint32_t slot)
{
	return region->payload + slot * region->payload_stride + sizeof(struct km_sample_header);
}
