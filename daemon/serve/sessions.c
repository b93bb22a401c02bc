/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SESSIONS: the clients, by their ids, a page a request. The list of sessions is in no order after a
 * restart. So each page is found by one walk through it, which keeps the least ids beyond the cursor. The
 * limit on clients bounds the walk.
 */
#include <string.h>

#include "common/clock.h"
#include "daemon/peer/session.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wait.h"
#include "daemon/topic/member.h"

/* The clients with the least ids so far, in order. */
struct page {
	const struct km_session *sessions[KM_WIRE_SESSION_PAGE];
	uint32_t count;
	bool more; /* more come after these */
};

static void consider(struct page *page, const struct km_session *session)
{
	uint32_t place = page->count;

	while (place > 0 && page->sessions[place - 1]->kept.id > session->kept.id)
		place--;
	page->more |= page->count == KM_WIRE_SESSION_PAGE;
	if (place == KM_WIRE_SESSION_PAGE)
		return;
	if (page->count < KM_WIRE_SESSION_PAGE)
		page->count++;
	memmove(&page->sessions[place + 1], &page->sessions[place],
		(page->count - place - 1) * sizeof page->sessions[0]);
	page->sessions[place] = session;
}

static void describe(const struct km_session *session, int64_t now, struct km_session_entry *ret)
{
	const struct km_kept_session *kept = &session->kept;

	ret->id = kept->id;
	ret->age_ns = now > kept->since_ns ? (uint64_t)(now - kept->since_ns) : 0;
	memcpy(ret->name, kept->name, sizeof ret->name);
	memcpy(ret->prefix, kept->prefix, sizeof ret->prefix);
	ret->pid = kept->pid;
	ret->uid = kept->uid;
	ret->publishers = session->publishers;
	ret->subscribers = session->member_count - session->publishers;
	ret->segments = kept->segment_count;
	ret->waits = session->wait_count;
	ret->connected = session->socket >= 0;
	ret->alive = kept->state != KM_SESSION_DEAD;
}

void km_serve_sessions(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_sessions_ok answer = { .header.op = KM_OP_SESSIONS_OK };
	const struct km_session *other;
	struct page page = { .count = 0 };
	const int64_t now = km_clock_ns();

	LIST_FOREACH (other, &session->broker->sessions, next)
		if (other->kept.id > request->cursor && other->kept.state != KM_SESSION_NEW)
			consider(&page, other);
	for (; answer.count < page.count; answer.count++)
		describe(page.sessions[answer.count], now, &answer.sessions[answer.count]);
	if (page.more)
		answer.next = page.sessions[page.count - 1]->kept.id;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
