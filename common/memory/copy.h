/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of short messages without a call and without a loop: pieces that overlap in the middle. */
#pragma once

#include <string.h>

#include "common/memory/atomic.h"
#include "common/memory/layout.h"

typedef uint64_t km_pair __attribute__((vector_size(16), may_alias));
typedef km_pair km_loose_pair __attribute__((aligned(8)));

/* Copies two words by as many instructions as one takes. `from` is aligned to 16 bytes; each word
 * is read once. */
static km_always_inline void km_copy_pair(void *to, const volatile uint64_t *from)
{
	*(km_loose_pair *)to = *(const volatile km_pair *)from;
}

/* Copies up to KM_CACHE_LINE bytes, which nobody else writes meanwhile. */
static km_always_inline void km_copy_short(void *to, const void *from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (__builtin_expect(size > 32, 1)) {
		memcpy(t, f, 16);
		memcpy(t + 16, f + 16, 16);
		memcpy(t + size - 32, f + size - 32, 16);
		memcpy(t + size - 16, f + size - 16, 16);
	} else if (size >= 16) {
		memcpy(t, f, 16);
		memcpy(t + size - 16, f + size - 16, 16);
	} else if (size >= 8) {
		memcpy(t, f, 8);
		memcpy(t + size - 8, f + size - 8, 8);
	} else if (size >= 4) {
		memcpy(t, f, 4);
		memcpy(t + size - 4, f + size - 4, 4);
	} else if (size > 0) {
		t[0] = f[0];
		t[size / 2] = f[size / 2];
		t[size - 1] = f[size - 1];
	}
}
