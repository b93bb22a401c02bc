/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a region: see region.h, and layout.h for the picture.
 * The file is long because what a geometry may be, what it costs and where all lies follow each other.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/memory/atomic.h"
#include "common/memory/cell.h"
#include "common/memory/region.h"

void km_geometry_init(struct km_geometry *geometry)
{
	*geometry = (struct km_geometry){
		.max_subscribers = 16,
		.ring_capacity = 64,
		.max_publishers = 16,
		.max_payload_size = 4096,
		.max_loans = 4,
		.max_borrows = 4,
	};
}

/* The fields that users set, once: names, where they are, and what they may be. */
static const struct field {
	const char *name;
	size_t offset, size;
	uint64_t min, max;
} fields[] = {
#define FIELD(member, min, max)                                                                    \
	{                                                                                          \
#member, offsetof(struct km_geometry, member),                                     \
			sizeof(((struct km_geometry *)0)->member), min, max                        \
	}
	FIELD(max_subscribers, 1, KM_MAX_SUBSCRIBERS),
	FIELD(ring_capacity, 1, KM_MAX_CAPACITY),
	FIELD(max_publishers, 1, KM_MAX_PUBLISHERS),
	FIELD(max_payload_size, 1, KM_MAX_PAYLOAD),
	FIELD(max_loans, 1, KM_MAX_HOLDS),
	FIELD(max_borrows, 1, KM_MAX_HOLDS),
	FIELD(transport, KM_TRANSPORT_RINGS, KM_TRANSPORT_SHARED),
	FIELD(timestamps, 0, 1),
	FIELD(max_reliable, 0, KM_MAX_RINGS),
	FIELD(stall_ns, 0, KM_MAX_STALL_NS),
	FIELD(history, 0, KM_MAX_CAPACITY),
	/* the last field: where its value has to follow from others, the complaint is about
	 * those */
	FIELD(pool_size, KM_MIN_POOL, KM_MAX_POOL),
#undef FIELD
};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static uint64_t field_value(const struct km_geometry *geometry, const struct field *field)
{
	uint32_t narrow;
	uint64_t wide;

	if (field->size == sizeof narrow) {
		memcpy(&narrow, (const char *)geometry + field->offset, sizeof narrow);
		return narrow;
	}
	memcpy(&wide, (const char *)geometry + field->offset, sizeof wide);
	return wide;
}

static bool is_shared(const struct km_geometry *geometry)
{
	return geometry->transport == KM_TRANSPORT_SHARED;
}

/* A private ring needs a cell beyond those that publishers may be about to fill, each one (room.h). And a
 * publisher that has found room has to find a slot as well. */
static const char *check_reliable(const struct km_geometry *geometry)
{
	if (geometry->max_reliable > geometry->max_subscribers)
		return "max_reliable";
	if (geometry->stall_ns < KM_MIN_STALL_NS)
		return "stall_ns";
	if (!is_shared(geometry) && geometry->ring_capacity <= geometry->max_publishers)
		return "ring_capacity";
	return geometry->pool_size < km_geometry_needed_pool(geometry, false) ? "pool_size" : NULL;
}

static bool keeps(const struct km_geometry *geometry)
{
	return geometry->history > 0 && !is_shared(geometry);
}

static uint32_t max_rings(const struct km_geometry *geometry)
{
	return keeps(geometry) ? KM_KEPT_RING : KM_MAX_RINGS;
}

/* A newcomer that is reliable has a private ring that is filled while it still takes its history, so the
 * two don't go together. In a shared ring publishers leave the history untouched, and need a cell more. */
static uint32_t max_history(const struct km_geometry *geometry)
{
	if (geometry->max_reliable == 0)
		return geometry->ring_capacity;
	return is_shared(geometry) ? geometry->ring_capacity - 1 : 0;
}

/* Large enough that the history of a newcomer is pushed out no sooner than its own ring overflows. */
static uint32_t capacity_of_kept(const struct km_geometry *geometry)
{
	uint32_t capacity = geometry->ring_capacity;

	while (keeps(geometry) && capacity < geometry->ring_capacity + geometry->history)
		capacity *= 2;
	return capacity;
}

const char *km_geometry_check(const struct km_geometry *geometry)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		uint64_t value = field_value(geometry, &fields[i]);

		if (value < fields[i].min || value > fields[i].max)
			return fields[i].name;
	}
	if (geometry->ring_capacity & (geometry->ring_capacity - 1))
		return "ring_capacity";
	if (!is_shared(geometry) && geometry->max_subscribers > max_rings(geometry))
		return "max_subscribers";
	if (geometry->history > max_history(geometry))
		return "history";
	return geometry->max_reliable ? check_reliable(geometry)
	       : geometry->stall_ns   ? "stall_ns"
				      : NULL;
}

const char *km_geometry_diff(const struct km_geometry *a, const struct km_geometry *b)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (field_value(a, &fields[i]) != field_value(b, &fields[i]))
			return fields[i].name;
	return NULL;
}

uint64_t km_geometry_field(const struct km_geometry *geometry, const char *name)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (strcmp(fields[i].name, name) == 0)
			return field_value(geometry, &fields[i]);
	return 0;
}

void km_geometry_limits(
	const struct km_geometry *geometry, const char *name, uint64_t *ret_min, uint64_t *ret_max)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (strcmp(fields[i].name, name) == 0) {
			*ret_min = fields[i].min;
			*ret_max = fields[i].max;
		}
	if (strcmp(name, "max_subscribers") == 0 && !is_shared(geometry))
		*ret_max = max_rings(geometry);
	if (strcmp(name, "history") == 0)
		*ret_max = max_history(geometry);
	if (strcmp(name, "stall_ns") == 0 && geometry->max_reliable == 0)
		*ret_max = 0;
	if (geometry->max_reliable == 0)
		return;
	if (strcmp(name, "max_reliable") == 0 && geometry->max_subscribers < *ret_max)
		*ret_max = geometry->max_subscribers;
	if (strcmp(name, "stall_ns") == 0)
		*ret_min = KM_MIN_STALL_NS;
	if (strcmp(name, "ring_capacity") == 0 && !is_shared(geometry))
		*ret_min = (uint64_t)geometry->max_publishers + 1;
	if (strcmp(name, "pool_size") == 0)
		*ret_min = km_geometry_needed_pool(geometry, false);
}

static uint64_t hash_number(uint64_t hash, uint64_t value)
{
	for (unsigned byte = 0; byte < 8; byte++) {
		hash ^= value >> (8 * byte) & 0xff;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

uint64_t km_geometry_hash(const struct km_geometry *geometry)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < FIELD_COUNT; i++)
		hash = hash_number(hash, field_value(geometry, &fields[i]));
	return hash;
}

uint64_t km_config_hash(const struct km_geometry *geometry, uint64_t linger_ns, uint32_t persistent)
{
	uint64_t hash = km_geometry_hash(geometry);

	return linger_ns || persistent ? hash_number(hash_number(hash, linger_ns), persistent)
				       : hash;
}

static uint64_t round_up(uint64_t size, uint64_t unit)
{
	return (size + unit - 1) / unit * unit;
}

/* A ring is whole pairs of lines. Processors that fetch lines in pairs then don't reach into the
 * next ring. */
static uint64_t size_of_ring(uint64_t capacity)
{
	return round_up(sizeof(struct km_ring) + capacity * sizeof(uint64_t), 2 * KM_CACHE_LINE);
}

static uint64_t stride_of_ring(const struct km_geometry *geometry)
{
	return size_of_ring(geometry->ring_capacity);
}

static uint64_t size_of_rings(const struct km_geometry *geometry)
{
	return geometry->max_subscribers * stride_of_ring(geometry) +
	       (keeps(geometry) ? size_of_ring(capacity_of_kept(geometry)) : 0);
}

static uint64_t payload_stride(const struct km_geometry *geometry)
{
	return round_up(
		sizeof(struct km_sample_header) + geometry->max_payload_size, 2 * KM_CACHE_LINE);
}

/* Payloads of up to 8 bytes lie in the cell's own line, unless the times do. */
static uint64_t size_of_buffer(const struct km_geometry *geometry)
{
	return geometry->max_payload_size <= sizeof(uint64_t) && !geometry->timestamps
		       ? 0
		       : round_up(geometry->max_payload_size, KM_CACHE_LINE);
}

/* Bytes from a cell's one buffer to its other, which begins with a pair of lines. */
static uint64_t step_of_buffer(const struct km_geometry *geometry)
{
	uint64_t size = size_of_buffer(geometry);

	return size ? round_up(sizeof(struct km_shared_cell) + size, 2 * KM_CACHE_LINE) -
			       sizeof(struct km_shared_cell)
		    : 0;
}

static uint64_t size_of_cell(const struct km_geometry *geometry)
{
	return round_up(
		sizeof(struct km_shared_cell) + step_of_buffer(geometry) + size_of_buffer(geometry),
		2 * KM_CACHE_LINE);
}

static uint64_t size_of_shared_ring(const struct km_geometry *geometry)
{
	return sizeof(struct km_shared_ring) + geometry->ring_capacity * size_of_cell(geometry);
}

/* Offset of the rings, which begin with a pair of lines. */
static uint64_t rings_offset(const struct km_geometry *geometry)
{
	return round_up(
		sizeof(struct km_control_header) + geometry->pool_size * sizeof(struct km_slot),
		2 * KM_CACHE_LINE);
}

uint64_t km_geometry_control_size(const struct km_geometry *geometry)
{
	return rings_offset(geometry) +
	       (is_shared(geometry) ? size_of_shared_ring(geometry) : size_of_rings(geometry));
}

uint64_t km_geometry_bell_size(const struct km_geometry *geometry)
{
	return is_shared(geometry) ? KM_BELL_SIZE : 0;
}

uint64_t km_geometry_total_size(const struct km_geometry *geometry)
{
	return round_up(km_geometry_control_size(geometry), KM_PAGE_SIZE) +
	       round_up(km_geometry_payload_size(geometry), KM_PAGE_SIZE) +
	       km_geometry_bell_size(geometry);
}

uint32_t km_geometry_held_count(const struct km_geometry *geometry)
{
	return is_shared(geometry) ? 0 : geometry->max_borrows + 1;
}

uint64_t km_geometry_payload_size(const struct km_geometry *geometry)
{
	return geometry->pool_size * payload_stride(geometry);
}

uint64_t km_geometry_endpoint_size(const struct km_geometry *geometry, enum km_role role)
{
	uint64_t held = role == KM_ROLE_SUBSCRIBER ? km_geometry_held_count(geometry) : 0;

	return round_up(sizeof(struct km_endpoint) + held * sizeof(uint32_t), 2 * KM_CACHE_LINE);
}

uint64_t km_geometry_needed_pool(const struct km_geometry *geometry, bool uneven)
{
	/*
	 * Rings hold largely the same last messages; each endpoint may hold some besides. A ring
	 * that lacks its owner's messages reaches back by as many others. All rings together reach
	 * back by no more than there are messages of their owners among the last ones. In a shared
	 * ring all see the same, and subscribers hold nothing.
	 */
	if (is_shared(geometry))
		return geometry->ring_capacity +
		       (uint64_t)geometry->max_publishers * (geometry->max_loans + 2) + 1;
	return (uint64_t)capacity_of_kept(geometry) +
	       (uneven ? (uint64_t)geometry->ring_capacity : 0) +
	       (uint64_t)geometry->max_subscribers * geometry->max_borrows +
	       (uint64_t)geometry->max_publishers * (geometry->max_loans + 2) + 1;
}

uint32_t km_geometry_pool(const struct km_geometry *geometry, bool uneven)
{
	struct km_geometry others = *geometry;

	if (geometry->pool_size > 0)
		return geometry->pool_size;
	others.pool_size = KM_MIN_POOL;
	/* the fields for reliable subscribers need no slot more */
	others.max_reliable = 0;
	others.stall_ns = 0;
	return km_geometry_check(&others) ? KM_MIN_POOL
					  : (uint32_t)km_geometry_needed_pool(geometry, uneven);
}

/* Zeroed cells are those of lap 0. The first message is the first of lap 1. */
static void format_ring(struct km_ring *ring, uint32_t capacity)
{
	km_store(L0, relaxed, &ring->head, capacity);
	km_store(L0, relaxed, &ring->hint, capacity);
}

static void format_rings(const struct km_region *region)
{
	for (uint32_t i = 0; i < region->ring_count; i++)
		format_ring(km_region_ring(region, i), region->geometry.ring_capacity);
	if (region->kept)
		format_ring(region->kept, region->kept_capacity);
}

static void format_shared(const struct km_region *region)
{
	const uint32_t capacity = region->geometry.ring_capacity;

	/* never 0: an observer that finds 0 there looks at memory that was given back */
	km_store(L2, release, &region->header->live, KM_LIVE_OPENING);
	km_store(L0, relaxed, &region->shared->hint, capacity);
	for (uint32_t i = 0; i < capacity; i++)
		km_store(L0, relaxed, &km_region_cell(region, i)->word,
			km_cell_word(0, KM_SHARED_VOID));
}

/* Where everything is in a control segment of such a geometry. */
static void lay_out(struct km_region *ret, void *control, const struct km_geometry *geometry)
{
	unsigned char *base = control;
	void *behind = base + rings_offset(geometry);

	*ret = (struct km_region){
		.header = control,
		.slots = (struct km_slot *)(base + sizeof(struct km_control_header)),
		.ring_stride = stride_of_ring(geometry),
		.cell_stride = size_of_cell(geometry),
		.buffer_step = step_of_buffer(geometry),
		.short_size = geometry->max_payload_size < KM_CACHE_LINE
				      ? geometry->max_payload_size
				      : KM_CACHE_LINE,
		.payload_stride = payload_stride(geometry),
		.control_size = km_geometry_control_size(geometry),
		.payload_size = km_geometry_payload_size(geometry),
		.cell_mask = geometry->ring_capacity - 1,
		.cell_shift = (uint32_t)__builtin_ctz(geometry->ring_capacity),
		.path = geometry->transport | (geometry->timestamps ? KM_PATH_TIMED : 0) |
			(keeps(geometry) ? KM_PATH_KEPT : 0),
		.geometry = *geometry,
	};
	if (is_shared(geometry)) {
		ret->sole = geometry->max_publishers == 1;
		ret->shared = behind;
	} else {
		ret->rings = behind;
		ret->ring_count = geometry->max_subscribers;
	}
	if (keeps(geometry)) {
		ret->kept_capacity = capacity_of_kept(geometry);
		ret->kept = (struct km_ring *)(ret->rings + ret->ring_count * ret->ring_stride);
	}
}

void km_region_describe(struct km_control_header *ret, const struct km_geometry *geometry,
	const char *region_name, const char *topic, uint64_t created_realtime_ns)
{
	km_store(L0, relaxed, &ret->magic, KM_LAYOUT_MAGIC);
	ret->version = KM_LAYOUT_VERSION;
	ret->geometry = *geometry;
	ret->config_hash = km_geometry_hash(geometry);
	ret->created_realtime_ns = created_realtime_ns;
	strncpy(ret->region_name, region_name, sizeof ret->region_name - 1);
	strncpy(ret->topic, topic, sizeof ret->topic - 1);
}

void km_region_format(void *control, const struct km_geometry *geometry, const char *region_name,
	const char *topic, uint64_t created_realtime_ns)
{
	struct km_region region;

	lay_out(&region, control, geometry);
	km_region_describe(region.header, geometry, region_name, topic, created_realtime_ns);
	if (region.shared)
		format_shared(&region);
	else
		format_rings(&region);
}

int km_region_attach(struct km_region *ret, const struct km_geometry *geometry, void *control,
	uint64_t control_size, void *payload, uint64_t payload_size)
{
	if (km_geometry_check(geometry) || km_geometry_control_size(geometry) > control_size ||
		(payload && km_geometry_payload_size(geometry) > payload_size))
		return -EPROTO;
	lay_out(ret, control, geometry);
	ret->payload = payload;
	return 0;
}
