/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions that must hold at a shared ring (world.h). They are checked after each write that
 * could break them. */
#include <stdio.h>

#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/explore/engine.h"
#include "tests/explore/places.h"

void world_note_commit(uint64_t message)
{
	uint64_t number = world.frontier[0]++ - world.shape.capacity;

	if (number >= WORLD_MAX_COMMITS)
		ex_fail("explorer: WORLD_MAX_COMMITS is too small");
	world.commits[number].message = message;
}

uint64_t world_committed(uint64_t position)
{
	if (position < world.shape.capacity || position >= world.frontier[0])
		ex_fail("torn: a message at %lu, the frontier is %lu", position, world.frontier[0]);
	return world.commits[position - world.shape.capacity].message;
}

uint64_t world_floor(bool truly)
{
	uint64_t floor = world.frontier[0];

	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (!endpoint->joined || endpoint->role != KM_ROLE_SUBSCRIBER || endpoint->dead ||
			endpoint->left || !(world.shape.reliable >> endpoint->ring & 1))
			continue;
		uint64_t next = !truly ? peek(km_reader_next(world.region, endpoint->ring))
				: endpoint->subscriber ? endpoint->subscriber->handle.place.next
						       : endpoint->start;
		if (next < floor)
			floor = next;
	}
	return floor;
}

static struct world_endpoint *running_publisher(void)
{
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		if (world.endpoints[i].thread == ex.current)
			return &world.endpoints[i];
	ex_fail("a cell is written by one that is no publisher");
	return NULL;
}

/* Checks a word that changed from `before` to `after`: it is a commit at the frontier, or a
 * void. */
void world_check_shared_cell(uint32_t cell, uint64_t before, uint64_t after)
{
	uint64_t lap = after >> KM_CELL_SLOT_BITS, position = lap * world.shape.capacity + cell;
	struct world_endpoint *writer = running_publisher();
	uint32_t old = km_cell_slot(before), ref = km_cell_slot(after);

	if (km_shared_is_slot(old) && peek(&writer->record->evicting) != old)
		ex_fail("hazard: a cell forgot slot %u, its publisher's evicting is %x", old,
			peek(&writer->record->evicting));
	if (lap == before >> KM_CELL_SLOT_BITS) {
		if (ref != KM_SHARED_VOID || !km_shared_is_slot(old))
			ex_fail("void: cell %u went from %lx to %lx", cell, before, after);
		if (world.shape.reliable && position >= world_floor(true))
			ex_fail("void of %lu, which a reliable subscriber needs", position);
		world.commits[position - world.shape.capacity].voided = true;
		return;
	}
	if (position != world.frontier[0])
		ex_fail("hole: commit at %lu, the frontier is %lu", position, world.frontier[0]);
	if (position - world.shape.capacity >= world_floor(true) && world.shape.reliable)
		ex_fail("commit at %lu over %lu, which a reliable subscriber needs", position,
			position - world.shape.capacity);
	if (ref == KM_SHARED_VOID || (km_shared_is_slot(ref) && ref >= world.shape.pool))
		ex_fail("commit of %x", ref);
	/* a call that sends many messages commits the next one after this */
	world_note_commit(writer->publishing++);
}

/* Checks that each slot that a cell names has RING, and has the message that was committed
 * there. */
void world_check_shared(void)
{
	for (uint32_t i = 0; i < world.shape.capacity; i++) {
		uint64_t word = peek(&km_region_cell(world.region, i)->word);
		uint32_t slot = km_cell_slot(word);
		uint64_t p = (word >> KM_CELL_SLOT_BITS) * world.shape.capacity + i;

		if (!km_shared_is_slot(slot))
			continue;
		if (world_word(slot) != KM_SLOT_RING)
			ex_fail("double free: cell %u names slot %u, its word is %lx", i, slot,
				world_word(slot));
		if (world_message(slot) != world_committed(p))
			ex_fail("used while free: slot %u is at %lu, was overwritten", slot, p);
	}
}

void world_check_shared_sleepers(void)
{
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (endpoint->thread < 0 || ex.threads[endpoint->thread].state != EX_ASLEEP)
			continue;
		if (world.said_left && !endpoint->knows_left)
			ex_fail("lost wake-up: %s sleeps, subscribers have left",
				ex.threads[endpoint->thread].name);
		for (uint64_t p = endpoint->subscriber->handle.place.next; p < world.frontier[0];
			p++) {
			uint64_t message = world_committed(p);
			uint32_t publisher = (uint32_t)(message >> 32);

			if ((uint32_t)message <= world.endpoints[publisher].finished)
				ex_fail("lost wake-up: %s sleeps, message %u.%u waits at %lu",
					ex.threads[endpoint->thread].name, publisher,
					(uint32_t)message, p);
		}
	}
}

void world_check_shared_exact(const char *when)
{
	for (uint32_t slot = 0; slot < world.shape.pool; slot++) {
		uint64_t wanted = 0;

		for (uint32_t i = 0; i < world.shape.capacity; i++)
			if (km_cell_slot(peek(&km_region_cell(world.region, i)->word)) == slot)
				wanted = KM_SLOT_RING;
		if (world_word(slot) != wanted)
			ex_fail("leak: %s, slot %u's word is %lx, the cells say %lx", when, slot,
				world_word(slot), wanted);
	}
}
