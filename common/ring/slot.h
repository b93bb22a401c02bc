/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot words: the single truth about the owners of a payload slot.
 *
 *     63 .. 48         47 ............................. 0
 *     publisher id     one bit per subscriber ring that may hold it
 *
 *          claim: CAS 0 -> id              in_flight: W = targets
 *   free ----------------------> loaned --------------------------> in flight
 *   W=0 <----------------------- id only                            bits only
 *    ^          drop id            <------ taken back: in no ring -----|
 *    +-----------------------------------------------------------------+
 *          drop bit r, once for each ring: release, eviction, undelivered, reconcile
 *
 * Invariants
 * - A reference is a bit with an owner, not a count: dropping is idempotent and attributable.
 * - Dropping is one atomic operation, and 0 is free. So a slot is never between two places, and the
 *   word tells all that a killed process leaves. There is no free list.
 * - `generation` moves at each claim, before the claimed word can be anything but an id. A
 *   reconciler that read a word and sees the same generation later sees a bit that was there all
 *   the time.
 *
 * Orders
 *   S1 claim CAS              acquire / relaxed   pairs with S4: the payload's last reader is done
 *   S2 generation load/bump   relaxed / release   pairs with C1, C8 (reconcile.c): a reader of the
 *                                                 bump sees the claim
 *   S3 W = targets            release             pairs with C2, C7 (reconcile.c): a reader of a bit
 *                                                 sees `delivering`
 *   S4 drop                   release             pairs with S1; also ends what a hazard covered
 *   S5 look for a free slot   relaxed             a wrong look does no harm: S1 decides
 *   S6 W = id, taken back     release             behind S3, which nobody acted upon
 *
 * None of S1 to S4 can be weaker: `explore orders` has the trace for each (S1, S3, S4 in scenario
 * evict_take, S2's store in health). S6 isn't shown to be needed: S2 comes behind it.
 *
 * Crash points: after S1 the dead publisher's id says whose it was; after S3 its bits that are in
 * no ring's window are stale; after S4 there is nothing to do.
 */
#pragma once

#include "common/memory/atomic.h"
#include "common/memory/layout.h"

#define KM_SLOT_ID_SHIFT 48
#define KM_SLOT_BITS     ((UINT64_C(1) << KM_SLOT_ID_SHIFT) - 1)
#define KM_SLOT_ID_MASK  (~KM_SLOT_BITS)
static_assert(KM_MAX_RINGS <= KM_SLOT_ID_SHIFT, "a bit for each ring");
static_assert(
	KM_MAX_PUBLISHERS < UINT64_C(1) << (64 - KM_SLOT_ID_SHIFT), "an id for each publisher");

static inline uint64_t km_slot_id_word(uint32_t publisher_id)
{
	return (uint64_t)publisher_id << KM_SLOT_ID_SHIFT;
}

static inline uint32_t km_slot_id(uint64_t word)
{
	return (uint32_t)(word >> KM_SLOT_ID_SHIFT);
}

static inline bool km_slot_looks_free(struct km_slot *slot)
{
	return km_load(S5, relaxed, &slot->word) == 0;
}

/* Claims a free slot for a publisher. False: somebody has the slot. */
static inline bool km_slot_claim(struct km_slot *slot, uint32_t publisher_id)
{
	uint64_t free_word = 0;

	if (!km_cas(S1, acquire, relaxed, &slot->word, &free_word, km_slot_id_word(publisher_id)))
		return false;
	/* Only the claimer writes the generation, so this is a load and a store. */
	uint64_t generation = km_load(S2, relaxed, &slot->generation);
	km_store(S2, release, &slot->generation, generation + 1);
	return true;
}

/* Turns the caller's loan into a message on its way to the rings `targets` (not 0). The caller's
 * `delivering` names the slot already. */
static inline void km_slot_send(struct km_slot *slot, uint64_t targets)
{
	km_store(S3, release, &slot->word, targets);
}

/* Makes a loan again of what was sent and named in no ring: nobody but a reconciler has seen it. The
 * caller's `delivering` names the slot. As with a claim the generation moves behind the word, so that a
 * reconciler which saw the bit takes a later one for another. */
static inline void km_slot_take_back(struct km_slot *slot, uint32_t publisher_id)
{
	km_store(S6, release, &slot->word, km_slot_id_word(publisher_id));
	uint64_t generation = km_load(S2, relaxed, &slot->generation);
	km_store(S2, release, &slot->generation, generation + 1);
}

/* Takes `mask`, bits or an id that are the caller's to drop, from the word. */
static inline void km_slot_drop(struct km_slot *slot, uint64_t mask)
{
	km_and(S4, release, &slot->word, ~mask);
}
