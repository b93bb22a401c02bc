/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the demo: a header, then the data. The header's check covers both, so that a
 * subscriber which recomputes it has looked at every byte.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

struct demo_header {
	uint64_t check;
	int64_t sent_ns; /* CLOCK_MONOTONIC, just before the message went out */
	/* Number of this source's message, from 1; must equal the library's publisher_sequence. */
	uint64_t sequence;
	uint64_t offset; /* in the file */
	uint32_t source; /* enum demo_source_id */
	uint32_t len;    /* bytes of data */
	uint64_t padding[3];
};
_Static_assert(sizeof(struct demo_header) == 64, "the data behind it stays aligned");

static inline int64_t demo_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline uint64_t demo_mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 29;
}

/* Four independent sums, so that a MiB takes well under a millisecond; each byte and its place
 * count. */
static inline uint64_t demo_sum(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t lanes[4] = { 1, 2, 3, 4 };
	uint64_t words[4];

	for (; len >= sizeof(words); bytes += sizeof(words), len -= sizeof(words)) {
		memcpy(words, bytes, sizeof(words));
		for (int i = 0; i < 4; i++)
			lanes[i] = demo_mix(lanes[i], words[i]);
	}
	memset(words, 0, sizeof(words));
	memcpy(words, bytes, len);
	for (int i = 0; i < 4; i++)
		lanes[i] = demo_mix(lanes[i], words[i]);
	return demo_mix(demo_mix(lanes[0], lanes[1]), demo_mix(lanes[2], lanes[3] + len));
}

/* The check of a message: its data's sum and all of its header's fields. */
static inline uint64_t demo_check(const struct demo_header *header, uint64_t data_sum)
{
	uint64_t check = demo_mix(data_sum, (uint64_t)header->sent_ns);

	check = demo_mix(check, header->sequence);
	check = demo_mix(check, header->offset);
	return demo_mix(check, (uint64_t)header->source << 32 | header->len);
}
