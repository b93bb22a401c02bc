/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places that a handle has left (place.past and so on), or will never come to: how their regions
 * hear of it, what is still needed of them, and what was lost there. Needs the client's lock, but
 * for km_past_lost().
 */
#pragma once

#include "libclient/handle/place.h"

/* Says that a place's region is left behind for a fresh one, and wakes all sleepers there. */
void km_past_announce(const struct km_place *place);

/* Says in a region whose broker is gone that this place's owner won't touch it any more.
 * `sequence`: of the last message of a publisher that was there; else 0. */
void km_past_leave(struct km_place *place, uint64_t sequence);
/* Closes a subscriber's ring to messages. Only where the broker is gone, which would take that for
 * damage. */
void km_past_close_ring(const struct km_place *place);

/* Enters a fresh place that its owner never came to, since there is a newer one: `newer` has to
 * know what was lost there. */
void km_past_skip(struct km_place *skipped, struct km_place *newer);

/* Frees the past places of `place` that aren't needed any more, or all of them. */
void km_past_settle(struct km_place *place, bool all);

/* Gives back what is lent, unmaps and frees, past places as well. Takes a half-made place. */
void km_past_free(struct km_place *place);

/* Counts what the subscriber at `place` lost before it came there, as far as it is known. */
uint64_t km_past_lost(const struct km_place *place);
