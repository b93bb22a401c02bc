/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the state: see state_log.h. */
#include <fcntl.h>
#include <string.h>

#include "daemon/keep/state_log.h"

struct entry {
	uint32_t table;
	uint32_t place;
	struct km_state_record record; /* and its content, padded to 8 */
};

static uint64_t entry_size(uint32_t content)
{
	return (sizeof(struct entry) + content + 7) & ~UINT64_C(7);
}

/* Could this be what km_state_log() wrote? */
static bool entry_is_good(const struct entry *entry, uint64_t left)
{
	if (left < sizeof *entry || entry->table >= KM_STATE_TABLES || entry->place == 0 ||
		entry->place >= km_state_tables[entry->table].count ||
		entry->record.size > km_state_tables[entry->table].size - sizeof entry->record ||
		entry_size(entry->record.size) > left)
		return false;
	return entry->record.used == 0 ||
	       (entry->record.used == KM_STATE_USED &&
		       entry->record.checksum ==
			       km_state_checksum(entry->record.content, entry->record.size));
}

bool km_state_log_is_good(const struct km_state *state, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		const struct entry *entry = (void *)(state->memory + KM_STATE_LOG_OFFSET + at);

		if (!entry_is_good(entry, size - at))
			return false;
		at += entry_size(entry->record.size);
	}
	return true;
}

void km_state_log_apply(struct km_state *state, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		const struct entry *entry = (void *)(state->memory + KM_STATE_LOG_OFFSET + at);

		memcpy(km_state_record_at(state, entry->table, entry->place), &entry->record,
			sizeof entry->record + entry->record.size);
		at += entry_size(entry->record.size);
	}
}

static void give_back(struct km_state *state, uint64_t offset, uint64_t size)
{
	/* a kernel that can't do this leaves the memory as it is */
	fallocate(
		state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
}

/* Does any record have a place on this page of a table? */
static bool page_is_used(const struct km_state *state, unsigned table, uint64_t page)
{
	uint32_t on_page = KM_STATE_PAGE / km_state_tables[table].size;

	for (uint32_t i = 0; i < on_page; i++)
		if (km_state_is_taken(state, table, (uint32_t)page * on_page + i))
			return true;
	return false;
}

void km_state_log_tidy(struct km_state *state, uint64_t size)
{
	uint64_t last = 0;

	for (uint64_t at = 0; at < size;) {
		const struct entry *entry = (void *)(state->memory + KM_STATE_LOG_OFFSET + at);
		uint64_t page = (uint64_t)km_state_tables[entry->table].size * entry->place /
				KM_STATE_PAGE;
		uint64_t offset = km_state_table_offset(entry->table) + page * KM_STATE_PAGE;

		if (entry->record.used == 0 && offset != last &&
			page * KM_STATE_PAGE >= KM_STATE_STAYS &&
			!page_is_used(state, entry->table, page)) {
			give_back(state, offset, KM_STATE_PAGE);
			last = offset;
		}
		at += entry_size(entry->record.size);
	}
	if (size > KM_STATE_STAYS)
		give_back(state, KM_STATE_LOG_OFFSET + KM_STATE_STAYS,
			KM_STATE_LOG_SIZE - KM_STATE_STAYS);
}

void km_state_log_commit(struct km_state *state)
{
	struct km_state_header *header;

	if (state->staged == 0)
		return;
	uint64_t size = state->staged;
	header = km_state_header_of(state);
	/* a process that is killed loses no store that it made: order is all that is asked for */
	km_store(T1, release, &header->log_size, size);
	km_state_log_apply(state, size);
	km_store(T1, release, &header->log_size, 0);
	state->staged = 0;
	km_state_log_tidy(state, size);
}

void km_state_log(
	struct km_state *state, unsigned table, uint32_t place, const void *content, uint32_t size)
{
	/* only thousands of records that end at once get here; the last of them become a state of
	 * their own */
	if (state->staged + entry_size(size) > KM_STATE_LOG_SIZE)
		km_state_log_commit(state);
	struct entry *entry = (void *)(state->memory + KM_STATE_LOG_OFFSET + state->staged);

	entry->table = table;
	entry->place = place;
	entry->record.used = content ? KM_STATE_USED : 0;
	entry->record.size = size;
	entry->record.checksum = 0;
	if (content) {
		memcpy(entry->record.content, content, size);
		entry->record.checksum = km_state_checksum(content, size);
	}
	state->staged += entry_size(size);
}
