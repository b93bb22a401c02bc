/* SPDX-License-Identifier: Apache-2.0 */
/* The repairer under test, and the count that says whether it did its work: see crash_world.h. */
#include <stdio.h>
#include <string.h>

#include "tests/support/broker/whole_pass.h"
#include "tests/support/crash/crash_world.h"

uint64_t crash_frontier(const struct crash_world *world, uint32_t index)
{
	const struct km_region *region = &world->region;
	uint64_t p = CRASH_CAPACITY;

	if (region->shared) {
		int64_t ahead;

		while ((ahead = km_cell_laps_ahead(
				km_region_cell(region, p)->word, p, region->cell_shift)) >= 0)
			p += (uint64_t)ahead * CRASH_CAPACITY + 1;
		return p;
	}
	struct km_ring *ring = km_region_ring(region, index);
	p = ring->head;

	while (km_cell_laps_ahead(ring->cells[p & region->cell_mask], p, region->cell_shift) == 0)
		p++;
	return p;
}

size_t crash_endpoints(struct crash_world *world,
	struct km_known_endpoint ret[CRASH_PUBLISHERS + CRASH_SUBSCRIBERS])
{
	size_t count = 0;

	for (uint32_t i = 0; i < CRASH_PUBLISHERS; i++)
		if (world->publisher_state[i])
			ret[count++] = (struct km_known_endpoint){
				.record = world->publishers[i].handle.place.record,
				.state = world->publisher_state[i],
				.role = KM_ROLE_PUBLISHER,
				.id = i + 1,
			};
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		if (world->readers[i].state)
			ret[count++] = (struct km_known_endpoint){
				.record = world->subscribers[i].handle.place.record,
				.state = world->readers[i].state,
				.role = KM_ROLE_SUBSCRIBER,
				.ring = i,
				.held_count = km_geometry_held_count(&world->region.geometry),
			};
	return count;
}

bool crash_reconcile(struct crash_world *world, unsigned what, struct km_reconcile_result *ret)
{
	struct km_known_endpoint endpoints[CRASH_PUBLISHERS + CRASH_SUBSCRIBERS];
	size_t count = crash_endpoints(world, endpoints);
	const char *reason = "";
	int r = test_reconcile(
		&world->region, endpoints, count, what, UINT64_MAX, NULL, ret, &reason);

	if (r < 0)
		return crash_fail("reconcile: %d %s", r, reason);
	return true;
}

bool crash_reconcile_all(struct crash_world *world)
{
	struct km_reconcile_result result;

	/* no survivor is in the middle of anything: one pass is enough, the second one finds
	 * nothing */
	if (!crash_reconcile(world, KM_REPAIR_ALL, &result))
		return false;
	if (result.health.left_by_hazard > 0)
		return crash_fail("reconcile left %u bits to a hazard of nobody",
			result.health.left_by_hazard);
	if (!crash_reconcile(world, 0, &result))
		return false;

	const struct km_health *health = &result.health;
	if (health->stale_bits || health->slots_orphaned || health->slots_stale ||
		health->left_by_hazard || health->rings_undrained || result.bits_cleared)
		return crash_fail("after reconcile: %u stale bits, %u orphans, %u undrained rings",
			health->stale_bits, health->slots_orphaned, health->rings_undrained);
	if (health->slots_free + health->slots_loaned + health->slots_in_flight != CRASH_POOL)
		return crash_fail("slots by state: %u free + %u loaned + %u in flight",
			health->slots_free, health->slots_loaned, health->slots_in_flight);
	return true;
}

/* A shared ring: each slot that a cell names is named by it alone and carries RING. */
static bool explain_cells(const struct crash_world *world, uint64_t explained[CRASH_POOL])
{
	const struct km_region *region = &world->region;
	uint64_t frontier = crash_frontier(world, 0);

	for (uint64_t p = frontier - CRASH_CAPACITY; p != frontier; p++) {
		uint64_t word = km_region_cell(region, p)->word;
		uint32_t slot = (uint32_t)(word & 0xffffff);

		if (word >> 24 != p / CRASH_CAPACITY)
			return crash_fail("the cell of %lu carries lap %lu", p, word >> 24);
		if (slot == KM_SHARED_INLINE || slot == KM_SHARED_VOID)
			continue;
		if (slot >= CRASH_POOL || explained[slot])
			return crash_fail("the cell of %lu names slot %u", p, slot);
		explained[slot] = 1;
		if (region->slots[slot].word != 1)
			return crash_fail("slot %u of the cell of %lu has the word %#lx", slot, p,
				region->slots[slot].word);
	}
	return true;
}

/* Finds the bits that rings' windows and survivors' samples explain. False: one of these has
 * lost its slot. */
static bool explain(struct crash_world *world, enum km_role frozen, uint64_t explained[CRASH_POOL])
{
	const struct km_region *region = &world->region;

	if (region->shared)
		return explain_cells(world, explained);
	for (uint32_t r = 0; r < CRASH_SUBSCRIBERS; r++) {
		struct km_ring *ring = km_region_ring(region, r);
		bool mine = world->readers[r].state == KM_ENDPOINT_LIVE;
		uint64_t frontier = crash_frontier(world, r);

		if (frontier - ring->head > CRASH_CAPACITY)
			return crash_fail("ring %u: window of %lu", r, frontier - ring->head);
		if (!mine && frontier != ring->head && frozen == KM_ROLE_NONE)
			return crash_fail("ring %u of nobody isn't empty", r);
		for (uint64_t p = ring->head; p != frontier; p++) {
			uint32_t slot = km_cell_slot(ring->cells[p & region->cell_mask]);

			explained[slot] |= UINT64_C(1) << r;
			if (!(region->slots[slot].word >> r & 1))
				return crash_fail(
					"ring %u: slot %u at %lu isn't its any more", r, slot, p);
		}
		for (uint32_t k = 0; k <= CRASH_BORROWS && mine; k++) {
			struct km_hold *hold = &world->holds[r][k];

			/* the sample that the frozen subscriber is at is left to its hazards */
			if (!km_hold_is_busy(hold) || (frozen == KM_ROLE_SUBSCRIBER && r == 0))
				continue;
			const size_t slot = (size_t)(hold->slot - region->slots);

			explained[slot] |= UINT64_C(1) << r;
			if (!(region->slots[slot].word >> r & 1))
				return crash_fail("subscriber %u holds slot %zu no more", r, slot);
		}
	}
	return true;
}

/* Is the slot in a hazard of the frozen process? */
static bool shown_by_hazard(const struct crash_world *world, enum km_role frozen, uint32_t slot)
{
	const struct km_endpoint *publisher = world->publishers[0].handle.place.record;
	const struct km_endpoint *subscriber = world->subscribers[0].handle.place.record;

	if (frozen == KM_ROLE_PUBLISHER)
		return publisher->delivering == slot || publisher->evicting == slot;
	for (uint32_t k = 0; k < subscriber->held_count && frozen == KM_ROLE_SUBSCRIBER; k++)
		if (subscriber->held[k] == slot)
			return true;
	return false;
}

static bool audit_loan(
	const struct crash_world *world, enum km_role frozen, uint32_t slot, uint32_t id)
{
	if (id > CRASH_PUBLISHERS || world->publisher_state[id - 1] != KM_ENDPOINT_LIVE)
		return crash_fail("slot %u is loaned by %u, who is dead", slot, id);
	if (frozen == KM_ROLE_PUBLISHER && id == 1)
		return true;
	for (uint32_t k = 0; k < CRASH_LOANS; k++)
		if (world->loans[id - 1][k].payload && world->loans[id - 1][k].slot == slot)
			return true;
	return crash_fail("slot %u is loaned by %u, who doesn't know", slot, id);
}

static bool audit_hazards(const struct crash_world *world, enum km_role frozen)
{
	for (uint32_t i = frozen == KM_ROLE_PUBLISHER; i < CRASH_PUBLISHERS; i++) {
		const struct km_endpoint *endpoint = world->publishers[i].handle.place.record;

		if (world->publisher_state[i] == KM_ENDPOINT_LIVE &&
			(endpoint->delivering != KM_HAZARD_NONE ||
				endpoint->evicting != KM_HAZARD_NONE))
			return crash_fail("publisher %u left a hazard", i);
	}
	for (uint32_t i = frozen == KM_ROLE_SUBSCRIBER; i < CRASH_SUBSCRIBERS; i++)
		for (uint32_t k = 0; k < world->subscribers[i].handle.place.record->held_count &&
				     world->readers[i].state == KM_ENDPOINT_LIVE;
			k++) {
			uint32_t entry = world->subscribers[i].handle.place.record->held[k];

			const struct km_hold *hold = &world->holds[i][k];
			const ptrdiff_t slot = hold->slot - world->region.slots;

			if (km_hold_is_busy(hold) ? (ptrdiff_t)entry != slot
						  : entry != KM_HAZARD_NONE)
				return crash_fail("subscriber %u: hazard %u is %u", i, k, entry);
		}
	return true;
}

/* Checks loans: those of the living are theirs, a dead one's are gone, a frozen one's are in
 * between. */
static bool audit_loans(const struct crash_world *world, enum km_role frozen)
{
	for (uint32_t p = 0; p < CRASH_PUBLISHERS; p++)
		for (uint32_t k = 0; k < CRASH_LOANS; k++) {
			const struct km_loan *loan = &world->loans[p][k];

			if (!loan->payload || world->publisher_state[p] != KM_ENDPOINT_LIVE ||
				(frozen == KM_ROLE_PUBLISHER && p == 0))
				continue;
			if (world->region.slots[loan->slot].word != km_slot_id_word(p + 1))
				return crash_fail(
					"publisher %u lost its loan of slot %u", p, loan->slot);
		}
	return true;
}

bool crash_audit_kept(struct crash_world *world)
{
	uint64_t explained[CRASH_POOL] = { 0 };

	return explain(world, KM_ROLE_SUBSCRIBER, explained) && audit_loans(world, KM_ROLE_NONE);
}

bool crash_audit(struct crash_world *world, enum km_role frozen)
{
	uint64_t explained[CRASH_POOL] = { 0 };
	uint32_t victims_loans = 0;
	bool good = explain(world, frozen, explained) && audit_hazards(world, frozen);

	for (uint32_t i = 0; i < CRASH_POOL && good; i++) {
		uint64_t word = world->region.slots[i].word;
		uint64_t bits = word & KM_SLOT_BITS;

		if (km_slot_id(word) && bits)
			return crash_fail("slot %u: word %#lx", i, word);
		if (km_slot_id(word))
			good = audit_loan(world, frozen, i, km_slot_id(word));
		victims_loans += km_slot_id(word) == 1;
		if (bits & ~explained[i] && !shown_by_hazard(world, frozen, i))
			return crash_fail(
				"slot %u: bits %#lx, explained %#lx", i, bits, explained[i]);
	}
	good = good && audit_loans(world, frozen);
	/* the victim's outstanding loans, and the slot, or the batch's slots, that it works on */
	if (good && victims_loans > world->lent_count[0] + (world->is_many ? CRASH_MANY : 1))
		return crash_fail("the victim has %u slots", victims_loans);
	return good;
}
