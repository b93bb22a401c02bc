/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a recording that are taken apart, and never beyond their end (mcap_read.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const unsigned char *at, *end;
	bool bad; /* they ended too early */
};

static inline uint64_t take_number(struct span *span, size_t bytes)
{
	uint64_t value = 0;

	if ((size_t)(span->end - span->at) < bytes) {
		span->bad = true;
		span->at = span->end;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)span->at[i] << (8 * i);
	span->at += bytes;
	return value;
}

/* Takes so many of the bytes. */
static inline struct span take_span(struct span *span, uint64_t size)
{
	struct span part = { span->at, span->at, span->bad };

	if (size > (uint64_t)(span->end - span->at)) {
		span->bad = part.bad = true;
		span->at = span->end;
		return part;
	}
	part.end = span->at += size;
	return part;
}
