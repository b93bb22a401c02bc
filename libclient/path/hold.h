/* SPDX-License-Identifier: Apache-2.0 */
/* The samples that a subscriber's place has lent to its user: which sample is which, and giving them
 * back. */
#pragma once

#include <errno.h>

#include "libclient/handle/handle.h"

/* An entry of holds[] that is not busy: there is one more than may be lent. */
static km_always_inline struct km_hold *km_hold_spare(struct km_place *place)
{
	if (__builtin_expect(km_hold_is_busy(place->spare), 0))
		km_place_find_spare(place);
	return place->spare;
}

/* How many more samples may be held. Samples of past places count, where the topic may have lent
 * more. */
static km_always_inline uint32_t km_hold_room(const struct kickmsg_subscriber *subscriber)
{
	const uint32_t most = subscriber->handle.place.region.geometry.max_borrows;

	return subscriber->borrowed < most ? most - subscriber->borrowed : 0;
}

/* The hold of a sample that the place has lent; null: it has lent none. */
static km_always_inline struct km_hold *km_hold_of(
	const struct km_place *place, const struct kickmsg_sample *sample)
{
	if (sample->hold > place->region.geometry.max_borrows)
		return NULL;
	struct km_hold *hold = &place->holds[sample->hold];
	return hold->position == sample->ring_pos ? hold : NULL;
}

static km_always_inline int km_hold_released(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *sample)
{
	sample->subscriber = NULL;
	sample->data = NULL;
	subscriber->borrowed--;
	return 0;
}

/* The twin of km_sample_release(): the sample is of a past place, or isn't held. */
int km_sample_release_past(struct kickmsg_sample *sample, struct kickmsg_subscriber *subscriber);

/* kickmsg_sample_release(). */
static km_always_inline int km_sample_release(struct kickmsg_sample *sample)
{
	struct kickmsg_subscriber *subscriber = sample->subscriber;

	if (!subscriber)
		return -EINVAL;
	struct km_hold *hold = km_hold_of(&subscriber->handle.place, sample);
	if (!hold)
		return km_sample_release_past(sample, subscriber);
	km_place_let_go(&subscriber->handle.place, hold);
	return km_hold_released(subscriber, sample);
}
