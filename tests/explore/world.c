/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. This file looks at memory from outside: at its newest state, with no step of its
 * own. */
#include "tests/explore/world.h"

#include <stdio.h>
#include <string.h>

#include "common/ring/waiter.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/explore/engine.h"
#include "tests/explore/places.h"

struct world world;

static struct {
	_Alignas(64) unsigned char shared[WORLD_SIZE];
	_Alignas(64) unsigned char private[WORLD_PRIVATE_SIZE];
} memory_, saved_memory;
static struct world saved_world;
struct world_place world_places[WORLD_SIZE / 4];

void *world_private(uint64_t size)
{
	uint32_t at = world.private_used;

	world.private_used += (uint32_t)((size + 63) & ~UINT64_C(63));
	if (world.private_used > WORLD_PRIVATE_SIZE)
		ex_fail("explorer: WORLD_PRIVATE_SIZE is too small");
	return memory_.private + at;
}

void *world_shared(uint64_t size)
{
	uint32_t at = world.shared_used;

	world.shared_used += (uint32_t)((size + 63) & ~UINT64_C(63));
	if (world.shared_used > WORLD_SIZE)
		ex_fail("explorer: WORLD_SIZE is too small");
	return memory_.shared + at;
}

void *world_calloc(uint64_t count, uint64_t size)
{
	void *memory = world.sharing ? world_shared(count * size) : world_private(count * size);

	memset(memory, 0, count * size);
	return memory;
}

/* The alignment is for speed alone, so nothing here depends on it. */
void *world_aligned_alloc(uint64_t alignment, uint64_t size)
{
	return world_calloc(1, size);
}

void world_free(void *memory)
{
	/* the memory comes back with the next run */
}

bool world_is_shared(const volatile void *memory)
{
	return (uintptr_t)memory - (uintptr_t)memory_.shared < WORLD_SIZE;
}

unsigned world_offset(const volatile void *memory)
{
	return (unsigned)((uintptr_t)memory - (uintptr_t)memory_.shared);
}

int world_slot_of_payload(const volatile void *memory)
{
	uint64_t offset = (uintptr_t)memory - (uintptr_t)world.region->payload;
	uint64_t slot = offset / world.region->payload_stride;

	return slot < world.shape.pool ? (int)slot : -1;
}

static void mark(const volatile void *memory, enum place_kind kind, uint32_t index, uint32_t cell)
{
	world_places[world_offset(memory) / 4] = (struct world_place){ kind, (uint8_t)index,
		(uint8_t)cell };
}

static void mark_shared(void)
{
	const struct km_region *region = world.region;

	mark(&region->header->privileged, PLACE_PRIVILEGED, 0, 0);
	mark(&region->shared->hint, PLACE_SHARED_HINT, 0, 0);
	mark(&region->bell->word, PLACE_BELL, 0, 0);
	mark(&region->bell->left, PLACE_BELL, 0, 1);
	if (world.shape.reliable) {
		mark(&km_room_bell(region)->word, PLACE_BELL, 0, 2);
		for (uint32_t i = 0; i < world.shape.rings; i++)
			mark(km_reader_next(region, i), PLACE_READER, i, 0);
	}
	for (uint32_t i = 0; i < world.shape.capacity; i++) {
		struct km_shared_cell *cell = km_region_cell(region, i);

		mark(&cell->word, PLACE_SHARED_CELL, i, 0);
		for (uint32_t lap = 0; lap < 2; lap++) {
			mark(&cell->heads[lap].sequence, PLACE_SHARED_BYTES, i, 2 * lap);
			mark(&cell->heads[lap].about, PLACE_SHARED_BYTES, i, 2 * lap + 1);
			for (uint32_t word = 0; word < world_words(); word++)
				mark(km_shared_buffer(
					     region, cell, lap, world_size(), world.shape.timed) +
						word,
					PLACE_SHARED_BYTES, i, 4 + 2 * word + lap);
			if (world.shape.timed)
				mark(&cell->small[lap], PLACE_SHARED_BYTES, i, PLACE_TIME + lap);
		}
	}
	for (uint32_t i = 0; i < world.shape.pool; i++) {
		struct km_shared_head *head = km_shared_slot_head(region, i);

		mark(&head->sequence, PLACE_SLOT_BYTES, i, 0);
		mark(&head->about, PLACE_SLOT_BYTES, i, 1);
		if (world.shape.timed)
			mark(km_shared_slot_time(region, i), PLACE_SLOT_BYTES, i, PLACE_TIME);
		for (uint32_t word = 0; word < world_words(); word++)
			mark(km_region_payload(region, i) + 8 * word, PLACE_SLOT_BYTES, i,
				2 + word);
	}
}

static void mark_ring(uint32_t index)
{
	struct km_ring *ring = world_ring(index);

	mark(&ring->head, PLACE_HEAD, index, 0);
	mark(&ring->hint, PLACE_HINT, index, 0);
	mark(&ring->waiting, PLACE_WAITING, index, 0);
	for (uint32_t k = 0; k < world_capacity(index); k++)
		mark(&ring->cells[k], PLACE_CELL, index, k);
}

static void mark_places(void)
{
	struct km_region *region = world.region;

	memset(world_places, 0, sizeof world_places);
	mark(&region->header->live, PLACE_LIVE, 0, 0);
	mark(&region->header->room.word, PLACE_BELL, 0, 2);
	mark(&region->header->reliable, PLACE_READER, 0, 1);
	if (region->shared)
		mark_shared();
	for (uint32_t i = 0; i < world.shape.pool; i++) {
		mark(&region->slots[i].word, PLACE_WORD, i, 0);
		mark(&region->slots[i].generation, PLACE_GENERATION, i, 0);
	}
	for (uint32_t i = 0; i < region->ring_count; i++)
		mark_ring(i);
	if (region->kept)
		mark_ring(WORLD_KEPT);
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		struct km_endpoint *record = world.endpoints[i].record;

		mark(&record->delivering, PLACE_HAZARD, i, 0);
		mark(&record->evicting, PLACE_HAZARD, i, 1);
		for (uint32_t k = 0; k < record->held_count; k++)
			mark(&record->held[k], PLACE_HAZARD, i, 2 + k);
	}
}

static unsigned char *make_records(const struct km_geometry *geometry, unsigned char *at)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		struct world_endpoint *endpoint = &world.endpoints[i];
		bool publisher = i < world.shape.publishers;

		endpoint->role = publisher ? KM_ROLE_PUBLISHER : KM_ROLE_SUBSCRIBER;
		endpoint->id = i + 1;
		endpoint->ring = publisher ? 0 : (i - world.shape.publishers) % world.shape.rings;
		endpoint->record = (struct km_endpoint *)at;
		at += km_geometry_endpoint_size(geometry, endpoint->role);
	}
	return at;
}

void world_make(const struct world_shape *shape)
{
	memset(&memory_, 0, sizeof memory_);
	memset(&world, 0, sizeof world);
	world.shape = *shape;
	struct km_geometry geometry = {
		.max_reliable = (uint32_t)__builtin_popcount(shape->reliable),
		.stall_ns = shape->reliable ? KM_MIN_STALL_NS : 0,
		.max_subscribers = shape->rings,
		.ring_capacity = shape->capacity,
		.pool_size = shape->pool,
		.max_publishers = shape->places ? shape->places : shape->publishers,
		.max_payload_size = shape->shared ? world_size() + shape->spare : 64,
		.max_loans = 2,
		.max_borrows = shape->max_borrows ? shape->max_borrows : 1,
		.transport = shape->shared ? KM_TRANSPORT_SHARED : KM_TRANSPORT_RINGS,
		.timestamps = shape->timed,
		.history = shape->history,
	};
	unsigned char *control = memory_.shared, *payload, *end;

	world.region = world_private(sizeof *world.region);
	payload = control + km_geometry_control_size(&geometry);
	end = make_records(&geometry, payload + km_geometry_payload_size(&geometry));
	struct km_bell *bell = (struct km_bell *)end;
	/* the part of the page that is used */
	if (shape->shared && shape->reliable)
		end = (unsigned char *)&((struct km_bell_page *)bell)->readers[shape->rings];
	else if (shape->shared)
		end += sizeof *bell;
	if (end > memory_.shared + WORLD_SIZE)
		ex_fail("explorer: WORLD_SIZE is too small");
	world.shared_used = (uint32_t)(end - memory_.shared + 63) & ~63u;
	km_region_format(control, &geometry, "/explore", "explore", 0);
	if (km_region_attach(world.region, &geometry, control, km_geometry_control_size(&geometry),
		    payload, km_geometry_payload_size(&geometry)) < 0)
		ex_fail("explorer: this shape is refused");
	world.region->bell = shape->shared ? bell : NULL;
	world.region->header->privileged = shape->privileged;
	for (uint32_t i = 0; i < shape->rings; i++)
		world.frontier[i] = shape->capacity;
	world.frontier[WORLD_KEPT] = world.region->kept_capacity;
	if (world.region->kept_capacity > WORLD_MAX_CAPACITY)
		ex_fail("explorer: WORLD_MAX_CAPACITY is too small");
	for (uint32_t i = 0; i < WORLD_MAX_ENDPOINTS; i++)
		world.endpoints[i].thread = -1;
}

uint64_t *world_spot(uint32_t index)
{
	return (uint64_t *)&world.region->slots[index].word;
}

void *world_payload(uint32_t index)
{
	return km_region_payload(world.region, index);
}

void world_save(void)
{
	mark_places();
	saved_memory = memory_;
	saved_world = world;
}

void world_restore(void)
{
	memcpy(memory_.shared, saved_memory.shared, sizeof memory_.shared);
	memcpy(memory_.private, saved_memory.private, saved_world.private_used);
	world = saved_world;
}

uint64_t world_word(uint32_t slot)
{
	return peek(&world.region->slots[slot].word);
}

uint64_t world_live(void)
{
	return peek(&world.region->header->live);
}

uint32_t world_words(void)
{
	return world.shape.shared ? world.shape.words ? world.shape.words : 1 : 2;
}

uint32_t world_size(void)
{
	return 8 * world_words() - world.shape.short_by;
}

uint64_t world_message(uint32_t slot)
{
	return *(const uint64_t *)km_region_payload(world.region, slot);
}
