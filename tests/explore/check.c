/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions that must hold in the world (world.h). They are checked after each write that
 * could break them. */
#include <stdio.h>
#include <string.h>

#include "common/ring/kept.h"
#include "common/ring/waiter.h"
#include "libclient/handle/handle.h"
#include "tests/explore/engine.h"
#include "tests/explore/places.h"

static uint64_t head_of(uint32_t ring)
{
	return peek(&world_ring(ring)->head);
}

static bool has_owner(uint32_t ring)
{
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (endpoint->joined && !endpoint->dead && !endpoint->left &&
			endpoint->ring == ring)
			return true;
	}
	return false;
}

/* Checks that each position of the window has its bit and its message. A late cell has neither. */
static void check_window(uint32_t r)
{
	const uint32_t mask = world_capacity(r) - 1;

	for (uint64_t p = head_of(r); p != world.frontier[r]; p++) {
		uint32_t slot = km_cell_slot(peek(&world_ring(r)->cells[p & mask]));

		if (km_ring_is_late(world.region, slot))
			continue;
		if (!(world_word(slot) >> world_bit(r) & 1))
			ex_fail("double free: slot %u is in ring %u at %lu, its word is %lx", slot,
				r, p, world_word(slot));
		if (world_message(slot) != world.in_cell[r][p & mask])
			ex_fail("used while free: slot %u is in ring %u at %lu, was overwritten",
				slot, r, p);
	}
}

static void check_windows(void)
{
	for (uint32_t r = 0; r < world.shape.rings; r++)
		check_window(r);
	if (world.region->kept)
		check_window(WORLD_KEPT);
}

/* Checks that the slots that the living have are theirs. */
static void check_owners(void)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (endpoint->dead)
			continue;
		if (endpoint->loan &&
			world_word((uint32_t)endpoint->loan - 1) != (uint64_t)endpoint->id << 48)
			ex_fail("double free: slot %d is loaned to publisher %u, its word is %lx",
				endpoint->loan - 1, endpoint->id,
				world_word((uint32_t)endpoint->loan - 1));
		for (int k = 0; k < 4; k++) {
			int slot = endpoint->holds[k] - 1;

			if (slot >= 0 && !(world_word((uint32_t)slot) >> endpoint->ring & 1))
				ex_fail("double free: slot %d is held by ring %u's subscriber, its "
					"word is %lx",
					slot, endpoint->ring, world_word((uint32_t)slot));
		}
	}
}

static void note_taken(struct world_endpoint *endpoint, uint64_t before, uint64_t after)
{
	for (uint64_t p = before; p != after && endpoint->took_count < WORLD_MAX_CAPACITY; p++)
		endpoint->took[endpoint->took_count++] =
			world.in_cell[endpoint->ring][p & (world.shape.capacity - 1)];
}

/* The message of a cell. A late cell has the message at the position that it names. */
static uint64_t message_of(uint32_t number)
{
	if (!km_ring_is_late(world.region, number))
		return world_message(number);
	uint64_t position = number & KM_CELL_LATE_MASK;
	if (position >= world.frontier[WORLD_KEPT])
		ex_fail("late: a cell names position %lu, the kept ring ends at %lu", position,
			world.frontier[WORLD_KEPT]);
	return world.commits[position - world.region->kept_capacity].message;
}

/* Was the message at a position of a ring sent by a publisher that knew the ring's former owner, and not yet
 * the newcomer? The newcomer drops it. */
static bool is_for_former(uint32_t ring, uint64_t position)
{
	const struct km_ring *memory = world_ring(ring);
	uint32_t slot = km_cell_slot(peek(&memory->cells[position & (world_capacity(ring) - 1)]));

	return world.region->kept && slot < world.shape.pool &&
	       peek(&world.region->slots[slot].opening) < peek(&memory->opening);
}

/* An eviction takes one message, a receive one or many. */
static void head_moved(const struct km_site *site, uint32_t ring, uint64_t before, uint64_t after)
{
	bool takes = strcmp(site->label, "R6") == 0;

	if (after <= before || (after != before + 1 && !takes) || after > world.frontier[ring])
		ex_fail("head of ring %u went from %lu to %lu, frontier is %lu", ring, before,
			after, world.frontier[ring]);
	for (uint32_t i = world.shape.publishers; takes && i < WORLD_MAX_ENDPOINTS; i++)
		if (world.endpoints[i].ring == ring)
			note_taken(&world.endpoints[i], before, after);
	for (uint32_t i = world.shape.publishers; takes && i < WORLD_MAX_ENDPOINTS; i++)
		if (world.endpoints[i].ring == ring)
			world.endpoints[i].taken =
				world.in_cell[ring][before & (world.shape.capacity - 1)];
}

static void cell_written(uint32_t ring, uint32_t cell, uint64_t after)
{
	uint64_t lap = after >> KM_CELL_SLOT_BITS, position = lap * world_capacity(ring) + cell;
	uint32_t slot = km_cell_slot(after);

	if (position != world.frontier[ring])
		ex_fail("hole: commit at %lu of ring %u, its frontier is %lu", position, ring,
			world.frontier[ring]);
	if (slot >= world.shape.pool && !km_ring_is_late(world.region, slot))
		ex_fail("commit of slot %u", slot);
	if (position - head_of(ring) >= world_capacity(ring))
		ex_fail("commit at %lu of ring %u over a message that waits", position, ring);
	if (ring == WORLD_KEPT && position - world_capacity(ring) >= WORLD_MAX_COMMITS)
		ex_fail("explorer: WORLD_MAX_COMMITS is too small");
	if (ring == WORLD_KEPT)
		world.commits[position - world_capacity(ring)].message = world_message(slot);
	world.frontier[ring]++;
	world.in_cell[ring][cell] = message_of(slot);
}

static void word_written(const struct km_site *site, uint32_t slot, uint64_t before, uint64_t after)
{
	if (site->kind == KM_EXPLORE_AND && strcmp(site->label, "S4") == 0 && before == after)
		ex_fail("double free: a drop from slot %u of what was not there, its word is %lx",
			slot, before);
}

void world_after_write(
	const struct km_site *site, const volatile void *memory, uint64_t before, uint64_t after)
{
	struct world_place place = world_places[world_offset(memory) / 4];

	if (world.unmapped && strcmp(site->label, "I4") == 0)
		ex_fail("unmapped: an interrupter moves a word of a region that was left");
	switch (place.kind) {
	case PLACE_HEAD:
		if (strcmp(site->label, "R4") == 0 && world.shape.reliable >> place.index & 1 &&
			has_owner(place.index) && world_live() >> place.index & 1)
			ex_fail("eviction from ring %u, whose subscriber is a reliable one",
				place.index);
		if (strcmp(site->label, "R4") == 0 && has_owner(place.index) &&
			world_live() >> place.index & 1 &&
			world.frontier[place.index] - before != world.shape.capacity &&
			!is_for_former(place.index, before))
			ex_fail("eviction from ring %u, which isn't full", place.index);
		if (place.index == WORLD_KEPT && !world.tight &&
			world.frontier[WORLD_KEPT] - before != world.region->kept_capacity)
			ex_fail("eviction from the kept ring, which isn't full");
		head_moved(site, place.index, before, after);
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
	case PLACE_SHARED_CELL:
		world_check_shared_cell(place.index, before, after);
		break;
	case PLACE_SHARED_BYTES:
	case PLACE_SLOT_BYTES:
		if (world.shape.shared)
			break;
		return;
	default:
		return;
	}
	if (world.shape.shared)
		world_check_shared();
	else
		check_windows();
	check_owners();
}

static bool is_finished(uint64_t message)
{
	return (uint32_t)message <= world.endpoints[message >> 32].finished;
}

static uint64_t message_at(uint32_t ring, uint64_t position)
{
	return world.in_cell[ring][position & (world.shape.capacity - 1)];
}

bool world_has_room(void)
{
	const struct km_geometry *geometry = &world.region->geometry;

	if (world.shape.shared)
		return world_floor(false) + world.shape.capacity > world.frontier[0];
	for (uint32_t r = 0; r < world.shape.rings; r++)
		if (world.shape.reliable & world_live() & UINT64_C(1) << r &&
			world.frontier[r] - head_of(r) >
				geometry->ring_capacity - geometry->max_publishers)
			return false;
	return true;
}

/* The run's end: all threads have stopped. */
void world_check_polled(void)
{
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];
		bool shared = world.shape.shared;
		uint32_t ring = shared ? 0 : endpoint->ring;

		if (!endpoint->polls || endpoint->dead)
			continue;
		if (world.given_up)
			ex_fail("lost readiness: a subscriber polls, the region was given up");
		for (uint64_t p = shared ? endpoint->subscriber->handle.place.next : head_of(ring);
			p < world.frontier[ring]; p++) {
			uint64_t message = shared ? world_committed(p) : message_at(ring, p);

			if (is_finished(message))
				ex_fail("lost readiness: ring %u's subscriber polls, %lx waits",
					endpoint->ring, message);
		}
	}
}

void world_check_sleepers(void)
{
	if (world.shape.shared) {
		world_check_shared_sleepers();
		return;
	}
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];
		uint32_t ring = endpoint->ring;

		if (endpoint->thread < 0 || ex.threads[endpoint->thread].state != EX_ASLEEP)
			continue;
		const char *name = ex.threads[endpoint->thread].name;
		if (world.given_up)
			ex_fail("lost wake-up: %s sleeps, the region was given up", name);
		for (uint64_t p = head_of(ring); p != world.frontier[ring]; p++)
			if (is_finished(message_at(ring, p)))
				ex_fail("lost wake-up: %s sleeps, message %lx waits in ring %u",
					name, message_at(ring, p), ring);
	}
}

void world_check_settled(int index)
{
	struct world_endpoint *endpoint = &world.endpoints[index];

	if (endpoint->role != KM_ROLE_PUBLISHER || endpoint->settled)
		return;
	for (uint32_t i = 0; i < world.shape.pool; i++)
		if (world_word(i) >> 48 == endpoint->id)
			ex_fail("leak: slot %u is a dead publisher's after a whole pass", i);
	endpoint->finished = UINT32_MAX; /* the messages that it committed can be had */
	world_check_sleepers();
}

static void check_hazards(const char *when)
{
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (endpoint->dead)
			continue;
		bool clear = peek(&endpoint->record->delivering) == KM_HAZARD_NONE &&
			     peek(&endpoint->record->evicting) == KM_HAZARD_NONE;
		for (uint32_t k = 0; k < endpoint->record->held_count; k++)
			clear &= peek(&endpoint->record->held[k]) == KM_HAZARD_NONE;
		if (!clear)
			ex_fail("%s: a hazard of %s %u still stands", when,
				i < world.shape.publishers ? "publisher" : "subscriber",
				i < world.shape.publishers ? i : i - world.shape.publishers);
	}
}

static bool is_kept(uint32_t slot)
{
	if (!world.region->kept)
		return false;
	for (uint64_t p = head_of(WORLD_KEPT); p != world.frontier[WORLD_KEPT]; p++)
		if (km_cell_slot(peek(
			    &world.region->kept->cells[p & (world.region->kept_capacity - 1)])) ==
			slot)
			return true;
	return false;
}

void world_check_free(const char *when)
{
	check_hazards(when);
	if (world.shape.shared) {
		world_check_shared_exact(when);
		return;
	}
	for (uint32_t i = 0; i < world.shape.pool; i++)
		if (world_word(i) != (is_kept(i) ? KM_KEPT_BIT : 0))
			ex_fail("leak: %s, slot %u's word is %lx and nobody has it", when, i,
				world_word(i));
	for (uint32_t r = 0; r < world.shape.rings; r++)
		if (head_of(r) != world.frontier[r])
			ex_fail("%s: ring %u isn't empty", when, r);
}
