/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a caller and its server. The user's bytes come first, so that they are aligned as a
 * sample's are; behind them, at the next multiple of 8, a trailer says what the message is. Their writer
 * may be hostile: a trailer is read once, and nothing in it is an index or a pointer of the reader's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum km_message_kind {
	/* caller */
	KM_MESSAGE_REQUEST = 1, /* deadline_ns: the call's */
	KM_MESSAGE_CANCEL = 2,  /* its caller doesn't wait any more */
	/* server */
	KM_MESSAGE_HELLO = 3, /* the first: it listens. id: which server it is */
	KM_MESSAGE_MORE = 4,  /* a reply; others follow */
	KM_MESSAGE_LAST = 5,  /* the last, or, with an error, none */
};

struct km_trailer {
	uint64_t id;         /* the caller's number for the call */
	int64_t deadline_ns; /* CLOCK_MONOTONIC; INT64_MAX: none */
	int32_t error;       /* 0, or why there is no reply */
	uint16_t kind;       /* enum km_message_kind */
	uint16_t padding;    /* bytes between the user's and this */
};

#define KM_TRAILER_SIZE sizeof(struct km_trailer)
_Static_assert(sizeof(struct km_trailer) == 24, "a message is a multiple of 8 bytes");

/* Bytes of the message with `len` of the user's. */
static inline uint64_t km_message_size(uint64_t len)
{
	return ((len + 7) & ~UINT64_C(7)) + KM_TRAILER_SIZE;
}

/* Writes the trailer of `len` bytes at `data`. Returns the message's size. */
static inline size_t km_message_end(void *data, size_t len, const struct km_trailer *trailer)
{
	size_t size = km_message_size(len);
	struct km_trailer whole = *trailer;

	whole.padding = (uint16_t)(size - KM_TRAILER_SIZE - len);
	memcpy((unsigned char *)data + size - KM_TRAILER_SIZE, &whole, sizeof whole);
	return size;
}

/* Reads the trailer of a message of `size` bytes. False: it has none. */
static inline bool km_message_read(
	const void *data, size_t size, struct km_trailer *ret, size_t *ret_len)
{
	if (size < KM_TRAILER_SIZE || size % 8 != 0)
		return false;
	const volatile uint64_t *words = (const volatile void *)((const unsigned char *)data +
								 size - KM_TRAILER_SIZE);
	uint64_t copy[3] = { words[0], words[1], words[2] };

	memcpy(ret, copy, sizeof copy);
	if (ret->padding > 7 || ret->padding > size - KM_TRAILER_SIZE)
		return false;
	*ret_len = size - KM_TRAILER_SIZE - ret->padding;
	return true;
}
