/* SPDX-License-Identifier: Apache-2.0 */
/* The samples that a subscriber's place has lent to its user: which sample is which. */
#pragma once

#include "libclient/handle/handle.h"

/* An entry of holds[] that is not busy: there is one more than may be lent. */
static km_always_inline uint32_t km_hold_spare(struct km_place *place)
{
	if (__builtin_expect(km_hold_is_busy(&place->holds[place->spare]), 0))
		km_place_find_spare(place);
	return (uint32_t)place->spare;
}

/* How many more samples may be held. Samples of past places count, where the topic may have lent
 * more. */
static km_always_inline uint32_t km_hold_room(const struct kickmsg_subscriber *subscriber)
{
	const uint32_t most = subscriber->handle.place.region.geometry.max_borrows;

	return subscriber->borrowed < most ? most - subscriber->borrowed : 0;
}

static km_always_inline bool km_hold_is(
	const struct km_place *place, const struct kickmsg_sample *sample)
{
	return sample->hold <= place->region.geometry.max_borrows &&
	       place->holds[sample->hold].position == sample->ring_pos &&
	       sample->ring_pos != KM_HOLD_FREE;
}
