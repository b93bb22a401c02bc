/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's control and payload segments as one process sees them: where things are, by a geometry
 * that was copied and checked once. Nothing here is shared; the pointers lead into what is.
 *
 * Orders of the header
 *   L0 format: positions, then magic    relaxed, release   pairs with the acquire of attach
 * and of header->live (written by the broker; KM_LIVE_LEFT and what follows it by participants)
 *   L1 publisher's load           acquire   pairs with L2: the ring was drained and its head read
 *   L2 set or clear a ring's bit  release   pairs with L1
 *   L3 give the region up, or leave it behind: set the bit, then wake all; a sleeper announces, then
 *      looks                      seq_cst / relaxed   pairs with W1, W2
 * L3 can't be weaker (`explore orders`, scenario given_up). No trace needs L1 and L2 (the commit CAS
 * reads the newest cell whatever was seen before); they cost nothing on x86-64 and one load on arm64,
 * and stay.
 */
#pragma once

#include <stdbool.h>

#include "layout.h"

struct km_region {
	struct km_control_header *header;
	struct km_slot *slots;         /* [geometry.pool_size] */
	unsigned char *rings;          /* [ring_count], ring_stride bytes each */
	struct km_shared_ring *shared; /* or null: a ring for each subscriber */
	struct km_bell *bell;          /* of a shared ring; who maps it sets it */
	unsigned char *payload; /* [geometry.pool_size], payload_stride bytes each; may be null */
	uint64_t ring_stride;
	bool sole;            /* a shared ring whose publisher can have no rival */
	uint64_t cell_stride; /* of the shared ring */
	uint64_t buffer_step; /* from a shared cell's one buffer to its other; 0: there are none */
	uint64_t payload_stride;
	uint64_t control_size;
	uint64_t payload_size;
	uint32_t ring_count;
	uint32_t cell_mask;  /* capacity - 1 */
	uint32_t cell_shift; /* log2(capacity) */
	struct km_geometry geometry;
};

/* The seed's defaults. */
void km_geometry_init(struct km_geometry *geometry);

/* What a bad geometry has wrong, as a field's name, or null when it is good. All sizes that follow
 * from a good one fit 63 bits. */
const char *km_geometry_check(const struct km_geometry *geometry);

/* The field in which two differ, or null. */
const char *km_geometry_diff(const struct km_geometry *a, const struct km_geometry *b);

/* The value of a field that one of the two calls above named, and what it may be in such a
 * geometry. */
uint64_t km_geometry_field(const struct km_geometry *geometry, const char *name);
void km_geometry_limits(
	const struct km_geometry *geometry, const char *name, uint64_t *ret_min, uint64_t *ret_max);

/* FNV-1a-64 of the geometry. */
uint64_t km_geometry_hash(const struct km_geometry *geometry);

/* The same of a whole config: geometry, and how long the topic lives. One without linger and not
 * persistent has its geometry's. */
uint64_t km_config_hash(
	const struct km_geometry *geometry, uint64_t linger_ns, uint32_t persistent);

/* Longest time that a topic may linger: a year. */
#define KM_MAX_LINGER_NS (UINT64_C(366) * 24 * 3600 * 1000000000)

/* Bytes of the segments of a good geometry. The bell's are 0 where there is none. */
uint64_t km_geometry_control_size(const struct km_geometry *geometry);
uint64_t km_geometry_payload_size(const struct km_geometry *geometry);
uint64_t km_geometry_bell_size(const struct km_geometry *geometry);

/* Entries of held[] that a subscriber's record has. */
uint32_t km_geometry_held_count(const struct km_geometry *geometry);

/* Bytes of an endpoint record, a multiple of KM_CACHE_LINE. */
uint64_t km_geometry_endpoint_size(const struct km_geometry *geometry, enum km_role role);

/*
 * The pool below which `send` can meet an empty one with everybody within their limits. `uneven`:
 * subscribers may skip their own messages (of a broadcast). Rings of the gone need nothing: who
 * finds no slot free empties them first.
 */
uint64_t km_geometry_needed_pool(const struct km_geometry *geometry, bool uneven);

/* Writes a new region into zeroed memory; the magic last. `geometry` must be good. */
void km_region_format(void *control, const struct km_geometry *geometry, const char *region_name,
	const char *topic, uint64_t created_realtime_ns);

/*
 * Looks at a control segment of `control_size` bytes that somebody formatted, copies its geometry
 * and checks all of it; `payload` (payload_size bytes) may be null. The memory stays the caller's.
 * Errors: -EPROTO not a region, of another version, or a geometry that doesn't fit its size.
 */
int km_region_attach(struct km_region *ret, void *control, uint64_t control_size, void *payload,
	uint64_t payload_size);

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
