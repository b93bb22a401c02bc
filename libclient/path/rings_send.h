/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send(), kickmsg_loan() and kickmsg_publish() with private rings. */
#pragma once

#include <sys/uio.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/handle/handle.h"

ssize_t km_rings_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_rings_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload);
int km_rings_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
/* These send and publish in a topic with timestamps. */
ssize_t km_rings_send_timed(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_rings_publish_timed(struct kickmsg_publisher *publisher, void *payload, size_t len);
/*
 * Many at a time (rings_many.c): sends or publishes messages, up to `count`, until one is no usual
 * case. Returns how many: 0 also where the single call has to look. *ret_stale is set where the
 * next message failed with -ESTALE: some subscribers have it.
 */
int km_rings_send_many(struct kickmsg_publisher *publisher, const struct iovec *messages,
	uint32_t count, bool *ret_stale);
int km_rings_publish_many(struct kickmsg_publisher *publisher, const struct iovec *loans,
	uint32_t count, bool *ret_stale);

/* --- the steps of a message, for many at a time as well (rings_many.c) --- */

/* Claims a slot for a message of `len` bytes. Errors: -EMSGSIZE; those of km_publisher_find_no_slot(). */
int km_rings_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot);

/* The header's first store comes before the first of the payload. So its line is asked for from the
 * last reader beside the payload's lines, and not behind them. */
static km_always_inline void km_rings_begin_slot(const struct km_place *place, uint32_t slot)
{
	struct km_sample_header *sample = km_region_sample(&place->region, slot);

	km_plain_write(sample, sizeof *sample);
	sample->publisher_id = place->id;
}

/* With timestamps: to be called just before the message is published. */
static inline void km_rings_stamp(struct km_sample_header *sample)
{
	km_plain_write(sample, sizeof *sample);
	sample->publish_ns = km_clock_publish_ns();
}

static km_always_inline void km_rings_number(
	struct kickmsg_publisher *publisher, struct km_sample_header *sample, size_t len)
{
	km_plain_write(sample, sizeof *sample);
	sample->sequence = ++publisher->sequence;
	sample->len = len;
}

static km_always_inline void km_rings_describe(struct kickmsg_publisher *publisher,
	struct km_sample_header *sample, uint64_t targets, size_t len)
{
	publisher->targets = targets;
	km_rings_number(publisher, sample, len);
}

/* Delivers where it isn't the usual case: commits `slot` to the rings `left`, and wakes those and
 * the `sleeper`. Returns the bits of rings that made no sense; they are dropped. */
uint64_t km_rings_deliver_rest(
	struct km_place *place, uint32_t slot, uint64_t left, uint64_t sleeper);

/* --- the usual case: one ring, which has room, and whose subscriber doesn't sleep --- */

/* Makes km_rings_post() send to the ring of `targets` from here on, if there is one alone. */
static km_always_inline void km_rings_aim(struct km_place *place, uint64_t targets)
{
	const uint32_t i = targets ? (uint32_t)__builtin_ctzll(targets) : 0;

	if (targets == place->only || !targets || (targets & (targets - 1)) != 0)
		return;
	place->only = targets;
	place->only_ring = km_region_ring(&place->region, i);
	place->only_cursor = &place->cursors[i];
}

/* With `live` as it is: nobody has come or gone since the last message, and there is the one ring. */
static km_always_inline bool km_rings_is_usual(const struct km_place *place, uint64_t live)
{
	return (live & km_load(P1, relaxed, &place->rings)) == place->only && live == place->live;
}

/* How far km_rings_post() came. */
enum km_posted {
	KM_POSTED,
	KM_POST_NOT_BEGUN, /* the caller's: it wasn't the usual case */
	KM_POST_TO_COMMIT, /* the rest is km_rings_post_rest()'s, up to the wake */
	KM_POST_TO_WAKE,   /* the rest is km_rings_post_rest()'s, the wake alone */
};

/* Publishes a slot where km_rings_is_usual() said so. */
static km_always_inline enum km_posted km_rings_post(struct kickmsg_publisher *publisher,
	uint32_t slot, struct km_sample_header *sample, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const uint64_t target = here->only;
	struct km_ring *ring = here->only_ring;

	km_rings_describe(publisher, sample, target, len);
	km_hazard_set(&here->record->delivering, slot);
	km_slot_send(&region->slots[slot], target);
	if (__builtin_expect(!km_ring_append(region, ring, slot, here->only_cursor), 0))
		return KM_POST_TO_COMMIT;
	if (__builtin_expect(km_waiter_listen(ring) != 0, 0))
		return KM_POST_TO_WAKE;
	km_hazard_clear(&here->record->delivering);
	km_endpoint_count_sent(here->record, 1, len);
	return KM_POSTED;
}

/* Does the rest. Errors: -ESTALE. */
int km_rings_post_rest(
	struct kickmsg_publisher *publisher, uint32_t slot, size_t len, enum km_posted posted);
