/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's segments, where the records of its endpoints are. They are of one connection, and stay
 * for as long as the connection or a place of a handle needs them. Needs the client's lock.
 *
 * A segment whose descriptor never arrived is a gap. It comes again, since each request says how many
 * segments there are before the first gap.
 */
#pragma once

#include <stddef.h>

#include "common/protocol/wire.h"

struct km_client_segment {
	void *memory; /* null: a gap */
	uint64_t size;
};

struct km_client_memory {
	uint32_t users;
	struct km_client_segment *segments;
	size_t segment_count;
};

/* Makes an empty list of segments, whose one user unrefs it. Null: no memory. */
struct km_client_memory *km_client_memory_new(void);
struct km_client_memory *km_client_memory_ref(struct km_client_memory *memory);
void km_client_memory_unref(struct km_client_memory *memory);

/* Maps segment `index`, unless it is mapped. The descriptor stays the caller's. Errors: -ENOMEM;
 * -EPROTO. */
int km_client_memory_add(struct km_client_memory *memory, uint32_t index, int fd, uint64_t size);
/* Maps the segment that came with an answer, if one came. */
int km_client_memory_adopt(
	struct km_client_memory *memory, const struct km_msg_attached *answer, const int *fds);
/* How many segments there are before the first gap. */
uint32_t km_client_memory_count(const struct km_client_memory *memory);
