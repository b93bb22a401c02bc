/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed chunks of a recording: see mcap.h. */
#include <lz4frame.h>
#include <string.h>
#include <zstd.h>

#include "ctl/mcap.h"

static bool unpack_lz4(const void *packed, size_t packed_size, void *ret, size_t size)
{
	const unsigned char *at = packed, *end = at + packed_size;
	LZ4F_dctx *context;
	size_t used = 0, left = 1;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return false;
	while (at < end && left != 0) {
		size_t from = (size_t)(end - at), to = size - used;

		left = LZ4F_decompress(context, (unsigned char *)ret + used, &to, at, &from, NULL);
		if (LZ4F_isError(left) || (to == 0 && from == 0))
			break;
		used += to;
		at += from;
	}
	LZ4F_freeDecompressionContext(context);
	return left == 0 && used == size;
}

bool mcap_can_unpack(const char *how)
{
	return strcmp(how, "lz4") == 0 || strcmp(how, "zstd") == 0;
}

bool mcap_unpack(const char *how, const void *packed, size_t packed_size, void *ret, size_t size)
{
	if (strcmp(how, "lz4") == 0)
		return unpack_lz4(packed, packed_size, ret, size);
	return strcmp(how, "zstd") == 0 && ZSTD_decompress(ret, size, packed, packed_size) == size;
}
