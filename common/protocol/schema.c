/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: see schema.h. */
#include <stdio.h>
#include <string.h>

#include "common/protocol/schema.h"

uint32_t km_schema_diff(const struct km_schema *a, const struct km_schema *b)
{
	uint32_t diff = 0;

	if (memcmp(a->identity, b->identity, sizeof a->identity) != 0)
		diff |= KM_SCHEMA_IDENTITY;
	if (memcmp(a->layout, b->layout, sizeof a->layout) != 0)
		diff |= KM_SCHEMA_LAYOUT;
	if (a->version != b->version)
		diff |= KM_SCHEMA_VERSION;
	if (strncmp(a->name, b->name, sizeof a->name) != 0)
		diff |= KM_SCHEMA_NAME;
	if (a->identity_algo != b->identity_algo)
		diff |= KM_SCHEMA_IDENTITY_ALGO;
	if (a->layout_algo != b->layout_algo)
		diff |= KM_SCHEMA_LAYOUT_ALGO;
	return diff;
}

void km_schema_diff_text(uint32_t diff, char *ret, size_t size)
{
	static const char *const words[] = { "identity", "layout", "version", "name",
		"identity_algo", "layout_algo" };
	size_t used = 0;

	snprintf(ret, size, "nothing");
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!(diff >> i & 1) || used >= size)
			continue;
		int n = snprintf(ret + used, size - used, "%s%s", used ? ", " : "", words[i]);
		used += n > 0 ? (size_t)n : 0;
	}
}

uint64_t km_fnv1a64(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++) {
		hash ^= bytes[i];
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}
