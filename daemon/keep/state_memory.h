/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of the state's memory (state.h), and which places of its tables are taken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/memory/atomic.h"
#include "daemon/keep/state_tables.h"

#define KM_STATE_MAGIC      UINT64_C(0x45544154534d4b43) /* "CKMSTATE" in memory order */
#define KM_STATE_PAGE       4096u
#define KM_STATE_LOG_OFFSET KM_STATE_PAGE
#define KM_STATE_LOG_SIZE   (UINT64_C(16) << 20)

struct km_state_header {
	/* Magic and version stay where they are in all versions. */
	uint64_t magic;
	uint32_t version;
	uint32_t record_sizes;     /* of all tables, mixed: another build's differ */
	_Atomic uint64_t log_size; /* bytes that are valid; 0: all is in its place */
	uint64_t reserved_ids[KM_STATE_TABLES];
	/* Layout version of the regions and client segments that the state speaks of. */
	uint32_t layout_version;
	uint32_t wire_version; /* wire version of its clients */
};

/* The head of each record. */
struct km_state_record {
	uint32_t used; /* 0 or KM_STATE_USED */
	uint32_t size;
	uint64_t checksum; /* of the content */
	unsigned char content[];
};

#define KM_STATE_USED UINT32_C(0x44455355)

extern const struct km_state_sizes {
	uint32_t size; /* of a record and its head */
	uint32_t count;
} km_state_tables[KM_STATE_TABLES];

struct km_state {
	int fd;
	unsigned char *memory;
	/* Bytes of the log that are written and not yet valid. */
	uint64_t staged;
	uint32_t lowest[KM_STATE_TABLES]; /* no lower place is free */
	uint64_t *taken[KM_STATE_TABLES]; /* a bit for each place */
};

uint64_t km_state_table_offset(enum km_state_table table);
uint64_t km_state_memory_size(void);
/* The sizes of all tables' records, mixed. */
uint32_t km_state_record_sizes(void);

struct km_state_header *km_state_header_of(const struct km_state *state);
struct km_state_record *km_state_record_at(
	struct km_state *state, enum km_state_table table, uint32_t place);
uint64_t km_state_checksum(const unsigned char *content, size_t size);

/* Maps the state; on success the descriptor is the state's. No place is taken yet. Errors:
 * -ENOMEM. */
int km_state_map(int fd, struct km_state **ret);
void km_state_unmap(struct km_state *state);

void km_state_mark(struct km_state *state, unsigned table, uint32_t place, bool taken);
bool km_state_is_taken(const struct km_state *state, unsigned table, uint32_t place);
/* The first place from this one on that is taken, or that is free; 0: there is none. */
uint32_t km_state_find(
	const struct km_state *state, enum km_state_table table, uint32_t place, bool taken);
/* The lowest free place, or 0: the table is full. */
uint32_t km_state_free_place(struct km_state *state, enum km_state_table table);
