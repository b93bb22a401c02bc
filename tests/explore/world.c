/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. This file looks at memory from outside: at its newest state, with no step of its own. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "internal.h"
#include "waiter.h"

enum place_kind {
	PLACE_NONE,
	PLACE_WORD,
	PLACE_GENERATION,
	PLACE_HEAD,
	PLACE_HINT,
	PLACE_WAITING,
	PLACE_CELL,
	PLACE_LIVE,
	PLACE_HAZARD,
};

struct place {
	uint8_t kind, index, cell;
};

#define peek(pointer) atomic_load_explicit(pointer, memory_order_relaxed)

struct world world;

static struct {
	_Alignas(64) unsigned char shared[WORLD_SIZE];
	_Alignas(64) unsigned char private[WORLD_PRIVATE_SIZE];
} memory_, saved_memory;
static struct world saved_world;
static struct place places[WORLD_SIZE / 4];

void *world_private(uint64_t size)
{
	uint32_t at = world.private_used;

	world.private_used += (uint32_t) ((size + 63) & ~UINT64_C(63));
	if (world.private_used > WORLD_PRIVATE_SIZE)
		ex_fail("explorer: WORLD_PRIVATE_SIZE is too small");
	return memory_.private + at;
}

void *world_calloc(uint64_t count, uint64_t size)
{
	void *memory = world_private(count * size);

	memset(memory, 0, count * size);
	return memory;
}

void world_free(void *memory)
{
	/* comes back with the next run */
}

bool world_is_shared(const volatile void *memory)
{
	return (uintptr_t) memory - (uintptr_t) memory_.shared < WORLD_SIZE;
}

unsigned world_offset(const volatile void *memory)
{
	return (unsigned) ((uintptr_t) memory - (uintptr_t) memory_.shared);
}

int world_slot_of_payload(const volatile void *memory)
{
	uint64_t offset = (uintptr_t) memory - (uintptr_t) world.region->payload;
	uint64_t slot = offset / world.region->payload_stride;

	return slot < world.shape.pool ? (int) slot : -1;
}

static void mark(const volatile void *memory, enum place_kind kind, uint32_t index, uint32_t cell)
{
	places[world_offset(memory) / 4] = (struct place){ kind, (uint8_t) index, (uint8_t) cell };
}

static void mark_places(void)
{
	struct km_region *region = world.region;

	memset(places, 0, sizeof places);
	mark(&region->header->live, PLACE_LIVE, 0, 0);
	for (uint32_t i = 0; i < world.shape.pool; i++) {
		mark(&region->slots[i].word, PLACE_WORD, i, 0);
		mark(&region->slots[i].generation, PLACE_GENERATION, i, 0);
	}
	for (uint32_t i = 0; i < world.shape.rings; i++) {
		struct km_ring *ring = km_region_ring(region, i);

		mark(&ring->head, PLACE_HEAD, i, 0);
		mark(&ring->hint, PLACE_HINT, i, 0);
		mark(&ring->waiting, PLACE_WAITING, i, 0);
		for (uint32_t k = 0; k < world.shape.capacity; k++)
			mark(&ring->cells[k], PLACE_CELL, i, k);
	}
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		struct km_endpoint *record = world.parties[i].record;

		mark(&record->delivering, PLACE_HAZARD, i, 0);
		mark(&record->evicting, PLACE_HAZARD, i, 1);
		for (uint32_t k = 0; k < record->held_count; k++)
			mark(&record->held[k], PLACE_HAZARD, i, 2 + k);
	}
}

static unsigned char *make_records(const struct km_geometry *geometry, unsigned char *at)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		struct world_party *party = &world.parties[i];
		bool publisher = i < world.shape.publishers;

		party->role = publisher ? KM_ROLE_PUBLISHER : KM_ROLE_SUBSCRIBER;
		party->id = i + 1;
		party->ring = publisher ? 0 : (i - world.shape.publishers) % world.shape.rings;
		party->record = (struct km_endpoint *) at;
		at += km_geometry_endpoint_size(geometry, party->role);
	}
	return at;
}

void world_make(const struct world_shape *shape)
{
	struct km_geometry geometry = {
		.max_subscribers = shape->rings,
		.ring_capacity = shape->capacity,
		.pool_size = shape->pool,
		.max_publishers = shape->publishers,
		.max_payload_size = 64,
		.max_loans = 2,
		.max_borrows = shape->max_borrows ? shape->max_borrows : 1,
	};
	unsigned char *control = memory_.shared, *payload, *end;

	memset(&memory_, 0, sizeof memory_);
	memset(&world, 0, sizeof world);
	world.shape = *shape;
	world.region = world_private(sizeof *world.region);
	payload = control + km_geometry_control_size(&geometry);
	end = make_records(&geometry, payload + km_geometry_payload_size(&geometry));
	if (end > memory_.shared + WORLD_SIZE)
		ex_fail("explorer: WORLD_SIZE is too small");
	km_region_format(control, &geometry, "/explore", "explore", 0);
	if (km_region_attach(world.region, control, km_geometry_control_size(&geometry), payload,
		    km_geometry_payload_size(&geometry)) < 0)
		ex_fail("explorer: this shape is refused");
	for (uint32_t i = 0; i < shape->rings; i++)
		world.frontier[i] = shape->capacity;
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

uint64_t world_message(uint32_t slot)
{
	return *(const uint64_t *) km_region_payload(world.region, slot);
}

static uint64_t head_of(uint32_t ring)
{
	return peek(&km_region_ring(world.region, ring)->head);
}

static bool has_owner(uint32_t ring)
{
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_PARTIES; i++) {
		const struct world_party *party = &world.parties[i];

		if (party->joined && !party->dead && !party->left && party->ring == ring)
			return true;
	}
	return false;
}

/* Each position of the window has its bit and its message. */
static void check_windows(void)
{
	const uint32_t mask = world.shape.capacity - 1;

	for (uint32_t r = 0; r < world.shape.rings; r++)
		for (uint64_t p = head_of(r); p != world.frontier[r]; p++) {
			struct km_ring *ring = km_region_ring(world.region, r);
			uint32_t slot = km_cell_slot(peek(&ring->cells[p & mask]));

			if (!(world_word(slot) >> r & 1))
				ex_fail("double free: slot %u is in ring %u at %lu, its word is %lx", slot,
					r, p, world_word(slot));
			if (world_message(slot) != world.in_cell[r][p & mask])
				ex_fail("used while free: slot %u is in ring %u at %lu, was overwritten",
					slot, r, p);
		}
}

/* What the living have is theirs. */
static void check_owners(void)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_party *party = &world.parties[i];

		if (party->dead)
			continue;
		if (party->loan && world_word((uint32_t) party->loan - 1) != (uint64_t) party->id << 48)
			ex_fail("double free: slot %d is loaned to publisher %u, its word is %lx",
				party->loan - 1, party->id, world_word((uint32_t) party->loan - 1));
		for (int k = 0; k < 4; k++) {
			int slot = party->holds[k] - 1;

			if (slot >= 0 && !(world_word((uint32_t) slot) >> party->ring & 1))
				ex_fail("double free: slot %d is held by ring %u's subscriber, its word is %lx",
					slot, party->ring, world_word((uint32_t) slot));
		}
	}
}

static void head_moved(uint32_t ring, uint64_t before, uint64_t after)
{
	if (after != before + 1 || after > world.frontier[ring])
		ex_fail("head of ring %u went from %lu to %lu, frontier is %lu", ring, before, after,
			world.frontier[ring]);
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_PARTIES; i++)
		if (world.parties[i].ring == ring)
			world.parties[i].taken = world.in_cell[ring][before & (world.shape.capacity - 1)];
}

static void cell_written(uint32_t ring, uint32_t cell, uint64_t after)
{
	uint64_t lap = after >> KM_CELL_SLOT_BITS, position = lap * world.shape.capacity + cell;
	uint32_t slot = km_cell_slot(after);

	if (position != world.frontier[ring])
		ex_fail("hole: commit at %lu of ring %u, its frontier is %lu", position, ring,
			world.frontier[ring]);
	if (slot >= world.shape.pool)
		ex_fail("commit of slot %u", slot);
	if (position - head_of(ring) >= world.shape.capacity)
		ex_fail("commit at %lu of ring %u over a message that waits", position, ring);
	world.frontier[ring]++;
	world.in_cell[ring][cell] = world_message(slot);
}

static void word_written(const struct km_site *site, uint32_t slot, uint64_t before, uint64_t after)
{
	if (site->kind == KM_EXPLORE_AND && strcmp(site->label, "S4") == 0 && before == after)
		ex_fail("double free: a drop from slot %u of what was not there, its word is %lx", slot,
			before);
}

void world_after_write(const struct km_site *site, const volatile void *memory, uint64_t before,
	uint64_t after)
{
	struct place place = places[world_offset(memory) / 4];

	switch (place.kind) {
	case PLACE_HEAD:
		if (strcmp(site->label, "R4") == 0 && has_owner(place.index) &&
			world_live() >> place.index & 1 &&
			world.frontier[place.index] - before != world.shape.capacity)
			ex_fail("eviction from ring %u, which isn't full", place.index);
		head_moved(place.index, before, after);
		break;
	case PLACE_CELL:
		cell_written(place.index, place.cell, after);
		break;
	case PLACE_LIVE:
		for (uint32_t r = 0; r < world.shape.rings; r++)
			if (after & ~before & UINT64_C(1) << r)
				world.opened[r] = head_of(r);
		return;
	case PLACE_WORD:
		word_written(site, place.index, before, after);
		break;
	default:
		return;
	}
	check_windows();
	check_owners();
}

static void name_hazard(struct place place, char *ret, unsigned long size)
{
	bool publisher = place.index < world.shape.publishers;
	const char *who = publisher ? "pub" : "sub";
	uint32_t index = place.index - (publisher ? 0 : world.shape.publishers);

	if (place.cell < 2)
		snprintf(ret, size, "%s%u.%s", who, index, place.cell ? "evicting" : "delivering");
	else
		snprintf(ret, size, "%s%u.held[%u]", who, index, place.cell - 2u);
}

void world_name_of(const volatile void *memory, char *ret, unsigned long size)
{
	struct place place = places[world_offset(memory) / 4];
	static const char *const parts[] = { "?", "slot", "slot", "ring", "ring", "ring", "ring",
		"header" };
	static const char *const fields[] = { "?", "word", "generation", "head", "hint", "waiting",
		"cell", "live" };

	if (place.kind == PLACE_HAZARD)
		name_hazard(place, ret, size);
	else if (place.kind == PLACE_CELL)
		snprintf(ret, size, "ring%u.cell%u", place.index, place.cell);
	else
		snprintf(ret, size, "%s%u.%s", parts[place.kind], place.index, fields[place.kind]);
}

void world_value_of(const volatile void *memory, uint64_t value, char *ret, unsigned long size)
{
	switch (places[world_offset(memory) / 4].kind) {
	case PLACE_CELL:
		snprintf(ret, size, "[lap %lu|slot %u]", value >> KM_CELL_SLOT_BITS, km_cell_slot(value));
		break;
	case PLACE_WORD:
		if (value == 0)
			snprintf(ret, size, "free");
		else if (value >> 48)
			snprintf(ret, size, "id %lu|%lx", value >> 48, value << 16 >> 16);
		else
			snprintf(ret, size, "bits %lx", value);
		break;
	case PLACE_WAITING:
		snprintf(ret, size, "[%lu%s%s]", value >> 2, value & KM_WAITING_WOKEN ? " WOKEN" : "",
			value & KM_WAITING_ASLEEP ? " ASLEEP" : "");
		break;
	case PLACE_HAZARD:
		if (value == KM_HAZARD_NONE) {
			snprintf(ret, size, "none");
			break;
		}
		/* fallthrough */
	default:
		snprintf(ret, size, "%lx", value);
	}
}

void world_check_sleepers(void)
{
	for (int i = 0; i < ex.thread_count; i++) {
		const struct ex_thread *thread = &ex.threads[i];

		if (thread->state != EX_ASLEEP)
			continue;
		uint32_t ring = places[world_offset(thread->asleep_on) / 4].index;
		for (uint64_t p = head_of(ring); p != world.frontier[ring]; p++) {
			uint64_t message = world.in_cell[ring][p & (world.shape.capacity - 1)];
			uint32_t publisher = (uint32_t) (message >> 32);

			if ((uint32_t) message <= world.parties[publisher].finished)
				ex_fail("lost wake-up: %s sleeps, message %u.%u waits in ring %u",
					thread->name, publisher, (uint32_t) message, ring);
		}
	}
}

void world_check_settled(int index)
{
	struct world_party *party = &world.parties[index];

	if (party->role != KM_ROLE_PUBLISHER || party->settled)
		return;
	for (uint32_t i = 0; i < world.shape.pool; i++)
		if (world_word(i) >> 48 == party->id)
			ex_fail("leak: slot %u is a dead publisher's after a whole pass", i);
	party->finished = UINT32_MAX; /* what it committed is to be had */
	world_check_sleepers();
}

static void check_hazards(const char *when)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_party *party = &world.parties[i];

		if (party->dead)
			continue;
		bool clear = peek(&party->record->delivering) == KM_HAZARD_NONE &&
			peek(&party->record->evicting) == KM_HAZARD_NONE;
		for (uint32_t k = 0; k < party->record->held_count; k++)
			clear &= peek(&party->record->held[k]) == KM_HAZARD_NONE;
		if (!clear)
			ex_fail("%s: a hazard of %s %u still stands", when,
				i < world.shape.publishers ? "publisher" : "subscriber",
				i < world.shape.publishers ? i : i - world.shape.publishers);
	}
}

void world_check_free(const char *when)
{
	for (uint32_t i = 0; i < world.shape.pool; i++)
		if (world_word(i))
			ex_fail("leak: %s, slot %u's word is %lx and nobody has it", when, i, world_word(i));
	for (uint32_t r = 0; r < world.shape.rings; r++)
		if (head_of(r) != world.frontier[r])
			ex_fail("%s: ring %u isn't empty", when, r);
	check_hazards(when);
}
