/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One subscriber's ring: a window of cells. Many publishers append to it and evict from it, and one
 * subscriber takes from it. It is lock-free in the strict sense: there is no intermediate state, so
 * nobody waits for an endpoint that stops, at whatever instruction.
 *
 *   position p, a u64 that only grows     cell p % capacity holds [lap(p) : 40 | slot : 24]
 *
 *        head             hint   frontier
 *         |                |       |
 *   ... [l|a] [l|b] [l|c] [l|d] [l-1|x] [l-1|y] ...      the window is head .. frontier: the
 *                                                        positions whose cells carry their lap
 *   commit  one CAS of one cell word at the frontier: [lap-1 | *] -> [lap | slot]
 *   take    CAS head h -> h+1 by the subscriber: the message is the subscriber's
 *   evict   CAS head h -> h+1 by a publisher that finds p - head == capacity: the old message is the
 *           publisher's to drop
 *
 * Invariants
 * - The commit CAS arbitrates a position, the CAS on head arbitrates the slot that leaves.
 *   Positions are committed in order without holes: p is tried only when every earlier cell was
 *   seen committed.
 * - head <= frontier <= head + capacity. Rings are never reset; the first position is `capacity`,
 *   the first lap 1, so zeroed cells are those of lap 0.
 * - hint <= frontier: it is stored after the commit that it speaks of. It may go back. A stale one
 *   costs steps, never correctness.
 * - Laps are compared modulo 2^40 as signed distances. A publisher would have to stand still for
 *   2^39 laps to be mistaken.
 *
 * Orders
 *   R1 cell load            acquire             pairs with R3: the payload of a committed slot
 *   R2 head load            acquire             pairs with R4, R6: what was taken is gone
 *   R3 commit CAS           seq_cst / relaxed   pairs with R1; store -> load with W1 (waiter.h)
 *   R4 evict CAS            release / relaxed   pairs with R2, C4 (reconcile.c): `evicting` is seen
 *   R5 hint load / store    acquire / release   pairs with itself: cells up to the hint are seen
 *   R6 take CAS             release / relaxed   pairs with R2, C4 (reconcile.c): held[] is seen
 *
 * None can be weaker: `explore orders` has the trace for each (R1, R2, R4, R6 in scenario
 * evict_take, R5 in full_ring, R3's seq_cst in sleep_wake).
 *
 * Crash points: before R3 the message isn't in, after it is; before R4 or R6 the old message is in
 * the window, after it is in nobody's but the dead hazard's, so its bit is stale.
 *
 * Nothing here trusts the memory: with a corrupt ring that stands still every loop ends, in
 * -ESTALE.
 */
#pragma once

#include <errno.h>

#include "common/memory/cell.h"
#include "common/memory/region.h"
#include "common/ring/endpoint.h"
#include "common/ring/slot.h"

/* One publisher's memory of one ring. The memory is private, and both values may be old. */
struct km_ring_cursor {
	uint64_t head; /* some head that was read; head only grows */
	uint64_t next; /* behind the last message that it put there */
};

/* Bits that an evictor has taken out of rings and not yet dropped. All are bits of one slot, which
 * `evicting` names until the last is dropped. Rings hold largely the same messages, so one drop
 * often does for many rings. */
struct km_ring_drops {
	uint32_t slot;
	uint64_t bits;
};

/* Tells the caller of km_ring_commit() what the commit pushed out. */
struct km_ring_result {
	uint64_t position; /* where the message went */
	uint32_t evictions;
	struct km_ring_drops drops; /* of the caller to km_ring_drop_evicted() */
};

/* Is a number that a subscriber's ring has in a cell no slot, but a late cell's (kept.h)? */
static inline bool km_ring_is_late(const struct km_region *region, uint32_t number)
{
	return region->kept && number & KM_CELL_LATE;
}

static inline void km_ring_drop_evicted(const struct km_region *region, struct km_ring_drops *drops)
{
	if (drops->bits)
		km_slot_drop(&region->slots[drops->slot], drops->bits);
	drops->bits = 0;
}

/*
 * Makes room at the head of a full ring: evicts slot `old` at position `head`; its bit goes to
 * `drops`. False when somebody else moved the head.
 */
static inline bool km_ring_evict(const struct km_region *region, uint32_t ring_index,
	_Atomic uint32_t *evicting, uint64_t head, uint32_t old, struct km_ring_drops *drops)
{
	if (drops->slot != old)
		km_ring_drop_evicted(region, drops);
	km_hazard_set(evicting, old);
	if (!km_cas(R4, release, relaxed, &km_region_ring(region, ring_index)->head, &head,
		    head + 1))
		return false;
	drops->slot = old;
	drops->bits |= UINT64_C(1) << ring_index;
	return true;
}

/* Evicts like km_ring_evict(), also a late cell, which has no reference that is to be dropped. Returns 1; 0:
 * somebody else moved the head; or -ESTALE. */
static inline int km_ring_evict_any(const struct km_region *region, uint32_t ring_index,
	_Atomic uint32_t *evicting, uint64_t head, uint32_t old, struct km_ring_drops *drops)
{
	if (old < region->geometry.pool_size)
		return km_ring_evict(region, ring_index, evicting, head, old, drops);
	if (!km_ring_is_late(region, old))
		return -ESTALE;
	return km_cas(
		R4, release, relaxed, &km_region_ring(region, ring_index)->head, &head, head + 1);
}

/* Fetches the lines that km_ring_commit() will most likely write, while the caller is still at
 * other rings. */
static inline void km_ring_prefetch(
	const struct km_region *region, uint32_t ring_index, const struct km_ring_cursor *cursor)
{
	struct km_ring *ring = km_region_ring(region, ring_index);

	km_prefetch_own(&ring->cells[cursor->next & region->cell_mask]);
	km_prefetch_read(&ring->waiting);
}

/*
 * The usual case, whose twin is km_ring_commit(): the frontier is where this publisher left it, and there is
 * room as far as it knows. True: the message is in.
 */
static km_always_inline bool km_ring_append(const struct km_region *region, struct km_ring *ring,
	uint32_t slot, struct km_ring_cursor *cursor)
{
	const uint64_t p = cursor->next, lap = p >> region->cell_shift;
	_Atomic uint64_t *cell = &ring->cells[p & region->cell_mask];

	if (p - cursor->head > region->cell_mask)
		return false;
	const uint64_t fresh = km_cell_word(lap, 0);
	uint64_t word = km_load(R1, acquire, cell);
	if (word - (fresh - KM_CELL_LAP) > KM_CELL_SLOT_MASK ||
		!km_cas(R3, seq_cst, relaxed, cell, &word, fresh | slot))
		return false;
	cursor->next = p + 1;
	km_store(R5, release, &ring->hint, p + 1);
	return true;
}

/*
 * The twin of km_ring_append(), for all cases.
 * Appends `slot`, whose word carries the ring's bit, pushing out the oldest message of a full ring.
 * `endpoint` is the caller's; its `delivering` names the slot. Errors: -ESTALE the ring makes no
 * sense.
 */
static inline int km_ring_commit(const struct km_region *region, uint32_t ring_index, uint32_t slot,
	struct km_endpoint *endpoint, struct km_ring_cursor *cursor, struct km_ring_result *ret)
{
	struct km_ring *ring = km_region_ring(region, ring_index);
	const uint32_t shift = region->cell_shift;
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	uint64_t p = km_load(R5, acquire, &ring->hint);

	if ((int64_t)(p - cursor->head) < 0)
		p = cursor->head;
	for (;;) {
		_Atomic uint64_t *cell = &ring->cells[p & region->cell_mask];
		uint64_t word = km_load(R1, acquire, cell);
		int64_t ahead = km_cell_laps_ahead(word, p, shift);

		if (ahead >= 0) { /* p or its next lap was committed: go behind it */
			p += ((uint64_t)ahead << shift) + 1;
			/* A good ring holds nothing beyond head + capacity. A ring whose cells lead
			 * in a circle would be followed for ever. */
			if (p - cursor->head > capacity) {
				cursor->head = km_load(R2, acquire, &ring->head);
				if ((int64_t)(p - cursor->head) < 0)
					p = cursor->head;
				else if (p - cursor->head > capacity)
					return -ESTALE;
			}
			continue;
		}
		if (ahead != -1)
			return -ESTALE;
		if (p - cursor->head >= capacity) {
			cursor->head = km_load(R2, acquire, &ring->head);
			if ((int64_t)(p - cursor->head) < 0) { /* the ring went on meanwhile */
				p = cursor->head;
				continue;
			}
			if (p - cursor->head > capacity)
				return -ESTALE;
			if (p - cursor->head == capacity) {
				uint32_t old = km_cell_slot(word);

				int evicted = km_ring_evict_any(region, ring_index,
					&endpoint->evicting, cursor->head, old, &ret->drops);
				if (evicted < 0)
					return evicted;
				if (!evicted)
					continue;
				cursor->head++;
				ret->evictions++;
			}
		}
		if (km_cas(R3, seq_cst, relaxed, cell, &word, km_cell_word(p >> shift, slot))) {
			km_store(R5, release, &ring->hint, p + 1);
			cursor->next = p + 1;
			ret->position = p;
			return 0;
		}
	}
}

/* Returns how many messages a drain pushes out at most: two rings' worth. A publisher that goes on
 * delivering to a ring that isn't live must not keep the caller. */
static inline uint32_t km_ring_drain_limit(const struct km_region *region)
{
	return 2 * region->geometry.ring_capacity + 16;
}

/*
 * Evicts up to `budget` messages from a ring that isn't live. Any process may call it, also at the
 * same time as others; `evicting` is the caller's hazard. Returns how many it pushed out. Errors:
 * -ESTALE.
 */
static inline int km_ring_drain_some(const struct km_region *region, uint32_t ring_index,
	_Atomic uint32_t *evicting, uint32_t budget)
{
	struct km_ring *ring = km_region_ring(region, ring_index);
	struct km_ring_drops drops = { 0 };
	int evictions = 0;

	for (; budget > 0; budget--) {
		uint64_t head = km_load(R2, acquire, &ring->head);
		uint64_t word = km_load(R1, acquire, &ring->cells[head & region->cell_mask]);
		int64_t ahead = km_cell_laps_ahead(word, head, region->cell_shift);
		uint32_t old = km_cell_slot(word);

		if (ahead == -1)
			break;
		if (ahead > 0) {
			/* The ring was full and went on, so head must have moved. */
			if (km_load(R2, acquire, &ring->head) != head)
				continue;
			evictions = -ESTALE;
			break;
		}
		int evicted = ahead < -1 ? -ESTALE
					 : km_ring_evict_any(
						   region, ring_index, evicting, head, old, &drops);
		if (evicted < 0) {
			evictions = -ESTALE;
			break;
		}
		evictions += evicted;
	}
	km_ring_drop_evicted(region, &drops);
	km_hazard_clear(evicting);
	return evictions;
}

/* Evicts everything, but no more than km_ring_drain_limit(). */
static inline int km_ring_drain(
	const struct km_region *region, uint32_t ring_index, _Atomic uint32_t *evicting)
{
	return km_ring_drain_some(region, ring_index, evicting, km_ring_drain_limit(region));
}

/* Fetches the three lines of a message that its subscriber will want at once. */
static km_always_inline void km_ring_prefetch_message(
	const struct km_slot *slot, const struct km_sample_header *sample)
{
	km_prefetch_write(&slot->word);
	km_prefetch_read(sample);
	km_prefetch_read(sample + 1);
}

/* The usual case, whose twin is km_ring_take(), in two steps. The first is km_ring_look_at_next() (spot.h).
 * True: the message is the caller's. False: a publisher has pushed it out. */
static km_always_inline bool km_ring_take_next(struct km_ring *ring, uint64_t next)
{
	return km_cas(R6, release, relaxed, &ring->head, &next, next + 1);
}

/*
 * The twin of km_ring_take_next(), for all cases.
 * Takes the oldest message for the ring's subscriber. `held` is the subscriber's hazard for it: it
 * names the slot on success and nothing otherwise. *ret_slot may be a late cell's number
 * (km_ring_is_late()), which `held` names then without a meaning. Errors: -EAGAIN empty; -ESTALE.
 */
static inline int km_ring_take(const struct km_region *region, struct km_ring *ring,
	_Atomic uint32_t *held, uint64_t *ret_position, uint32_t *ret_slot)
{
	bool hazard = false;
	int r;

	for (;;) {
		uint64_t head = km_load(R2, acquire, &ring->head);
		uint64_t word = km_load(R1, acquire, &ring->cells[head & region->cell_mask]);
		int64_t ahead = km_cell_laps_ahead(word, head, region->cell_shift);
		uint32_t slot = km_cell_slot(word);

		if (ahead == -1) {
			r = -EAGAIN;
			break;
		}
		if (ahead > 0) {
			/* The cell was evicted and overwritten in between, so head must have moved. */
			if (km_load(R2, acquire, &ring->head) != head)
				continue;
			r = -ESTALE;
			break;
		}
		if (ahead < -1 ||
			(slot >= region->geometry.pool_size && !km_ring_is_late(region, slot))) {
			r = -ESTALE;
			break;
		}
		if (slot < region->geometry.pool_size)
			km_ring_prefetch_message(
				&region->slots[slot], km_region_sample(region, slot));
		km_hazard_set(held, slot);
		hazard = true;
		if (km_cas(R6, release, relaxed, &ring->head, &head, head + 1)) {
			*ret_position = head;
			*ret_slot = slot;
			return 0;
		}
	}
	if (hazard)
		km_hazard_clear(held);
	return r;
}

/*
 * Many at a time: looks at the oldest messages, `count` at most, and then takes all of them. Between
 * the two, held[] must name each of the slots. Returns how many there are, 0 also where it isn't the
 * usual case.
 */
static inline uint32_t km_ring_look_at_many(const struct km_region *region, struct km_ring *ring,
	uint32_t count, uint64_t *ret_head, uint32_t *ret_slots)
{
	const uint64_t head = km_load(R2, acquire, &ring->head);
	uint32_t there = 0;

	for (; there < count; there++) {
		const uint64_t p = head + there;
		uint64_t word = km_load(R1, acquire, &ring->cells[p & region->cell_mask]);
		const uint64_t slot = word - km_cell_word(p >> region->cell_shift, 0);

		if (slot >= region->geometry.pool_size)
			break;
		ret_slots[there] = (uint32_t)slot;
	}
	*ret_head = head;
	return there;
}

/* True: the `count` messages from `head` on are the caller's, as a message of km_ring_take_next()
 * is. False: a publisher has pushed one out meanwhile, and none of them is the caller's. A cell is
 * filled anew only when head has gone by it: where head is as it was, the cells are as they were
 * seen. */
static inline bool km_ring_take_many(struct km_ring *ring, uint64_t head, uint32_t count)
{
	return km_cas(R6, release, relaxed, &ring->head, &head, head + count);
}
