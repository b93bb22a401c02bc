/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that outlives a broker: see state.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/memory/layout.h"
#include "common/protocol/wire.h"
#include "daemon/keep/state.h"
#include "daemon/keep/state_log.h"

int km_state_new(struct km_state **ret, int *ret_fd)
{
	_cleanup_(km_closep) int fd = memfd_create(
		"kickmsgd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* fchmod makes its mode 0600, so no other user can open it anew through /proc */
	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)km_state_memory_size()) < 0)
		return -errno;
	int r = km_state_map(fd, ret);
	if (r < 0)
		return r;
	*km_state_header_of(*ret) = (struct km_state_header){
		.magic = KM_STATE_MAGIC,
		.version = KM_STATE_VERSION,
		.record_sizes = km_state_record_sizes(),
		.layout_version = KM_LAYOUT_VERSION,
		.wire_version = KM_WIRE_VERSION,
	};
	*ret_fd = km_steal_fd(fd);
	return 0;
}

void km_state_free(struct km_state *state)
{
	if (!state)
		return;
	km_close(state->fd);
	km_state_unmap(state);
}

void km_state_commit(struct km_state *state)
{
	if (state)
		km_state_log_commit(state);
}

int km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size)
{
	if (!*place) {
		*place = km_state_free_place(state, table);
		if (!*place)
			return -ENOSPC;
		km_state_mark(state, table, *place, true);
	}
	km_state_log(state, table, *place, record, (uint32_t)size);
	return 0;
}

void km_state_reserve(struct km_state *state, enum km_state_table table, uint64_t id)
{
	if (id > km_state_header_of(state)->reserved_ids[table])
		km_state_header_of(state)->reserved_ids[table] = id;
}

uint64_t km_state_reserved(const struct km_state *state, enum km_state_table table)
{
	return km_state_header_of(state)->reserved_ids[table];
}

void km_state_drop(struct km_state *state, enum km_state_table table, uint32_t *place)
{
	if (!state || !*place)
		return;
	km_state_log(state, table, *place, NULL, 0);
	km_state_mark(state, table, *place, false);
	*place = 0;
}

bool km_state_next(
	struct km_state *state, enum km_state_table table, uint32_t *place, const void **ret_record)
{
	uint32_t found = km_state_find(state, table, *place, true);

	if (found == 0)
		return false;
	*place = found;
	*ret_record = km_state_record_at(state, table, found)->content;
	return true;
}

/* Finds the records of a table; their checksums have to be right. */
static const char *scan(struct km_state *state, unsigned table)
{
	uint64_t offset = km_state_table_offset(table), end = km_state_table_offset(table + 1);
	off_t data = (off_t)offset;

	/* pages that were never written are passed over: the look would make them */
	while ((data = lseek(state->fd, data, SEEK_DATA)) >= 0 && (uint64_t)data < end) {
		off_t hole = lseek(state->fd, data, SEEK_HOLE);
		uint64_t first = ((uint64_t)data - offset) / km_state_tables[table].size;

		for (uint64_t i = first; i < km_state_tables[table].count &&
					 offset + i * km_state_tables[table].size < (uint64_t)hole;
			i++) {
			struct km_state_record *record = km_state_record_at(
				state, table, (uint32_t)i);

			if (record->used == 0)
				continue;
			if (i == 0 || record->used != KM_STATE_USED ||
				record->size > km_state_tables[table].size - sizeof *record ||
				record->checksum !=
					km_state_checksum(record->content, record->size))
				return "a record is spoilt";
			km_state_mark(state, table, (uint32_t)i, true);
		}
		data = hole;
	}
	return NULL;
}

/* Does the state have this broker's versions? The header is read before anything is mapped, since
 * its versions decide the state's size. Null, or the difference. */
static const char *check_versions(int fd, uint64_t size)
{
	static char text[96];
	struct km_state_header header = { 0 };
	ssize_t n = pread(fd, &header, sizeof header, 0);

	if (n < (ssize_t)offsetof(struct km_state_header, record_sizes) ||
		header.magic != KM_STATE_MAGIC)
		return "it is not a state of kickmsgd";
	const struct {
		const char *what;
		uint32_t is, wanted;
	} versions[] = {
		{ "it is", header.version, KM_STATE_VERSION },
		{ "its regions are", header.layout_version, KM_LAYOUT_VERSION },
		{ "the messages of its clients are", header.wire_version, KM_WIRE_VERSION },
	};
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (versions[i].is != versions[i].wanted) {
			snprintf(text, sizeof text, "%s of version %u, this broker's of %u",
				versions[i].what, versions[i].is, versions[i].wanted);
			return text;
		}
	if (header.record_sizes != km_state_record_sizes())
		return "its records are of another size";
	return size == km_state_memory_size() ? NULL : "it is of another size";
}

static const char *read_all(struct km_state *state)
{
	struct km_state_header *header = km_state_header_of(state);
	const char *reason = NULL;
	uint64_t log_size = km_load(T1, acquire, &header->log_size);
	if (log_size > KM_STATE_LOG_SIZE || !km_state_log_is_good(state, log_size))
		return "its log is spoilt";
	km_state_log_apply(state, log_size);
	km_store(T1, release, &header->log_size, 0);
	for (unsigned i = 0; i < KM_STATE_TABLES && !reason; i++)
		reason = scan(state, i);
	if (!reason)
		km_state_log_tidy(state, log_size);
	return reason;
}

int km_state_open(int fd, struct km_state **ret, const char **ret_reason)
{
	struct stat st;
	struct km_state *state;

	*ret_reason = "it is not a state of kickmsgd";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EPROTO;
	*ret_reason = check_versions(fd, (uint64_t)st.st_size);
	if (*ret_reason)
		return -EPROTO;
	*ret_reason = "there is no memory for it";
	int r = km_state_map(fd, &state);
	if (r < 0)
		return r;
	*ret_reason = read_all(state);
	if (*ret_reason) {
		state->fd = -1; /* the descriptor stays the caller's */
		km_state_free(state);
		return -EPROTO;
	}
	*ret = state;
	return 0;
}
