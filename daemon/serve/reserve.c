/* SPDX-License-Identifier: Apache-2.0 */
/* Reserving memory in turns: see reserve.h. */
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/memory/segment.h"
#include "daemon/peer/session.h"
#include "daemon/serve/question.h"
#include "daemon/serve/reserve.h"
#include "daemon/serve/spare.h"

/* The control and the payload segment. */
struct km_reserved {
	int fds[2];
	uint64_t sizes[2];
	uint64_t done[2];
	int error; /* why the memory can't be had, or 0 */
	bool charged;
};

struct reserving {
	struct km_question question;
	struct km_reserved *reserved; /* the session's in the end */
};

static void discharge(struct km_session *session, struct km_reserved *reserved)
{
	if (!reserved->charged)
		return;
	for (int i = 0; i < 2; i++) {
		km_account_give(session->account, KM_BYTES, reserved->sizes[i]);
		session->broker->accounts.reserving -= reserved->sizes[i] - reserved->done[i];
	}
	reserved->charged = false;
}

static void release(struct km_session *session, struct km_reserved *reserved)
{
	if (!reserved)
		return;
	discharge(session, reserved);
	for (int i = 0; i < 2; i++)
		km_close(reserved->fds[i]);
	free(reserved);
}

static bool step(struct km_question *question)
{
	struct reserving *reserving = (struct reserving *)question;
	struct km_session *session = question->session;
	struct km_reserved *reserved = reserving->reserved;

	for (int i = 0; i < 2 && reserved->error == 0; i++) {
		uint64_t size = reserved->sizes[i] - reserved->done[i];

		if (size == 0)
			continue;
		if (size > KM_RESERVE_PIECE)
			size = KM_RESERVE_PIECE;
		reserved->error = km_segment_reserve(reserved->fds[i], reserved->done[i], size);
		reserved->done[i] += size;
		session->broker->accounts.reserving -= size;
		if (reserved->error == 0)
			return true;
	}
	/* the charge for the topic itself follows at once */
	discharge(session, reserved);
	session->reserved = reserved;
	reserving->reserved = NULL;
	return false;
}

static void end(struct km_question *question)
{
	release(question->session, ((struct reserving *)question)->reserved);
}

bool km_reserve_first(
	struct km_session *session, const char *region_name, const struct km_geometry *geometry)
{
	uint64_t sizes[2] = { km_geometry_control_size(geometry),
		km_geometry_payload_size(geometry) };
	char name[KM_REGION_NAME_SIZE];

	if (session->reserved || sizes[0] + sizes[1] <= KM_RESERVE_AT_ONCE)
		return false;
	struct reserving *reserving = calloc(1, sizeof *reserving);
	struct km_reserved *reserved = calloc(1, sizeof *reserved);
	if (!reserving || !reserved) {
		free(reserving);
		free(reserved);
		return false;
	}
	reserving->question.step = step;
	reserving->question.end = end;
	reserving->question.anew = true;
	reserving->reserved = reserved;
	km_account_take(session->account, KM_BYTES, sizes[0] + sizes[1]);
	session->broker->accounts.reserving += sizes[0] + sizes[1];
	reserved->charged = true;
	for (int i = 0; i < 2; i++) {
		reserved->fds[i] = -1;
		reserved->sizes[i] = sizes[i];
	}
	for (int i = 0; i < 2 && reserved->error == 0; i++) {
		snprintf(name, sizeof name, i == 0 ? "%.240s" : "%.230s_payload", region_name);
		reserved->error = km_segment_begin(name, sizes[i], &reserved->fds[i]);
	}
	km_question_ask(session, NULL, &reserving->question);
	return true;
}

int km_reserve_take(struct km_session *session, const char *name, uint64_t size, int *ret_fd)
{
	struct km_reserved *reserved = session->reserved;

	if (reserved && reserved->error < 0)
		return reserved->error;
	for (int i = 0; reserved && i < 2; i++)
		if (reserved->fds[i] >= 0 && reserved->sizes[i] == size) {
			*ret_fd = km_steal_fd(reserved->fds[i]);
			return 0;
		}
	return km_spare_take(session->broker, name, size, ret_fd);
}

void km_reserve_drop(struct km_session *session)
{
	release(session, session->reserved);
	session->reserved = NULL;
}
