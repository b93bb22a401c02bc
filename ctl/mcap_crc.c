/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32 of recordings. By tables it takes a quarter of a recorder's time. Where the processor multiplies
 * polynomials (PCLMULQDQ), 64 bytes are folded at once, which takes a ninth of that.
 */
#include <pthread.h>

#include "ctl/mcap.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static uint32_t tables[8][256];

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
		tables[0][i] = crc;
	}
	for (size_t table = 1; table < 8; table++)
		for (size_t i = 0; i < 256; i++) {
			uint32_t crc = tables[table - 1][i];

			tables[table][i] = crc >> 8 ^ tables[0][crc & 255];
		}
}

/* Eight bytes a step: one byte a step would be slower than a disk. */
uint32_t mcap_crc32_by_tables(uint32_t crc, const void *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *at = data;

	pthread_once(&once, make_tables);
	crc = ~crc;
	for (; size >= 8; size -= 8, at += 8) {
		uint32_t low = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			       (uint32_t)at[3] << 24;

		low ^= crc;
		crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^
		      tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^ tables[3][at[4]] ^
		      tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
	}
	for (; size > 0; size--, at++)
		crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
	return ~crc;
}

#ifdef __x86_64__
/*
 * Folding: bytes that lie n bits ahead of the end count as much as their product with x^n mod P, which is 32 bits
 * shorter. All bits are mirrored, as CRC32 has them.
 */
#define FOLDS __attribute__((target("pclmul,sse4.1")))

static inline FOLDS __m128i fold(__m128i ahead, __m128i by, __m128i here)
{
	const __m128i low = _mm_clmulepi64_si128(ahead, by, 0x00);
	const __m128i high = _mm_clmulepi64_si128(ahead, by, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), here);
}

/* The rest of a division by P: 128 bits to 32. */
static inline FOLDS uint32_t reduce(__m128i x, __m128i by_16)
{
	const __m128i words = _mm_setr_epi32(~0, 0, ~0, 0);
	const __m128i by_8 = _mm_set_epi64x(0, 0x163cd6124);              /* x^64 */
	const __m128i divisor = _mm_set_epi64x(0x1f7011641, 0x1db710641); /* x^64 / P, P */

	x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by_16, 0x10));
	x = _mm_xor_si128(
		_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, words), by_8, 0x00));
	__m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, words), divisor, 0x10);
	__m128i product = _mm_clmulepi64_si128(_mm_and_si128(quotient, words), divisor, 0x00);
	return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, product), 1);
}

/* `size` is a multiple of 16, and 64 at least. */
static FOLDS uint32_t by_folding(uint32_t crc, const unsigned char *data, size_t size)
{
	const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4); /* x^(512-32), x^(512+32) */
	const __m128i by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0); /* x^(128-32), x^(128+32) */
	const __m128i *at = (const __m128i *)data;
	const __m128i *const end = at + size / 16;
	__m128i x[4];

	for (int i = 0; i < 4; i++)
		x[i] = _mm_loadu_si128(at++);
	x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
	for (; end - at >= 4; at += 4)
		for (int i = 0; i < 4; i++)
			x[i] = fold(x[i], by_64, _mm_loadu_si128(at + i));
	for (int i = 1; i < 4; i++)
		x[0] = fold(x[0], by_16, x[i]);
	for (; at < end; at++)
		x[0] = fold(x[0], by_16, _mm_loadu_si128(at));
	return reduce(x[0], by_16);
}
#endif

uint32_t mcap_crc32(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *at = data;

#ifdef __x86_64__
	if (size >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
		const size_t folded = size & ~(size_t)15;

		crc = ~by_folding(~crc, at, folded);
		at += folded;
		size -= folded;
	}
#endif
	return mcap_crc32_by_tables(crc, at, size);
}
