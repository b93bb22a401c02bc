/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that a client shares with the broker: see memory.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/memory/segment.h"
#include "daemon/keep/keep.h"
#include "daemon/keep/store.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/operator.h"

int km_memory_hand(const struct km_session *session, uint32_t segment, int *ret_fd)
{
	_cleanup_(km_closep) int handed = -1;
	int r = km_segment_reopen(session->segments[segment].fd, O_RDWR, &handed);

	if (r == 0)
		r = km_segment_lock(handed, false);
	if (r == 0)
		*ret_fd = km_steal_fd(handed);
	return r;
}

int km_memory_restore(struct km_session *session, int fd)
{
	struct km_client_memory *segments = reallocarray(
		session->segments, session->kept.segment_count + 1, sizeof *session->segments);
	void *memory;

	if (!segments)
		return -ENOMEM;
	session->segments = segments;
	int r = km_segment_map(fd, KM_CLIENT_SEGMENT_SIZE, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	segments[session->kept.segment_count++] = (struct km_client_memory){ .fd = fd,
		.memory = memory };
	km_account_take(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
	return 0;
}

static int add_memory(struct km_session *session, char *ret_text, size_t text_size)
{
	struct km_broker *broker = session->broker;
	_cleanup_(km_closep) int own = -1;
	char name[KM_PREFIX_SIZE + 64];
	void *memory;
	int r;

	struct km_client_memory *segments = reallocarray(
		session->segments, session->kept.segment_count + 1, sizeof *session->segments);
	if (!segments) {
		snprintf(ret_text, text_size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	session->segments = segments;
	snprintf(name, sizeof name, "/%s_client_%llu.%u", session->kept.prefix,
		(unsigned long long)session->kept.id, session->kept.segment_count);
	r = km_segment_create(name, KM_CLIENT_SEGMENT_SIZE, &own);
	if (r == 0)
		r = km_segment_map(own, KM_CLIENT_SEGMENT_SIZE, PROT_READ | PROT_WRITE, &memory);
	if (r < 0) {
		snprintf(ret_text, text_size, "%s", strerror(-r));
		return r;
	}
	r = km_store_put(&broker->store, KM_PARKED_SEGMENT, session->kept.id,
		session->kept.segment_count, &own, 1, ret_text, text_size);
	if (r < 0) {
		km_segment_unmap(memory, KM_CLIENT_SEGMENT_SIZE);
		return r;
	}
	segments[session->kept.segment_count++] = (struct km_client_memory){ .fd = km_steal_fd(own),
		.memory = memory };
	km_account_take(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
	km_keep_session(session);
	return 0;
}

int km_memory_add(struct km_session *session, char *ret_text, size_t text_size)
{
	int r = 0;

	/* an operator's first segment is in no user's way, and all that kickmsgctl needs */
	if (session->kept.segment_count > 0 || !km_operator_is(session))
		r = km_account_check_memory(
			session->account, KM_CLIENT_SEGMENT_SIZE, ret_text, text_size);
	if (r < 0)
		return r;
	if (km_operator_has_descriptors(session))
		return add_memory(session, ret_text, text_size);
	snprintf(ret_text, text_size, "%s", strerror(EMFILE));
	return -EMFILE;
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

int km_memory_find_record(const struct km_session *session, uint32_t size, uint32_t *ret_segment,
	uint32_t *ret_offset)
{
	uint32_t units = (size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT;

	for (uint32_t i = 0; i < session->kept.segment_count; i++) {
		const struct km_client_memory *segment = &session->segments[i];
		uint32_t run = 0;

		for (uint32_t unit = 0; unit < KM_RECORD_UNITS; unit++) {
			run = is_used(segment, unit) ? 0 : run + 1;
			if (run < units)
				continue;
			*ret_segment = i;
			*ret_offset = (unit + 1 - units) * KM_RECORD_UNIT;
			return 0;
		}
	}
	return -ENOSPC;
}

int km_memory_claim_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size)
{
	uint32_t first = offset / KM_RECORD_UNIT;
	uint32_t count = (size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT;

	if (segment >= session->kept.segment_count || offset % KM_RECORD_UNIT != 0 ||
		first >= KM_RECORD_UNITS || count > KM_RECORD_UNITS - first)
		return -EPROTO;
	for (uint32_t unit = first; unit < first + count; unit++)
		if (is_used(&session->segments[segment], unit))
			return -EPROTO;
	mark(&session->segments[segment], first, count, true);
	return 0;
}

void km_memory_give_record(
	struct km_session *session, uint32_t segment, uint32_t offset, uint32_t size)
{
	mark(&session->segments[segment], offset / KM_RECORD_UNIT,
		(size + KM_RECORD_UNIT - 1) / KM_RECORD_UNIT, false);
}

bool km_memory_is_unmapped(const struct km_session *session)
{
	for (uint32_t i = 0; i < session->kept.segment_count; i++) {
		int fd = session->segments[i].fd;

		if (km_segment_lock(fd, true) < 0)
			return false;
		flock(fd, LOCK_UN);
	}
	return session->kept.segment_count > 0;
}

static void free_last(struct km_session *session)
{
	struct km_broker *broker = session->broker;
	const uint32_t last = --session->kept.segment_count;

	if (broker->state) /* else the next broker goes on with it */
		km_store_remove(&broker->store, KM_PARKED_SEGMENT, session->kept.id, last);
	km_segment_unmap(session->segments[last].memory, KM_CLIENT_SEGMENT_SIZE);
	km_close(session->segments[last].fd);
	km_account_give(session->account, KM_BYTES, KM_CLIENT_SEGMENT_SIZE);
}

void km_memory_free(struct km_session *session)
{
	while (session->kept.segment_count > 0)
		free_last(session);
	free(session->segments);
	session->segments = NULL;
}

bool km_memory_give_back(struct km_session *session, unsigned *work)
{
	for (; session->kept.segment_count > 0 && *work > 0; --*work) {
		km_segment_empty(session->segments[session->kept.segment_count - 1].fd, 0,
			KM_CLIENT_SEGMENT_SIZE);
		free_last(session);
	}
	if (session->kept.segment_count > 0)
		return false;
	km_memory_free(session);
	return true;
}
