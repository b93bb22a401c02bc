/* SPDX-License-Identifier: Apache-2.0 */
/* The records in the state that a killed broker left (daemon/keep/state.c), to be looked at and changed. */
#pragma once

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record's head, and its content. */
struct state_record {
	uint32_t used, size;
	uint64_t checksum;
	unsigned char content[];
};

#define STATE_RECORD_USED   UINT32_C(0x44455355)
#define STATE_RECORD_LARGE  4096 /* bytes, more than any record has */
#define STATE_TABLES_OFFSET (4096 + (16 << 20))

/* Writes the checksum of the record's present content. */
static inline void state_record_seal(struct state_record *record)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < record->size; i++)
		hash = (hash ^ record->content[i]) * UINT64_C(0x100000001b3);
	record->checksum = hash;
}

/* Shows `change` each record of the state in `fd`, and seals those for which it returns true. Returns how
 * many these are. */
static inline unsigned state_records_change(
	int fd, bool (*change)(struct state_record *record, void *userdata), void *userdata)
{
	unsigned changed = 0;
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	unsigned char *memory = mmap(
		NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	for (off_t at = lseek(fd, STATE_TABLES_OFFSET, SEEK_DATA), end; at >= 0;
		at = lseek(fd, end, SEEK_DATA)) {
		end = lseek(fd, at, SEEK_HOLE);
		for (; at < end; at += 8) {
			struct state_record *record = (void *)(memory + at);

			if (record->used != STATE_RECORD_USED ||
				record->size > STATE_RECORD_LARGE || !change(record, userdata))
				continue;
			state_record_seal(record);
			changed++;
		}
	}
	munmap(memory, (size_t)st.st_size);
	return changed;
}
