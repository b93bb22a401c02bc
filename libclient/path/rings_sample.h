/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a receive with private rings, from a ring of its own or from the kept ring. */
#pragma once

#include <errno.h>

#include "common/memory/copy.h"
#include "libclient/export.h"
#include "libclient/handle/handle.h"

static_assert(offsetof(struct kickmsg_sample, publish_ns) ==
		      offsetof(struct kickmsg_sample, publisher_sequence) + sizeof(uint64_t),
	"copied with it");

static km_noinline int km_rings_senseless(struct km_place *place, struct km_hold *hold)
{
	km_place_let_go(place, hold);
	return -ESTALE;
}

/* Releases a message of the present place. */
static km_always_inline void km_rings_let_go(
	struct kickmsg_subscriber *subscriber, const struct kickmsg_sample *sample)
{
	struct km_place *here = &subscriber->handle.place;

	km_place_let_go(here, &here->holds[sample->hold]);
}

/* Counts and describes a message that was taken. False: its length makes no sense, and the
 * caller ends in km_rings_senseless(). */
static km_always_inline bool km_rings_hand_out(struct kickmsg_subscriber *subscriber,
	const struct km_hold *hold, uint64_t ring_pos, const struct km_sample_header *sample,
	struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;

	km_endpoint_count(&here->record->messages, 1);
	km_plain_read(sample, sizeof *sample);
	const uint64_t len = sample->len;
	if (__builtin_expect(len > here->region.geometry.max_payload_size, 0))
		return false;
	/* not as a whole: that would write its reserved words with every message */
	ret->data = sample + 1;
	ret->len = len;
	ret->ring_pos = ring_pos;
	km_copy_pair((char *)ret + offsetof(struct kickmsg_sample, publisher_sequence),
		&sample->sequence); /* and publish_ns */
	ret->publisher_id = sample->publisher_id;
	ret->hold = hold->index;
	ret->subscriber = subscriber;
	return true;
}

/* The subscriber will get nothing that lies before `position`. */
static inline void km_rings_lose_up_to(struct km_place *here, uint64_t position)
{
	here->lost += position - here->next;
	km_store(H2, relaxed, &here->record->lost, here->lost);
}
