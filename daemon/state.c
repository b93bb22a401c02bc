/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that outlives a broker: see state.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "cleanup.h"
#include "layout.h"
#include "state.h"
#include "wire.h"

#define STATE_MAGIC UINT64_C(0x45544154534d4b43) /* "CKMSTATE" in memory order */
#define LOG_OFFSET  4096
#define LOG_SIZE    (UINT64_C(16) << 20)

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t record_sizes;     /* of all tables, mixed: another build's differ */
	_Atomic uint64_t log_size; /* bytes that are valid; 0: all is in its place */
	uint64_t reserved_ids[KM_STATE_TABLES];
	uint32_t layout_version; /* of the regions and client segments that it speaks of */
	uint32_t wire_version;   /* that its clients speak */
};

/* What stands before each record. */
struct record {
	uint32_t used; /* 0 or USED */
	uint32_t size;
	uint64_t checksum; /* of the content */
	unsigned char content[];
};

#define USED UINT32_C(0x44455355)

struct entry {
	uint32_t table;
	uint32_t place;
	struct record record; /* and its content, padded to 8 */
};

static const struct {
	uint32_t size; /* of a record and its head */
	uint32_t count;
} tables[KM_STATE_TABLES] = {
	[KM_STATE_SESSIONS] = { KM_STATE_SESSION_SIZE + 16, 1u << 16 },
	[KM_STATE_TOPICS] = { KM_STATE_TOPIC_SIZE + 16, 1u << 17 },
	[KM_STATE_MEMBERS] = { KM_STATE_MEMBER_SIZE + 16, 1u << 20 },
};

struct km_state {
	int fd;
	unsigned char *memory;
	uint64_t staged;                  /* bytes of the log that are written and not yet valid */
	uint32_t next[KM_STATE_TABLES];   /* where to look for a free place */
	uint64_t *taken[KM_STATE_TABLES]; /* a bit for each place */
};

static uint64_t table_offset(enum km_state_table table)
{
	uint64_t offset = LOG_OFFSET + LOG_SIZE;

	for (unsigned i = 0; i < (unsigned)table; i++)
		offset += (uint64_t)tables[i].size * tables[i].count;
	return offset;
}

static uint64_t memory_size(void)
{
	return table_offset(KM_STATE_TABLES);
}

static uint32_t record_sizes(void)
{
	uint32_t mixed = 2166136261u;

	for (unsigned i = 0; i < KM_STATE_TABLES; i++)
		mixed = ((mixed ^ tables[i].size) * 16777619u ^ tables[i].count) * 16777619u;
	return mixed;
}

static struct header *header_of(const struct km_state *state)
{
	return (struct header *)(void *)state->memory;
}

static struct record *record_at(struct km_state *state, enum km_state_table table, uint32_t place)
{
	return (struct record *)(void *)(state->memory + table_offset(table) +
					 (uint64_t)tables[table].size * place);
}

static uint64_t checksum(const unsigned char *content, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ content[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t entry_size(uint32_t content)
{
	return (sizeof(struct entry) + content + 7) & ~UINT64_C(7);
}

static int map(int fd, struct km_state **ret)
{
	struct km_state *state = calloc(1, sizeof *state);
	void *memory = MAP_FAILED;

	if (state)
		memory = mmap(NULL, memory_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (unsigned i = 0; state && memory != MAP_FAILED && i < KM_STATE_TABLES; i++) {
		state->taken[i] = calloc(tables[i].count / 64, sizeof *state->taken[i]);
		if (!state->taken[i])
			break;
		state->next[i] = 1;
	}
	if (!state || memory == MAP_FAILED || !state->taken[KM_STATE_TABLES - 1]) {
		if (memory != MAP_FAILED)
			munmap(memory, memory_size());
		for (unsigned i = 0; state && i < KM_STATE_TABLES; i++)
			free(state->taken[i]);
		free(state);
		return -ENOMEM;
	}
	state->fd = fd;
	state->memory = memory;
	*ret = state;
	return 0;
}

int km_state_new(struct km_state **ret, int *ret_fd)
{
	_cleanup_(km_closep) int fd = memfd_create(
		"kickmsgd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* of mode 0600 by fchmod: no other user can open it anew through /proc */
	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)memory_size()) < 0)
		return -errno;
	int r = map(fd, ret);
	if (r < 0)
		return r;
	*header_of(*ret) = (struct header){
		.magic = STATE_MAGIC,
		.version = KM_STATE_VERSION,
		.record_sizes = record_sizes(),
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
	munmap(state->memory, memory_size());
	km_close(state->fd);
	for (unsigned i = 0; i < KM_STATE_TABLES; i++)
		free(state->taken[i]);
	free(state);
}

static void mark(struct km_state *state, unsigned table, uint32_t place, bool taken)
{
	uint64_t bit = UINT64_C(1) << (place % 64);

	if (taken)
		state->taken[table][place / 64] |= bit;
	else
		state->taken[table][place / 64] &= ~bit;
}

static bool is_taken(const struct km_state *state, unsigned table, uint32_t place)
{
	return state->taken[table][place / 64] >> (place % 64) & 1;
}

/* Could this be what put() or drop() wrote? */
static bool entry_is_good(const struct entry *entry, uint64_t left)
{
	if (left < sizeof *entry || entry->table >= KM_STATE_TABLES || entry->place == 0 ||
		entry->place >= tables[entry->table].count ||
		entry->record.size > tables[entry->table].size - sizeof entry->record ||
		entry_size(entry->record.size) > left)
		return false;
	return entry->record.used == 0 ||
	       (entry->record.used == USED &&
		       entry->record.checksum ==
			       checksum(entry->record.content, entry->record.size));
}

/* Copies what the log says to its places. False when it makes no sense; then some may be copied. */
static bool apply(struct km_state *state, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		const struct entry *entry = (void *)(state->memory + LOG_OFFSET + at);

		if (!entry_is_good(entry, size - at))
			return false;
		memcpy(record_at(state, entry->table, entry->place), &entry->record,
			sizeof entry->record + entry->record.size);
		at += entry_size(entry->record.size);
	}
	return true;
}

void km_state_commit(struct km_state *state)
{
	struct header *header;

	if (!state || state->staged == 0)
		return;
	header = header_of(state);
	/* a process that is killed loses no store that it made: order is all that is asked for */
	km_store(T1, release, &header->log_size, state->staged);
	apply(state, state->staged);
	km_store(T1, release, &header->log_size, 0);
	state->staged = 0;
}

static void stage(
	struct km_state *state, unsigned table, uint32_t place, const void *content, uint32_t size)
{
	/* only thousands of ends at once get here: the last of them are a state of their own */
	if (state->staged + entry_size(size) > LOG_SIZE)
		km_state_commit(state);
	struct entry *entry = (void *)(state->memory + LOG_OFFSET + state->staged);

	entry->table = table;
	entry->place = place;
	entry->record.used = content ? USED : 0;
	entry->record.size = size;
	entry->record.checksum = 0;
	if (content) {
		memcpy(entry->record.content, content, size);
		entry->record.checksum = checksum(content, size);
	}
	state->staged += entry_size(size);
}

static uint32_t find_place(struct km_state *state, enum km_state_table table)
{
	for (uint32_t looked = 1; looked < tables[table].count; looked++) {
		uint32_t place = state->next[table];

		state->next[table] = place + 1 < tables[table].count ? place + 1 : 1;
		if (!is_taken(state, table, place))
			return place;
	}
	return 0;
}

int km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size)
{
	if (!*place) {
		*place = find_place(state, table);
		if (!*place)
			return -ENOSPC;
		mark(state, table, *place, true);
	}
	stage(state, table, *place, record, (uint32_t)size);
	return 0;
}

void km_state_reserve(struct km_state *state, enum km_state_table table, uint64_t id)
{
	if (id > header_of(state)->reserved_ids[table])
		header_of(state)->reserved_ids[table] = id;
}

uint64_t km_state_reserved(const struct km_state *state, enum km_state_table table)
{
	return header_of(state)->reserved_ids[table];
}

void km_state_drop(struct km_state *state, enum km_state_table table, uint32_t *place)
{
	if (!state || !*place)
		return;
	stage(state, table, *place, NULL, 0);
	mark(state, table, *place, false);
	*place = 0;
}

bool km_state_next(
	struct km_state *state, enum km_state_table table, uint32_t *place, const void **ret_record)
{
	for (; *place < tables[table].count; ++*place)
		if (is_taken(state, table, *place)) {
			*ret_record = record_at(state, table, *place)->content;
			return true;
		}
	return false;
}

/* Finds the records of a table; their checksums have to be right. */
static const char *scan(struct km_state *state, unsigned table)
{
	uint64_t offset = table_offset(table), end = table_offset(table + 1);
	off_t data = (off_t)offset;

	/* pages that were never written are left out: they would be made by the look */
	while ((data = lseek(state->fd, data, SEEK_DATA)) >= 0 && (uint64_t)data < end) {
		off_t hole = lseek(state->fd, data, SEEK_HOLE);
		uint64_t first = ((uint64_t)data - offset) / tables[table].size;

		for (uint64_t i = first;
			i < tables[table].count && offset + i * tables[table].size < (uint64_t)hole;
			i++) {
			struct record *record = record_at(state, table, (uint32_t)i);

			if (record->used == 0)
				continue;
			if (i == 0 || record->used != USED ||
				record->size > tables[table].size - sizeof *record ||
				record->checksum != checksum(record->content, record->size))
				return "a record is spoilt";
			mark(state, table, (uint32_t)i, true);
		}
		data = hole;
	}
	return NULL;
}

/* Is it of this broker's time, and all that it speaks of too? Null, or what isn't. */
static const char *check_versions(const struct header *header)
{
	static char text[96];
	const struct {
		const char *what;
		uint32_t is, wanted;
	} versions[] = {
		{ "it is", header->version, KM_STATE_VERSION },
		{ "its regions are", header->layout_version, KM_LAYOUT_VERSION },
		{ "the messages of its clients are", header->wire_version, KM_WIRE_VERSION },
	};

	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (versions[i].is != versions[i].wanted) {
			snprintf(text, sizeof text, "%s of version %u, this broker's of %u",
				versions[i].what, versions[i].is, versions[i].wanted);
			return text;
		}
	return header->record_sizes == record_sizes() ? NULL : "its records are of another size";
}

static const char *read_all(struct km_state *state)
{
	struct header *header = header_of(state);
	const char *reason = NULL;

	if (header->magic != STATE_MAGIC)
		return "it is not a state of kickmsgd";
	reason = check_versions(header);
	if (reason)
		return reason;
	uint64_t log_size = km_load(T1, acquire, &header->log_size);
	if (log_size > LOG_SIZE || !apply(state, log_size))
		return "its log is spoilt";
	km_store(T1, release, &header->log_size, 0);
	for (unsigned i = 0; i < KM_STATE_TABLES && !reason; i++)
		reason = scan(state, i);
	return reason;
}

int km_state_open(int fd, struct km_state **ret, const char **ret_reason)
{
	struct stat st;
	struct km_state *state;

	*ret_reason = "it is not a state of kickmsgd";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < LOG_OFFSET)
		return -EPROTO;
	*ret_reason = "it is of another size";
	if ((uint64_t)st.st_size != memory_size())
		return -EPROTO;
	*ret_reason = "there is no memory for it";
	int r = map(fd, &state);
	if (r < 0)
		return r;
	const char *reason = read_all(state);
	if (reason) {
		state->fd = -1; /* stays the caller's */
		km_state_free(state);
		*ret_reason = reason;
		return -EPROTO;
	}
	*ret = state;
	return 0;
}
