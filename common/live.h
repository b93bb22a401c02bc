/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker alone does to a region that others are at work in, beside reconcile: it lets a
 * subscriber's ring in, and gives the region up. Both write header->live, whose one writer the
 * broker is; its orders are in region.h.
 */
#pragma once

#include "region.h"

/*
 * Makes a ring without an owner ready for a new one and lets messages in: drained (a publisher with
 * old targets may have delivered to it since it was last looked at), its head read, then its bit
 * set. *ret_start is the first position that may be its new owner's, from which losses are counted.
 * *live is what the broker knows to be in header->live; it gains the bit. Errors: -ESTALE, nothing
 * was set.
 */
int km_live_open(
	const struct km_region *region, uint32_t ring_index, uint64_t *live, uint64_t *ret_start);

/* Gives the region up: whoever sends or receives from now on gets -ESTALE, and so does who sleeps. */
void km_live_give_up(const struct km_region *region, uint64_t live);

/* Wakes every subscriber of the region that sleeps. */
void km_live_wake_all(const struct km_region *region);
