/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload, the same for every system: word 0 is the key (sender and sequence), every other word
 * follows from it. The sender writes all of it for each message and the receiver looks at all of
 * it, within the measured time. So no system is faster for a byte that it didn't move. Where a shape
 * is sparse the receiver looks at the first and the last line alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX          (UINT64_C(1) << 20)
#define MESSAGE_SENDER_SHIFT 56

static inline uint64_t message_key(unsigned sender, uint64_t sequence)
{
	return (uint64_t)sender << MESSAGE_SENDER_SHIFT | sequence;
}

static inline unsigned message_sender(uint64_t key)
{
	return (unsigned)(key >> MESSAGE_SENDER_SHIFT);
}

static inline uint64_t message_sequence(uint64_t key)
{
	return key & ((UINT64_C(1) << MESSAGE_SENDER_SHIFT) - 1);
}

/* Functions for long payloads, out of line: the call costs nothing beside the payload. */
void message_write_long(void *data, size_t size, uint64_t key);
bool message_good_long(const void *data, size_t size, uint64_t key);

/* `size` is a multiple of 8, at least 8. */
static inline void message_write(void *data, size_t size, uint64_t key)
{
	uint64_t *words = data;

	if (size > 64) {
		message_write_long(data, size, key);
		return;
	}
	for (size_t i = 0; i < size / 8; i++)
		words[i] = key + i;
}

/* Are the first and the last line of a long payload right? */
static inline bool message_good_ends(const void *data, size_t size, uint64_t key)
{
	const uint64_t *words = data;
	const size_t last = size / 8 - 1;

	return words[0] == key && words[last] == key + last;
}

static inline bool message_good(const void *data, size_t size, uint64_t key)
{
	const uint64_t *words = data;
	uint64_t wrong = 0;

	if (size > 64)
		return message_good_long(data, size, key);
	for (size_t i = 0; i < size / 8; i++)
		wrong |= words[i] ^ (key + i);
	return wrong == 0;
}
