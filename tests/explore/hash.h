/* SPDX-License-Identifier: Apache-2.0 */
/* Mixing of 64 bits: every bit of the input moves about half of the output's. */
#pragma once

#include <stdint.h>

static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}
