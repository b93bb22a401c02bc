/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's schema: its users' description of the messages, which is stored and compared, never
 * interpreted. These are the same bytes as kickmsg.h's struct kickmsg_schema, on the wire and in a
 * region's header. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct km_schema {
	uint8_t identity[64];
	uint8_t layout[64];
	char name[128];
	uint32_t version;
	uint32_t identity_algo;
	uint32_t layout_algo;
	uint32_t flags;
	uint8_t reserved[240];
};
static_assert(sizeof(struct km_schema) == 512, "shared layout");

enum km_schema_diff_bit {
	KM_SCHEMA_IDENTITY = 1,
	KM_SCHEMA_LAYOUT = 2,
	KM_SCHEMA_VERSION = 4,
	KM_SCHEMA_NAME = 8,
	KM_SCHEMA_IDENTITY_ALGO = 16,
	KM_SCHEMA_LAYOUT_ALGO = 32,
};

/* Bits of what differs; flags, reserved and what follows a name's 0 are ignored. */
uint32_t km_schema_diff(const struct km_schema *a, const struct km_schema *b);

/* The bits of km_schema_diff() as words, "identity, version"; "nothing" for 0. */
void km_schema_diff_text(uint32_t diff, char *ret, size_t size);

/* FNV-1a, 64 bits, going on from `hash`. */
#define KM_FNV1A64_INIT UINT64_C(0xcbf29ce484222325)
uint64_t km_fnv1a64(uint64_t hash, const void *data, size_t size);
