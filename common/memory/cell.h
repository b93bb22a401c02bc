/* SPDX-License-Identifier: Apache-2.0 */
/* The word of a ring's cell: which lap of the ring it was filled in last, and with what slot. Laps
 * are compared modulo 2^40, as signed distances. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KM_CELL_SLOT_BITS 24
#define KM_CELL_SLOT_MASK ((UINT64_C(1) << KM_CELL_SLOT_BITS) - 1)
#define KM_CELL_LAP_MASK  ((UINT64_C(1) << 40) - 1)
#define KM_CELL_LAP       (UINT64_C(1) << KM_CELL_SLOT_BITS) /* a word's next lap, less the word */

/* A cell is known to be ahead of a position by less than this. A walk follows cells ahead, from a
 * position. A walk that has come so many laps is led in a circle, by memory that makes no sense: no
 * neighbour is so fast. On memory that stands still, a walk that has come less far has met each
 * cell once at most: a cell that it passed is behind it when it comes there again. */
#define KM_CELL_LAPS (UINT64_C(1) << 39)

/* In a shared ring a cell may be filled without a slot. */
#define KM_SHARED_INLINE UINT32_C(0xffffff) /* the message is in the cell's buffer of that lap */
#define KM_SHARED_VOID   UINT32_C(0xfffffe) /* there is none: its slot was needed elsewhere */

/* A cell of a subscriber's ring with this bit is late (kept.h): it names no slot but, by its low bits,
 * a position of the kept ring. */
#define KM_CELL_LATE      0x800000u
#define KM_CELL_LATE_MASK (KM_CELL_LATE - 1)

static inline uint64_t km_cell_word(uint64_t lap, uint32_t slot)
{
	return lap << KM_CELL_SLOT_BITS | slot;
}

static inline uint32_t km_cell_slot(uint64_t word)
{
	return (uint32_t)(word & KM_CELL_SLOT_MASK);
}

/* By how many laps a cell's word is ahead (positive) or behind of `position`: 0 committed at it, -1
 * waiting for it. */
static inline int64_t km_cell_laps_ahead(uint64_t word, uint64_t position, uint32_t shift)
{
	uint64_t distance = (word >> KM_CELL_SLOT_BITS) - (position >> shift);

	return (int64_t)(distance << KM_CELL_SLOT_BITS) >> KM_CELL_SLOT_BITS;
}

/* Has a walk from `start` to `position`, by way of cells ahead, come too far? */
static inline bool km_cell_is_astray(uint64_t start, uint64_t position, uint32_t shift)
{
	return (position - start) >> shift >= KM_CELL_LAPS;
}
