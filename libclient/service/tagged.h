/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages with a tag and a word of their sender's (message.h), in a topic with timestamps. The paths are
 * those of messages with a time, rings_send.c and shared_send.c, from where the time is known.
 */
#pragma once

#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "libclient/path/shared_send.h"

/* The first sends as kickmsg_send() to a shared ring, in all cases but those of km_tagged_append(), and
 * returns 0; the second publishes as kickmsg_publish(). Both have the errors of those. */
int km_tagged_send(struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag,
	uint64_t word);
int km_tagged_publish(struct kickmsg_publisher *publisher, void *payload, size_t len, uint64_t tag,
	uint64_t word);

/* The usual case, whose twin is km_tagged_send(): the privileged publisher of a shared ring sends a short
 * message. False: nothing is sent. */
static km_always_inline bool km_tagged_append(struct kickmsg_publisher *publisher, const void *data,
	size_t len, uint64_t tag, uint64_t word)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const struct km_control_header *header = region->header;

	if (!region->shared || len > region->short_size ||
		km_load(U8, acquire, &header->privileged) != here->id ||
		km_load(L1, acquire, &header->live) != here->live)
		return false;
	km_shared_prefetch(region, here->cursors[0].next, len, true);
	publisher->sequence = word - 1; /* the word stands where the sequence would */
	if (!km_shared_append(region, data, len, &here->id, &tag, &publisher->sequence,
		    &here->cursors[0].next, true))
		return false;
	km_endpoint_count_sent(here->record, 1, len);
	uint32_t seen = km_bell_listen(region->bell);
	if (__builtin_expect(!(seen & KM_BELL_WOKEN), 0))
		km_shared_wake(publisher, seen, len);
	return true;
}

/* Marks a message with private rings, which is about to be published. */
static km_always_inline void km_tagged_mark(void *payload, uint64_t tag, uint64_t word)
{
	struct km_sample_header *sample = (struct km_sample_header *)payload - 1;

	km_plain_write(sample, sizeof *sample);
	sample->publish_ns = tag;
	sample->word = word;
}

/* The word of a message that was received. */
static km_always_inline uint64_t km_tagged_word(const struct kickmsg_sample *sample)
{
	if (sample->subscriber->handle.place.region.shared)
		return sample->publisher_sequence;
	return ((const struct km_sample_header *)sample->data - 1)->word;
}
