/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send(), kickmsg_loan() and kickmsg_publish() with private rings. */
#pragma once

#include <sys/uio.h>

#include "common/clock.h"
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
