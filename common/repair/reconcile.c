/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconcile: the slots of the dead come back here. reconcile.h has the use and
 * docs/memory-and-orders.md the proof.
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
 *   step                       why it can't race with a live endpoint
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
 * The kept ring (kept.h) is a ring as any in steps 4 and 5. Nobody owns it, and step 1 leaves it alone.
 * A newcomer that takes a message from there sets held[k] before its bit shows in the word (K9).
 *
 * With the shared ring (shared.h) the travel is delivering -> a cell -> evicting -> dropped; step 1
 * only rings the bell, and step 4 looks at each cell's word.
 *
 * Made in pieces
 *   Between two pieces endpoints attach, leave and die. Each step walks through the endpoints that
 *   exist when the step begins.
 *   - A publisher that attaches during step 3 delivers slots that it claims after step 2, so their
 *     generation has moved. An endpoint that attaches during step 5 moves heads after step 4, so
 *     the windows show what it evicts or takes. Neither has to be seen.
 *   - An endpoint that attached earlier has to be seen. Else the pass drops a bit that the newcomer
 *     has evicted, the slot is claimed and sent again with the same bit, and the newcomer's late drop
 *     takes the bit of the new message.
 *   - Ids are read in step 3 for the same reason: a slot that a newcomer claims before step 2 looks
 *     at it is no orphan.
 *   - An endpoint that dies during the pass may be shown as dead or as alive; both are right. Its record
 *     no longer changes, and what it had is nobody's.
 *   - A ring without an owner may get one at any time, so each piece of step 1 asks which rings have
 *     one. A free ring's stale bits never become its new owner's, since a slot that carries one isn't
 *     claimed before it has lost it.
 *
 * The file is one because the steps prove each other: none can be read or moved without the others.
 *
 * Orders
 *   C1 generation, first     acquire   pairs with S2
 *   C2 word, first           acquire   pairs with S3
 *   C3 delivering            acquire   pairs with H1
 *   C4 head, C5 cells        acquire   pairs with R3, R4, R6, U4
 *   C6 evicting, held        acquire   pairs with H1
 *   C7 word, again           acquire   pairs with S3
 *   C8 generation, again     relaxed   behind C7, which is the acquire; pairs with S2
 *   C9 drop                  release   pairs with S1
 *
 * None can be weaker (`explore orders`: C2, C3, C4, C9 in scenario evict_take, C1, C7 in health,
 * C5, C6 in old_looks).
 *
 * Crash points: every change is one atomic operation on one word after which the region is as good
 * as before; a pass that died is simply begun again.
 *
 * The file is long because one pass is read as a whole: its order is the proof.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/repair/reconcile.h"
#include "common/ring/kept.h"
#include "common/ring/ring.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"

static void report(const struct km_pass *pass, enum km_anomaly_kind kind, uint32_t slot,
	uint32_t ring, uint32_t owner_id)
{
	struct km_anomaly anomaly = {
		.kind = kind, .slot = slot, .ring = ring, .owner_id = owner_id
	};

	if (pass->on_anomaly)
		pass->on_anomaly(pass->userdata, &anomaly);
}

static int corrupt(struct km_pass *pass, const char *reason)
{
	pass->reason = reason;
	report(pass, KM_ANOMALY_CORRUPT, KM_HAZARD_NONE, KM_HAZARD_NONE, 0);
	return -ESTALE;
}

/* Takes one piece of what there is to be done, if anything is left of it. */
static bool spend(uint64_t *work)
{
	return *work > 0 && (*work)--;
}

/* The first walk: counts the endpoints. */
static int survey_endpoints(struct km_pass *pass, uint64_t *work)
{
	struct km_health *health = &pass->result.health;
	struct km_known_endpoint endpoint;

	while (spend(work)) {
		if (!pass->endpoints.next(pass->endpoints.userdata, &endpoint))
			return 0;
		bool publisher = endpoint.role == KM_ROLE_PUBLISHER;

		if (endpoint.state == KM_ENDPOINT_DEAD) {
			health->endpoints_dead++;
			pass->dead_publisher |= publisher;
			report(pass, KM_ANOMALY_DEAD_ENDPOINT, KM_HAZARD_NONE,
				publisher ? KM_HAZARD_NONE : endpoint.ring, endpoint.id);
		} else if (endpoint.state == KM_ENDPOINT_LEAVING) {
			health->endpoints_leaving++;
		} else {
			health->publishers += publisher;
			health->subscribers += !publisher;
		}
	}
	return 1;
}

static bool ring_is_empty(const struct km_region *region, struct km_ring *ring)
{
	uint64_t head = km_load(C4, acquire, &ring->head);
	uint64_t word = km_load(C5, acquire, &ring->cells[head & region->cell_mask]);

	return km_cell_laps_ahead(word, head, region->cell_shift) == -1;
}

/* The part of step 1 that is done at once. Rings without an owner get no new messages, and a
 * subscriber that sleeps beside a dead publisher's message is woken. */
static int close_rings(struct km_pass *pass, uint64_t *work)
{
	const struct km_region *region = pass->region;
	const uint64_t owned = pass->endpoints.owned(pass->endpoints.userdata);
	struct km_health *health = &pass->result.health;

	pass->live = km_load(L4, relaxed, &region->header->live);
	pass->unowned = KM_LIVE_RINGS & ~owned;
	if (pass->live & pass->unowned && pass->what & KM_REPAIR_RINGS)
		km_and(L6, relaxed, &region->header->live, ~pass->unowned);
	/* The publisher may have died between its commit and its ring of the bell. */
	if (region->shared && pass->dead_publisher && pass->what)
		km_bell_ring_anyway(region->bell);
	for (uint32_t i = 0; i < region->ring_count; i++) {
		struct km_ring *ring = km_region_ring(region, i);
		uint64_t bit = UINT64_C(1) << i;

		health->rings_live += (pass->live & bit) != 0;
		if (!(km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP))
			continue;
		/* A dead subscriber's word may say ASLEEP for ever. */
		health->rings_sleeping += (owned & bit) != 0;
		/* The publisher may have died between its commit and its wake. */
		if (pass->dead_publisher && pass->what)
			km_waiter_wake_anyway(ring);
	}
	if (region->shared) /* where each subscriber has all messages */
		health->rings_live = health->subscribers;
	return 0;
}

/* Counts and reports a ring that has no owner, as it is found. */
static void report_ring(struct km_pass *pass, uint32_t index)
{
	bool empty = ring_is_empty(pass->region, km_region_ring(pass->region, index));

	pass->result.health.rings_undrained += !empty;
	if (!empty || pass->live >> index & 1)
		report(pass, KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, index, 0);
}

/* Step 1 for the ring `at`, which may have got an owner since the last piece. */
static int drain_ring(struct km_pass *pass, uint64_t *work)
{
	uint32_t index = (uint32_t)pass->at;
	uint32_t some = pass->left < *work ? pass->left : (uint32_t)*work;
	/* A hazard that nobody looks at: a bit that a dead reconciler evicted is a stale bit like
	 * any. */
	_Atomic uint32_t evicting;

	km_hazard_clear(&evicting);
	int drained = km_ring_drain_some(pass->region, index, &evicting, some);
	if (drained < 0)
		return corrupt(pass, "a ring's head and cells contradict each other");
	pass->drained += (uint32_t)drained;
	pass->left -= some;
	*work -= some;
	if (pass->left > 0 && !ring_is_empty(pass->region, km_region_ring(pass->region, index)))
		return 1;
	pass->result.rings_drained += pass->drained > 0 || pass->live >> index & 1;
	pass->result.messages_drained += pass->drained;
	return 0;
}

/* Step 1: drains the rings without an owner. A ring whose owner has gone since the rings were
 * closed is the next pass's. */
static int drain_rings(struct km_pass *pass, uint64_t *work)
{
	const uint64_t owned = pass->endpoints.owned(pass->endpoints.userdata) | ~pass->unowned;
	int r;

	for (; pass->at < pass->region->ring_count; pass->at++, pass->left = 0, spend(work)) {
		if (*work == 0)
			return 1;
		if (owned >> pass->at & 1)
			continue;
		if (pass->left == 0) {
			report_ring(pass, (uint32_t)pass->at);
			pass->left = km_ring_drain_limit(pass->region);
			pass->drained = 0;
		}
		if (!(pass->what & KM_REPAIR_RINGS))
			continue;
		r = drain_ring(pass, work);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Step 2. */
static int look_at_slots(struct km_pass *pass, uint64_t *work)
{
	const struct km_geometry *geometry = &pass->region->geometry;
	uint64_t rings = pass->region->shared ? KM_SLOT_RING
					      : (UINT64_C(1) << pass->region->ring_count) - 1;

	if (pass->region->kept)
		rings |= KM_KEPT_BIT;

	for (; pass->at < geometry->pool_size; pass->at++) {
		struct km_slot *slot = &pass->region->slots[pass->at];
		struct km_look *look = &pass->looks[pass->at];

		if (!spend(work))
			return 1;
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
static void shield(struct km_pass *pass, uint32_t slot)
{
	if (slot < pass->region->geometry.pool_size)
		pass->looks[slot].shielded = true;
}

/* Step 3. It also learns which ids have a living owner. */
static int look_at_deliveries(struct km_pass *pass, uint64_t *work)
{
	struct km_known_endpoint endpoint;

	while (spend(work)) {
		if (!pass->endpoints.next(pass->endpoints.userdata, &endpoint))
			return 0;
		if (endpoint.state == KM_ENDPOINT_DEAD || endpoint.role != KM_ROLE_PUBLISHER)
			continue;
		if (endpoint.id <= pass->region->geometry.max_publishers)
			pass->id_is_live[endpoint.id] = 1;
		shield(pass, km_load(C3, acquire, &endpoint.record->delivering));
	}
	return 1;
}

/* Step 4 for a shared ring: it has no head, and each cell is in its window. */
static int look_at_cells(struct km_pass *pass, uint64_t *work)
{
	const struct km_region *region = pass->region;

	for (; pass->at <= region->cell_mask; pass->at++) {
		if (!spend(work))
			return 1;
		uint32_t ref = km_cell_slot(
			km_load(C5, acquire, &km_region_cell(region, pass->at)->word));

		if (!km_shared_is_slot(ref))
			continue;
		if (ref >= region->geometry.pool_size)
			return corrupt(pass, "a cell names a slot that isn't there");
		pass->looks[ref].explained |= KM_SLOT_RING;
	}
	return 0;
}

/* Step 4 for the ring `index`: looks at `left` cells from `position` on. */
static int look_at_window(
	struct km_pass *pass, const struct km_region *region, uint32_t index, uint64_t *work)
{
	struct km_ring *ring = km_region_ring(region, index);

	for (; pass->left > 0; pass->left--, pass->position++) {
		if (!spend(work))
			return 1;
		uint64_t p = pass->position;
		uint64_t word = km_load(C5, acquire, &ring->cells[p & region->cell_mask]);
		int64_t ahead = km_cell_laps_ahead(word, p, region->cell_shift);
		uint32_t slot = km_cell_slot(word);

		if (ahead < -1)
			return corrupt(pass, "a ring's head is beyond what was committed");
		if (ahead < 0)
			continue; /* not committed yet */
		if (slot < region->geometry.pool_size)
			pass->looks[slot].explained |= UINT64_C(1) << index;
		else if (!km_ring_is_late(region, slot))
			return corrupt(pass, "a cell names a slot that isn't there");
	}
	return 0;
}

/* Step 4. */
static int look_at_windows(struct km_pass *pass, uint64_t *work)
{
	const struct km_region *region = pass->region;
	int r;

	if (region->shared)
		return look_at_cells(pass, work);
	struct km_region kept = { 0 };

	if (region->kept)
		km_kept_view(region, &kept);
	for (; pass->at < region->ring_count + (region->kept != NULL); pass->at++) {
		const bool last = pass->at == region->ring_count;
		const struct km_region *of = last ? &kept : region;
		uint32_t index = last ? KM_KEPT_RING : (uint32_t)pass->at;

		if (pass->left == 0) {
			struct km_ring *ring = km_region_ring(of, index);

			pass->position = km_load(C4, acquire, &ring->head);
			pass->left = of->cell_mask + 1;
		}
		r = look_at_window(pass, of, index, work);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The samples that a subscriber holds. The ring of a leaving subscriber may have a new owner; the
 * samples carry that ring's bit all the same. */
static void look_at_held(
	struct km_pass *pass, const struct km_known_endpoint *endpoint, uint64_t *work)
{
	for (uint32_t k = 0; k < endpoint->held_count; k++) {
		uint32_t slot = km_load(C6, acquire, &endpoint->record->held[k]);

		if (slot < pass->region->geometry.pool_size &&
			endpoint->ring < pass->region->ring_count)
			pass->looks[slot].explained |= UINT64_C(1) << endpoint->ring;
		spend(work);
	}
}

/* Step 5. */
static int look_at_holds(struct km_pass *pass, uint64_t *work)
{
	struct km_known_endpoint endpoint;

	while (spend(work)) {
		if (!pass->endpoints.next(pass->endpoints.userdata, &endpoint))
			return 0;
		if (endpoint.state == KM_ENDPOINT_DEAD)
			continue;
		if (endpoint.role == KM_ROLE_PUBLISHER)
			shield(pass, km_load(C6, acquire, &endpoint.record->evicting));
		else
			look_at_held(pass, &endpoint, work);
	}
	return 1;
}

/* The second half of step 6: drops those of `suspects` that are still the references that were
 * seen. */
static uint64_t confirm(struct km_pass *pass, uint32_t index, uint64_t suspects, bool drop)
{
	bool orphan = suspects & KM_SLOT_ID_MASK;
	struct km_slot *slot = &pass->region->slots[index];
	const struct km_look *look = &pass->looks[index];
	uint64_t word = km_load(C7, acquire, &slot->word);

	if (orphan && km_slot_id(word) != km_slot_id(look->word))
		return 0;
	if (km_load(C8, relaxed, &slot->generation) != look->generation)
		return 0;
	suspects &= word;
	if (!suspects)
		return 0;
	/* With a shared ring the bit is RING, which belongs to no single ring. */
	uint32_t ring = orphan || pass->region->shared ? KM_HAZARD_NONE
						       : (uint32_t)__builtin_ctzll(suspects);
	report(pass, orphan ? KM_ANOMALY_ORPHANED_SLOT : KM_ANOMALY_STALE_BIT, index, ring,
		orphan ? km_slot_id(word) : 0);
	if (drop)
		km_and(C9, release, &slot->word, ~suspects);
	return suspects;
}

static void settle_orphan(struct km_pass *pass, uint32_t index)
{
	bool drop = pass->what & KM_REPAIR_SLOTS;

	if (confirm(pass, index, KM_SLOT_ID_MASK, drop)) {
		pass->result.health.slots_orphaned++;
		pass->result.slots_reclaimed += drop;
	} else {
		pass->result.health.slots_in_flight++; /* it moved on: somebody alive has it */
	}
}

static void settle_bits(struct km_pass *pass, uint32_t index)
{
	const struct km_look *look = &pass->looks[index];
	struct km_health *health = &pass->result.health;
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
		pass->result.bits_cleared += (uint32_t)__builtin_popcountll(stale);
}

/* A slot that is settled needs its look no more. The pages of a large pool's looks go piece by
 * piece, since the kernel takes ms for all of them. */
static void give_looks_back(struct km_pass *pass)
{
	const uintptr_t mask = KM_PAGE_SIZE - 1;
	/* never the page in which the looks begin: malloc's own words lie there, or a
	 * neighbour's */
	const uintptr_t begin = pass->looks_given ? pass->looks_given
						  : ((uintptr_t)pass->looks | mask) + 1;
	const uintptr_t end = (uintptr_t)&pass->looks[pass->at] & ~mask;

	if (begin < end && madvise((void *)begin, end - begin, MADV_DONTNEED) == 0)
		pass->looks_given = end;
}

/* Step 6. A dead publisher's id is stale whatever hazards say: only its owner could act on it. */
static int settle_slots(struct km_pass *pass, uint64_t *work)
{
	struct km_health *health = &pass->result.health;

	for (; pass->at < pass->region->geometry.pool_size; pass->at++) {
		uint32_t i = (uint32_t)pass->at;
		uint64_t word = pass->looks[i].word;

		if (!spend(work)) {
			give_looks_back(pass);
			return 1;
		}
		if (word == 0)
			health->slots_free++;
		else if (!km_slot_id(word))
			settle_bits(pass, i);
		else if (pass->id_is_live[km_slot_id(word)])
			health->slots_loaned++;
		else
			settle_orphan(pass, i);
	}
	return 0;
}

int km_pass_init(struct km_pass *pass)
{
	const struct km_geometry *geometry = &pass->region->geometry;

	memset(&pass->result, 0, sizeof pass->result);
	pass->reason = NULL;
	pass->step = 0;
	pass->looks_given = 0;
	pass->begun = pass->dead_publisher = false;
	pass->looks = calloc(geometry->pool_size, sizeof *pass->looks);
	pass->id_is_live = calloc(geometry->max_publishers + 1, 1);
	if (pass->looks && pass->id_is_live)
		return 0;
	km_pass_deinit(pass);
	return -ENOMEM;
}

void km_pass_deinit(struct km_pass *pass)
{
	free(pass->looks);
	free(pass->id_is_live);
	pass->looks = NULL;
	pass->id_is_live = NULL;
}

int km_pass_step(struct km_pass *pass, uint64_t work)
{
	static int (*const steps[])(struct km_pass * pass, uint64_t * work) = { survey_endpoints,
		close_rings, drain_rings, look_at_slots, look_at_deliveries, look_at_windows,
		look_at_holds, settle_slots };

	while (pass->step < sizeof steps / sizeof steps[0]) {
		if (!pass->begun) {
			pass->endpoints.rewind(pass->endpoints.userdata);
			pass->at = pass->left = 0;
			pass->begun = true;
		}
		int r = steps[pass->step](pass, &work);
		if (r != 0)
			return r;
		pass->step++;
		pass->begun = false;
	}
	return 0;
}
