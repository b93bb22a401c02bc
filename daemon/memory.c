/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a client shares with the broker: segments of a fixed size with the records of its
 * endpoints. What is used is in the broker's memory.
 *
 * The client's mapping is the proof that it may still be at work: the broker locks (shared) a
 * second open file description and hands that out; the client maps through it and closes it, so
 * that the mapping alone keeps the lock. As long as it does, the broker's own description can't be
 * locked exclusively.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "keep.h"
#include "segment.h"
#include "session.h"
#include "store.h"

/* A description of the segment that is locked, for the client. */
static int lock_and_hand(int own, int *ret_fd)
{
	_cleanup_(km_closep) int handed = -1;
	int r = km_segment_reopen(own, O_RDWR, &handed);

	if (r == 0)
		r = km_segment_lock(handed, false);
	if (r == 0)
		*ret_fd = km_steal_fd(handed);
	return r;
}

int km_session_hand_memory(const struct km_session *session, uint32_t segment, int *ret_fd)
{
	return lock_and_hand(session->segments[segment].fd, ret_fd);
}

int km_session_restore_memory(struct km_session *session, int fd)
{
	struct km_client_memory *segments = reallocarray(
		session->segments, session->segment_count + 1, sizeof *session->segments);
	void *memory;

	if (!segments)
		return -ENOMEM;
	session->segments = segments;
	int r = km_segment_map(fd, KM_CLIENT_SEGMENT_SIZE, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	segments[session->segment_count++] = (struct km_client_memory){ .fd = fd,
		.memory = memory };
	km_account_take(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
	return 0;
}

static int add_memory(struct km_session *session, int *ret_fd)
{
	struct km_broker *broker = session->broker;
	_cleanup_(km_closep) int own = -1, handed = -1;
	char name[KM_PREFIX_SIZE + 64];
	void *memory;
	int r;

	struct km_client_memory *segments = reallocarray(
		session->segments, session->segment_count + 1, sizeof *session->segments);
	if (!segments)
		return -ENOMEM;
	session->segments = segments;
	snprintf(name, sizeof name, "/%s_client_%llu.%u", session->prefix,
		(unsigned long long)session->id, session->segment_count);
	r = km_segment_create(name, KM_CLIENT_SEGMENT_SIZE, &own);
	if (r == 0)
		r = lock_and_hand(own, &handed);
	if (r == 0)
		r = km_segment_map(own, KM_CLIENT_SEGMENT_SIZE, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	segments[session->segment_count++] = (struct km_client_memory){ .fd = km_steal_fd(own),
		.memory = memory };
	km_account_take(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
	km_store_put(&broker->store, KM_STORE_SEGMENT, session->id, session->segment_count - 1,
		segments[session->segment_count - 1].fd);
	km_keep_session(session);
	*ret_fd = km_steal_fd(handed);
	return 0;
}

int km_session_add_memory(struct km_session *session, int *ret_fd, char *ret_text, size_t text_size)
{
	int r = km_broker_check_memory(
		session->account, KM_CLIENT_SEGMENT_SIZE, ret_text, text_size);

	if (r < 0)
		return r;
	r = add_memory(session, ret_fd);
	if (r < 0)
		snprintf(ret_text, text_size, "%s", strerror(-r));
	return r;
}

static bool is_used(const struct km_client_memory *segment, uint32_t unit)
{
	return segment->used[unit / 64] >> (unit % 64) & 1;
}

static void mark(struct km_client_memory *segment, uint32_t first, uint32_t count, bool used)
{
	for (uint32_t unit = first; unit < first + count; unit++) {
		uint64_t bit = UINT64_C(1) << (unit % 64);

		if (used)
			segment->used[unit / 64] |= bit;
		else
			segment->used[unit / 64] &= ~bit;
	}
}

int km_session_take_record(
	struct km_session *session, uint32_t size, uint32_t *ret_segment, uint32_t *ret_offset)
{
	uint32_t units = (size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT;

	for (uint32_t i = 0; i < session->segment_count; i++) {
		struct km_client_memory *segment = &session->segments[i];
		uint32_t run = 0;

		for (uint32_t unit = 0; unit < KM_RECORD_UNITS; unit++) {
			run = is_used(segment, unit) ? 0 : run + 1;
			if (run < units)
				continue;
			mark(segment, unit + 1 - units, units, true);
			*ret_segment = i;
			*ret_offset = (unit + 1 - units) * KM_RECORD_UNIT;
			return 0;
		}
	}
	return -ENOSPC;
}

int km_session_restore_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size)
{
	uint32_t first = offset / KM_RECORD_UNIT;
	uint32_t count = (size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT;

	if (segment >= session->segment_count || offset % KM_RECORD_UNIT != 0 ||
		first >= KM_RECORD_UNITS || count > KM_RECORD_UNITS - first)
		return -EPROTO;
	for (uint32_t unit = first; unit < first + count; unit++)
		if (is_used(&session->segments[segment], unit))
			return -EPROTO;
	mark(&session->segments[segment], first, count, true);
	return 0;
}

void km_session_give_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size)
{
	mark(&session->segments[segment], offset / KM_RECORD_UNIT,
		(size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT, false);
}

bool km_session_memory_unmapped(const struct km_session *session)
{
	for (uint32_t i = 0; i < session->segment_count; i++) {
		int fd = session->segments[i].fd;

		if (km_segment_lock(fd, true) < 0)
			return false;
		flock(fd, LOCK_UN);
	}
	return session->segment_count > 0;
}

void km_session_free_memory(struct km_session *session)
{
	for (uint32_t i = 0; i < session->segment_count; i++) {
		km_segment_unmap(session->segments[i].memory, KM_CLIENT_SEGMENT_SIZE);
		km_close(session->segments[i].fd);
		km_account_give(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
	}
	free(session->segments);
	session->segments = NULL;
	session->segment_count = 0;
}
