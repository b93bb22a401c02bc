/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dead left comes back here: see reconcile.h for the use and ../ARCHITECTURE.md for the
 * proof.
 *
 * The order of the looks is the proof. A reference travels, and each step sets the next place
 * before it leaves the last one:
 *
 *   delivering -> a ring's window -> evicting (evicted) or held[k] (taken) -> dropped
 *
 * The pass looks at the places in the order of travel, so it meets each legitimate reference in one
 * place or the next. A bit that was in none of them is nobody's; and since nobody but the
 * reconciler drops a dead owner's bit, the bit itself keeps its slot from being freed and used
 * again in between.
 *
 *   step                       why it can't race with a live participant
 *   1 rings of the dead:       targets that a publisher loaded before are delivered all the same:
 *     no new messages, drain   such a ring is drained again at every pass until it stays empty
 *   2 each slot: generation,   what is found here is only ever a suspicion
 *     word
 *   3 delivering of all        set before the bits show in the word (S3), so it is seen if they
 *     publishers               were
 *   4 each ring: head, then    what was committed since is in the cells, what was committed before
 *     cells                    and has left moved head with evicting or held set before (R4, R6)
 *   5 evicting, held of all    seen if step 4 saw the head that they moved
 *   6 each suspect: word       the same generation: the slot was not claimed in between, so the
 *     again, generation        bit is the one that was seen; another: it is alive, skip it
 *     again, drop
 *
 * With the shared ring (shared.h) the travel is delivering -> a cell -> evicting -> dropped; step 1
 * only rings the bell, and step 4 looks at each cell's word.
 *
 * Orders
 *   C1 generation, first     acquire   pairs with S2
 *   C2 word, first           acquire   pairs with S3
 *   C3 delivering            acquire   pairs with H1
 *   C4 head, C5 cells        acquire   pairs with R3, R4, R6, U4
 *   C6 evicting, held        acquire   pairs with H1
 *   C7 word, again           acquire   pairs with S3
 *   C8 generation, again     acquire   pairs with S2
 *   C9 drop                  release   pairs with S1
 *
 * None can be weaker but C8, which C7 orders already (`explore orders`: C2, C3, C4, C9 in scenario
 * evict_take, C1, C7 in health, C5, C6 in old_looks).
 *
 * Crash points: every change is one atomic operation on one word after which the region is as good
 * as before; a pass that died is simply begun again.
 */
#include <string.h>

#include "bell.h"
#include "cleanup.h"
#include "reconcile.h"
#include "ring.h"
#include "shared.h"
#include "waiter.h"

/* What a pass knows of a slot. */
struct look {
	uint64_t generation;
	uint64_t word;
	uint64_t explained; /* bits of rings whose window or whose holder has it */
	bool shielded;      /* some delivering or evicting names it */
};

struct pass {
	const struct km_region *region;
	const struct km_party *parties;
	size_t party_count;
	unsigned what;
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly);
	void *userdata;
	struct km_reconcile_result *result;
	const char *reason;
	struct look *looks;        /* [pool_size] */
	unsigned char *id_is_live; /* [max_publishers + 1] */
};

static void report(const struct pass *pass, enum km_anomaly_kind kind, uint32_t slot, uint32_t ring,
	uint32_t owner_id)
{
	struct km_anomaly anomaly = {
		.kind = kind, .slot = slot, .ring = ring, .owner_id = owner_id
	};

	if (pass->on_anomaly)
		pass->on_anomaly(pass->userdata, &anomaly);
}

static int corrupt(struct pass *pass, const char *reason)
{
	pass->reason = reason;
	report(pass, KM_ANOMALY_CORRUPT, KM_HAZARD_NONE, KM_HAZARD_NONE, 0);
	return -ESTALE;
}

/* Counts the parties, and says which ids and which rings have a living owner. */
static uint64_t survey_parties(struct pass *pass, bool *ret_dead_publisher)
{
	struct km_health *health = &pass->result->health;
	uint64_t owned = 0;

	*ret_dead_publisher = false;
	for (size_t i = 0; i < pass->party_count; i++) {
		const struct km_party *party = &pass->parties[i];
		bool publisher = party->role == KM_ROLE_PUBLISHER;

		if (party->state == KM_PARTY_DEAD) {
			health->endpoints_dead++;
			*ret_dead_publisher |= publisher;
			report(pass, KM_ANOMALY_DEAD_ENDPOINT, KM_HAZARD_NONE,
				publisher ? KM_HAZARD_NONE : party->ring, party->id);
			continue;
		}
		if (publisher && party->id <= pass->region->geometry.max_publishers)
			pass->id_is_live[party->id] = 1;
		if (party->state == KM_PARTY_LEAVING) {
			health->endpoints_leaving++;
			continue;
		}
		if (publisher)
			health->publishers++;
		else
			health->subscribers++;
		if (!publisher && party->ring < pass->region->ring_count)
			owned |= UINT64_C(1) << party->ring;
	}
	return owned;
}

static bool ring_is_empty(const struct km_region *region, struct km_ring *ring)
{
	uint64_t head = km_load(C4, acquire, &ring->head);
	uint64_t word = km_load(C5, acquire, &ring->cells[head & region->cell_mask]);

	return km_cell_laps_ahead(word, head, region->cell_shift) == -1;
}

/* Step 1. `owned` are the rings with a living, staying owner. */
static int settle_rings(struct pass *pass, uint64_t owned, bool dead_publisher)
{
	const struct km_region *region = pass->region;
	struct km_health *health = &pass->result->health;
	uint64_t live = km_load(L1, acquire, &region->header->live);
	_Atomic uint32_t
		evicting; /* of nobody: what a dead reconciler evicted is a stale bit like any */

	km_hazard_clear(&evicting);
	if (live & KM_LIVE_RINGS & ~owned && pass->what & KM_REPAIR_RINGS)
		km_and(L2, release, &region->header->live, owned | ~KM_LIVE_RINGS);
	/* as below: the dead publisher may have died between its commit and its wake */
	if (region->shared && dead_publisher && pass->what)
		km_bell_ring_anyway(region->bell);
	for (uint32_t i = 0; i < region->ring_count; i++) {
		struct km_ring *ring = km_region_ring(region, i);
		uint64_t bit = UINT64_C(1) << i;
		int drained;

		if (km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP) {
			health->rings_sleeping++;
			/* the dead publisher may have died between its commit and its wake */
			if (dead_publisher && pass->what)
				km_waiter_wake_anyway(ring);
		}
		health->rings_live += (live & bit) != 0;
		if (owned & bit)
			continue;
		if (!ring_is_empty(region, ring)) {
			health->rings_undrained++;
			report(pass, KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, i, 0);
		} else if (live & bit) {
			report(pass, KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, i, 0);
		}
		if (!(pass->what & KM_REPAIR_RINGS))
			continue;
		drained = km_ring_drain(region, i, &evicting);
		if (drained < 0)
			return corrupt(pass, "a ring's head and cells contradict each other");
		pass->result->rings_drained += drained > 0 || live & bit;
		pass->result->messages_drained += (uint32_t)drained;
	}
	return 0;
}

/* Step 2. */
static int look_at_slots(struct pass *pass)
{
	const struct km_geometry *geometry = &pass->region->geometry;
	uint64_t rings = pass->region->shared ? KM_SLOT_RING
					      : (UINT64_C(1) << pass->region->ring_count) - 1;

	for (uint32_t i = 0; i < geometry->pool_size; i++) {
		struct km_slot *slot = &pass->region->slots[i];
		struct look *look = &pass->looks[i];

		look->generation = km_load(C1, acquire, &slot->generation);
		look->word = km_load(C2, acquire, &slot->word);
		if (km_slot_id(look->word) > geometry->max_publishers)
			return corrupt(pass, "a slot's word names a publisher that can't be");
		if (look->word & KM_SLOT_BITS & ~rings)
			return corrupt(pass, "a slot's word names a ring that isn't there");
		if (km_slot_id(look->word) && look->word & KM_SLOT_BITS)
			return corrupt(pass, "a slot is both loaned and in flight");
	}
	return 0;
}

/* A hazard that names no slot is ignored: it can shield nothing but its own writer's references. */
static void shield(struct pass *pass, uint32_t slot)
{
	if (slot < pass->region->geometry.pool_size)
		pass->looks[slot].shielded = true;
}

/* Step 3. */
static void look_at_deliveries(struct pass *pass)
{
	for (size_t i = 0; i < pass->party_count; i++) {
		const struct km_party *party = &pass->parties[i];

		if (party->state != KM_PARTY_DEAD && party->role == KM_ROLE_PUBLISHER)
			shield(pass, km_load(C3, acquire, &party->record->delivering));
	}
}

/* Step 4, where all share a ring: it has no head, each cell is in its window. */
static int look_at_cells(struct pass *pass)
{
	const struct km_region *region = pass->region;

	for (uint32_t i = 0; i <= region->cell_mask; i++) {
		uint32_t ref = km_cell_slot(km_load(C5, acquire, &km_region_cell(region, i)->word));

		if (!km_shared_is_slot(ref))
			continue;
		if (ref >= region->geometry.pool_size)
			return corrupt(pass, "a cell names a slot that isn't there");
		pass->looks[ref].explained |= KM_SLOT_RING;
	}
	return 0;
}

/* Step 4. */
static int look_at_windows(struct pass *pass)
{
	const struct km_region *region = pass->region;

	for (uint32_t i = 0; i < region->ring_count; i++) {
		struct km_ring *ring = km_region_ring(region, i);
		uint64_t head = km_load(C4, acquire, &ring->head);

		for (uint64_t p = head; p != head + region->cell_mask + 1; p++) {
			uint64_t word = km_load(C5, acquire, &ring->cells[p & region->cell_mask]);
			int64_t ahead = km_cell_laps_ahead(word, p, region->cell_shift);
			uint32_t slot = km_cell_slot(word);

			if (ahead < -1)
				return corrupt(pass, "a ring's head is beyond what was committed");
			if (ahead < 0)
				continue; /* not committed yet */
			if (slot >= region->geometry.pool_size)
				return corrupt(pass, "a cell names a slot that isn't there");
			pass->looks[slot].explained |= UINT64_C(1) << i;
		}
	}
	return 0;
}

/* Step 5. A leaving subscriber's ring may have a new owner; what it holds is its own bit all the
 * same. */
static void look_at_holds(struct pass *pass)
{
	const struct km_geometry *geometry = &pass->region->geometry;

	for (size_t i = 0; i < pass->party_count; i++) {
		const struct km_party *party = &pass->parties[i];

		if (party->state == KM_PARTY_DEAD)
			continue;
		if (party->role == KM_ROLE_PUBLISHER) {
			shield(pass, km_load(C6, acquire, &party->record->evicting));
			continue;
		}
		for (uint32_t k = 0; k < party->held_count; k++) {
			uint32_t slot = km_load(C6, acquire, &party->record->held[k]);

			if (slot < geometry->pool_size && party->ring < pass->region->ring_count)
				pass->looks[slot].explained |= UINT64_C(1) << party->ring;
		}
	}
}

/* The second half of step 6: which of `suspects` are still the ones that were seen, and drop them.
 */
static uint64_t confirm(struct pass *pass, uint32_t index, uint64_t suspects, bool drop)
{
	bool orphan = suspects & KM_SLOT_ID_MASK;
	struct km_slot *slot = &pass->region->slots[index];
	const struct look *look = &pass->looks[index];
	uint64_t word = km_load(C7, acquire, &slot->word);

	if (orphan && km_slot_id(word) != km_slot_id(look->word))
		return 0;
	if (km_load(C8, acquire, &slot->generation) != look->generation)
		return 0;
	suspects &= word;
	if (!suspects)
		return 0;
	/* RING is nobody's ring */
	uint32_t ring = orphan || pass->region->shared ? KM_HAZARD_NONE
						       : (uint32_t)__builtin_ctzll(suspects);
	report(pass, orphan ? KM_ANOMALY_ORPHANED_SLOT : KM_ANOMALY_STALE_BIT, index, ring,
		orphan ? km_slot_id(word) : 0);
	if (drop)
		km_and(C9, release, &slot->word, ~suspects);
	return suspects;
}

static void settle_orphan(struct pass *pass, uint32_t index)
{
	bool drop = pass->what & KM_REPAIR_SLOTS;

	if (confirm(pass, index, KM_SLOT_ID_MASK, drop)) {
		pass->result->health.slots_orphaned++;
		pass->result->slots_reclaimed += drop;
	} else {
		pass->result->health.slots_in_flight++; /* it moved on: somebody alive has it */
	}
}

static void settle_bits(struct pass *pass, uint32_t index)
{
	const struct look *look = &pass->looks[index];
	struct km_health *health = &pass->result->health;
	bool drop = pass->what & KM_REPAIR_REFERENCES;
	uint64_t suspects = look->word & KM_SLOT_BITS & ~look->explained;

	if (suspects && look->shielded) {
		health->left_by_hazard += (uint32_t)__builtin_popcountll(suspects);
		suspects = 0;
	}
	uint64_t stale = suspects ? confirm(pass, index, suspects, drop) : 0;
	if (!stale) {
		health->slots_in_flight++;
		return;
	}
	health->slots_stale++;
	health->stale_bits += (uint32_t)__builtin_popcountll(stale);
	if (drop)
		pass->result->bits_cleared += (uint32_t)__builtin_popcountll(stale);
}

/* Step 6. A dead publisher's id is stale whatever hazards say: only its owner could act on it. */
static void settle_slots(struct pass *pass)
{
	struct km_health *health = &pass->result->health;

	for (uint32_t i = 0; i < pass->region->geometry.pool_size; i++) {
		uint64_t word = pass->looks[i].word;

		if (word == 0)
			health->slots_free++;
		else if (!km_slot_id(word))
			settle_bits(pass, i);
		else if (pass->id_is_live[km_slot_id(word)])
			health->slots_loaned++;
		else
			settle_orphan(pass, i);
	}
}

int km_reconcile(const struct km_region *region, const struct km_party *parties, size_t party_count,
	unsigned what, void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly),
	void *userdata, struct km_reconcile_result *ret, const char **ret_reason)
{
	_cleanup_(km_freep) struct look *looks = calloc(region->geometry.pool_size, sizeof *looks);
	_cleanup_(km_freep) unsigned char *ids = calloc(region->geometry.max_publishers + 1, 1);
	struct pass pass = {
		.region = region,
		.parties = parties,
		.party_count = party_count,
		.what = what,
		.on_anomaly = on_anomaly,
		.userdata = userdata,
		.result = ret,
		.looks = looks,
		.id_is_live = ids,
	};
	bool dead_publisher;
	int r;

	memset(ret, 0, sizeof *ret);
	if (!looks || !ids)
		return -ENOMEM;

	uint64_t owned = survey_parties(&pass, &dead_publisher);
	r = settle_rings(&pass, owned, dead_publisher);
	if (r == 0)
		r = look_at_slots(&pass);
	if (r == 0) {
		look_at_deliveries(&pass);
		r = region->shared ? look_at_cells(&pass) : look_at_windows(&pass);
	}
	if (r == 0) {
		look_at_holds(&pass);
		settle_slots(&pass);
	}
	if (r < 0)
		*ret_reason = pass.reason;
	return r;
}
