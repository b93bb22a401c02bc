/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: the reliable subscribers of a shared ring. Each says how far it has come, and a publisher
 * commits no message at a position whose cell holds one that a reader still needs.
 *
 *        floor                                   floor + capacity
 *          |                                            |
 *   ring  [### messages ###...... committed ......:.....|   no commit from here on: no room
 *          ^         ^                            ^
 *          reader 1  reader 0                  frontier
 *
 * The floor is the least `next` of all readers. It is no more than a position that the publisher has seen
 * to be at or before the frontier, less the topic's history. Each position is looked at on its own, just
 * before the CAS that commits it. So nothing is reserved and nothing has to be given back, however many
 * publishers there are: the CAS is of one cell of one lap, and what was room there stays room.
 *
 * Why a floor that was seen once holds for good. A `next` only grows, so an old one is too careful.
 * Of a newcomer that wasn't seen, the bit was set behind the look (V1, V4). Then the broker
 * searched the frontier, and the newcomer begins there, or as far back as the topic's history reaches:
 * at the seen floor or behind it. So a publisher keeps the floor, and looks again only once the room that
 * it knows of is used up. A reader that asks for more than the topic's history may lose the oldest part of
 * that, which is counted.
 *
 * Nothing here is believed. A `next` beyond the frontier counts as the frontier. One that stays back
 * leaves no room, until the broker has made an ordinary subscriber of it (daemon/topic/reliable.h). Any
 * subscriber can write any reader's line, as with rings of their own: it can cost others messages or
 * time, both of them counted, and no memory.
 *
 * Orders
 *   V1 reliable, publisher's load   seq_cst            behind its last commit or look; pairs with V4
 *   V2 next, publisher's load       seq_cst            pairs with V3: the reader is through with the bytes;
 *                                                      behind an announce (B2): store -> load with B1
 *   V3 next, its reader             seq_cst            as a release behind the bytes' last look (U7); then
 *                                                      comes the load of the publishers' bell (B1)
 *   V4 fence, broker                seq_cst            between a newcomer's bit (E2) and the search of
 *                                                      the frontier: either the publisher sees the bit, or
 *                                                      the broker sees its commits (U4, U10)
 *   V5 next, broker                 relaxed            before the bit (E2), and of a subscriber that
 *                                                      hasn't heard yet that it is one
 */
#pragma once

#include "common/memory/region.h"

/* A reader that has left a region says that it is as far as this beyond its place: it needs nothing. */
#define KM_READER_GONE (UINT64_C(1) << 62)

static inline struct km_bell_page *km_region_bell_page(const struct km_region *region)
{
	return (struct km_bell_page *)region->bell;
}

static inline _Atomic uint64_t *km_reader_next(const struct km_region *region, uint32_t reader)
{
	return &km_region_bell_page(region)->readers[reader].next;
}

/* The oldest position that this reader still needs, as it says. */
static inline uint64_t km_reader_at(const struct km_region *region, uint32_t reader)
{
	return km_load(V2, seq_cst, km_reader_next(region, reader));
}

/* The oldest position that a reader still needs. `seen`: a position that isn't behind the frontier. */
static inline uint64_t km_reader_floor(const struct km_region *region, uint64_t seen)
{
	uint64_t left = km_load(V1, seq_cst, &region->header->reliable) & KM_LIVE_RINGS;
	uint64_t floor = seen - region->geometry.history;

	for (; left; left &= left - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(left);
		const uint64_t next = km_reader_at(region, i);

		if ((int64_t)(next - floor) < 0)
			floor = next;
	}
	return floor;
}

/* May a message be committed at `position`, which isn't behind the frontier? *floor is private to the
 * caller: the floor that it has seen last. */
static km_always_inline bool km_reader_has_room(
	const struct km_region *region, uint64_t position, uint64_t *floor)
{
	const uint64_t mask = region->cell_mask;

	if (__builtin_expect(position - *floor <= mask, 1))
		return true;
	*floor = km_reader_floor(region, position);
	return position - *floor <= mask;
}

/* For the reader itself: all before `next` is read. */
static inline void km_reader_say(const struct km_region *region, uint32_t reader, uint64_t next)
{
	km_store(V3, seq_cst, km_reader_next(region, reader), next);
}

/* The broker: a newcomer will begin at `next` or behind it. */
static inline void km_reader_begin(const struct km_region *region, uint32_t reader, uint64_t next)
{
	km_store(V5, relaxed, km_reader_next(region, reader), next);
}

/* The broker, behind the newcomer's bit and before the search for the frontier where it begins. */
static inline void km_reader_fence(void)
{
	km_fence(V4, seq_cst);
}
