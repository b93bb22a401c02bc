/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two things that the broker alone does to a region in which others are at work, beside reconcile:
 * it lets a subscriber's ring in, and it gives the region up. Both write header->live, whose one
 * writer is the broker; its orders are in region.h.
 */
#pragma once

#include "common/memory/region.h"

/*
 * Makes a ring without an owner ready for a new one and lets messages in. The ring is drained,
 * since a publisher with old targets may have delivered to it after the last look: of no more than
 * KM_LIVE_DRAIN messages, so a large ring is to be drained before. Then its head is
 * read, and its bit set. *ret_start is the first position that may be its new owner's, from which
 * losses are counted. *live is what the broker knows to be in header->live; it gains the bit.
 * Errors: -ESTALE: the region makes no sense.
 */
#define KM_LIVE_DRAIN 4096
int km_live_open(
	const struct km_region *region, uint32_t ring_index, uint64_t *live, uint64_t *ret_start);

/* Gives the region up: each send and receive from now on gets -ESTALE, and sleepers get it too. */
void km_live_give_up(const struct km_region *region, uint64_t live);

/* Wakes every subscriber of the region that sleeps, and publishers that wait for room. */
void km_live_wake_all(const struct km_region *region);
