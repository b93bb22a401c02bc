/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the state: see state_memory.h. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "daemon/keep/state_memory.h"

const struct km_state_sizes km_state_tables[KM_STATE_TABLES] = {
	[KM_STATE_SESSIONS] = { KM_STATE_SESSION_SIZE + 16, 1u << 16 },
	[KM_STATE_TOPICS] = { KM_STATE_TOPIC_SIZE + 16, 1u << 17 },
	[KM_STATE_MEMBERS] = { KM_STATE_MEMBER_SIZE + 16, 1u << 20 },
	[KM_STATE_WAITS] = { KM_STATE_WAIT_SIZE + 16, 1u << 17 },
};

static_assert(KM_STATE_PAGE % (KM_STATE_SESSION_SIZE + 16) == 0, "no record lies on two pages");
static_assert(KM_STATE_PAGE % (KM_STATE_TOPIC_SIZE + 16) == 0, "no record lies on two pages");
static_assert(KM_STATE_PAGE % (KM_STATE_MEMBER_SIZE + 16) == 0, "no record lies on two pages");
static_assert(KM_STATE_PAGE % (KM_STATE_WAIT_SIZE + 16) == 0, "no record lies on two pages");

uint64_t km_state_table_offset(enum km_state_table table)
{
	uint64_t offset = KM_STATE_LOG_OFFSET + KM_STATE_LOG_SIZE;

	for (unsigned i = 0; i < (unsigned)table; i++)
		offset += (uint64_t)km_state_tables[i].size * km_state_tables[i].count;
	return offset;
}

uint64_t km_state_memory_size(void)
{
	return km_state_table_offset(KM_STATE_TABLES);
}

uint32_t km_state_record_sizes(void)
{
	uint32_t mixed = 2166136261u;

	for (unsigned i = 0; i < KM_STATE_TABLES; i++)
		mixed = ((mixed ^ km_state_tables[i].size) * 16777619u ^ km_state_tables[i].count) *
			16777619u;
	return mixed;
}

struct km_state_header *km_state_header_of(const struct km_state *state)
{
	return (struct km_state_header *)(void *)state->memory;
}

struct km_state_record *km_state_record_at(
	struct km_state *state, enum km_state_table table, uint32_t place)
{
	return (struct km_state_record *)(void *)(state->memory + km_state_table_offset(table) +
						  (uint64_t)km_state_tables[table].size * place);
}

uint64_t km_state_checksum(const unsigned char *content, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ content[i]) * UINT64_C(0x100000001b3);
	return hash;
}

int km_state_map(int fd, struct km_state **ret)
{
	struct km_state *state = calloc(1, sizeof *state);

	if (!state)
		return -ENOMEM;
	void *memory = mmap(
		NULL, km_state_memory_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		free(state);
		return -ENOMEM;
	}
	state->fd = fd;
	state->memory = memory;
	for (unsigned i = 0; i < KM_STATE_TABLES; i++) {
		state->lowest[i] = 1;
		state->taken[i] = calloc(km_state_tables[i].count / 64, sizeof *state->taken[i]);
		if (!state->taken[i]) {
			km_state_unmap(state);
			return -ENOMEM;
		}
	}
	*ret = state;
	return 0;
}

void km_state_unmap(struct km_state *state)
{
	munmap(state->memory, km_state_memory_size());
	for (unsigned i = 0; i < KM_STATE_TABLES; i++)
		free(state->taken[i]);
	free(state);
}

void km_state_mark(struct km_state *state, unsigned table, uint32_t place, bool taken)
{
	uint64_t bit = UINT64_C(1) << (place % 64);

	if (taken) {
		state->taken[table][place / 64] |= bit;
		return;
	}
	state->taken[table][place / 64] &= ~bit;
	if (place < state->lowest[table])
		state->lowest[table] = place;
}

bool km_state_is_taken(const struct km_state *state, unsigned table, uint32_t place)
{
	return state->taken[table][place / 64] >> (place % 64) & 1;
}

/* Looks at a word's 64 places at a time: members are many, and clients choose which are free. */
uint32_t km_state_find(
	const struct km_state *state, enum km_state_table table, uint32_t place, bool taken)
{
	while (place < km_state_tables[table].count) {
		uint64_t word = state->taken[table][place / 64];
		uint64_t fits = (taken ? word : ~word) >> (place % 64);

		if (fits != 0) {
			place += (uint32_t)__builtin_ctzll(fits);
			return place < km_state_tables[table].count ? place : 0;
		}
		place = (place / 64 + 1) * 64;
	}
	return 0;
}

uint32_t km_state_free_place(struct km_state *state, enum km_state_table table)
{
	uint32_t found = km_state_find(state, table, state->lowest[table], false);

	if (found > 0)
		state->lowest[table] = found;
	return found;
}
