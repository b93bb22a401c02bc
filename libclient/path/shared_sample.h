/* SPDX-License-Identifier: Apache-2.0 */
/* The usual case of a receive from a shared ring, and lending what was received. */
#pragma once

#include "common/shared/shared.h"
#include "libclient/path/hold.h"

/* The usual case of a receive: a short message is there. False: take() has to look. */
static km_always_inline bool km_shared_take_short(struct kickmsg_subscriber *subscriber, void *buf,
	size_t size, struct km_shared_seen *seen, uint64_t *publish_ns)
{
	struct km_place *here = &subscriber->handle.place;

	if (km_load(P2, relaxed, &here->own_id) != 0 ||
		!km_shared_read_short(&here->region, here->next, buf, size, &seen->len,
			&seen->publisher_id, &seen->sequence, publish_ns))
		return false;
	here->next++;
	km_endpoint_count(&here->record->messages, 1);
	return true;
}

/* Lends the message before `next`, whose copy is in the room of `hold`. */
static km_always_inline void km_shared_lend(struct kickmsg_subscriber *subscriber, uint32_t hold,
	const struct km_shared_seen *seen, uint64_t publish_ns, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	const uint64_t ring_pos = here->next - 1 + here->offset;

	ret->data = here->copies + hold * here->copy_stride;
	ret->len = seen->len;
	ret->ring_pos = ring_pos;
	ret->publisher_sequence = seen->sequence;
	ret->publish_ns = publish_ns;
	ret->publisher_id = seen->publisher_id;
	ret->hold = hold;
	ret->subscriber = subscriber;
	here->holds[hold].position = ring_pos;
	subscriber->borrowed++;
}

/* The usual case of km_shared_receive() and, with `timed`, km_shared_receive_timed(): a short message is
 * there, and one more may be held. False: they have to look. */
static km_always_inline bool km_shared_borrow_short(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, bool timed)
{
	struct km_place *here = &subscriber->handle.place;
	const struct km_geometry *geometry = &here->region.geometry;
	struct km_shared_seen seen;
	uint64_t time = 0;

	if (subscriber->borrowed >= geometry->max_borrows)
		return false;
	const uint32_t hold = km_hold_spare(here)->index;
	if (!km_shared_take_short(subscriber, here->copies + hold * here->copy_stride,
		    geometry->max_payload_size, &seen, timed ? &time : NULL))
		return false;
	km_shared_lend(subscriber, hold, &seen, time, ret);
	return true;
}
