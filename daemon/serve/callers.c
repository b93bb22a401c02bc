/* SPDX-License-Identifier: Apache-2.0 */
/* Services, their servers and their callers: see callers.h. */
#include "daemon/serve/callers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peer/session.h"
#include "daemon/serve/notice.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

static bool has_role(const struct km_member *member, enum km_role role)
{
	return member->kept.state == KM_ENDPOINT_LIVE && member->kept.role == role;
}

const struct km_member *km_callers_active(const struct km_topic *service)
{
	const struct km_member *member, *oldest = NULL;

	LIST_FOREACH (member, &service->members, of_topic)
		if (has_role(member, KM_ROLE_PUBLISHER) &&
			(!oldest || member->kept.handle < oldest->kept.handle))
			oldest = member;
	return oldest;
}

/* Is the member the session's? A process whose connection was hung up goes on with what it has, and asks by its
 * next connection. */
static bool is_of(const struct km_member *member, const struct km_session *session)
{
	return member->session == session || km_session_follows(session, member->session);
}

/* Does an endpoint with this number, as km_channel_open() writes it, call the service for the session? Another
 * way to write the number would name more topics for the same caller. */
static bool calls(
	const struct km_session *session, const struct km_topic *service, const char *number)
{
	const struct km_member *member;
	char written[KM_NAME_SIZE];
	uint64_t endpoint = strtoull(number, NULL, 10);

	snprintf(written, sizeof written, "%" PRIu64, endpoint);
	if (strcmp(written, number) != 0)
		return false;
	LIST_FOREACH (member, &service->members, of_topic)
		if (member->kept.handle == endpoint)
			return has_role(member, KM_ROLE_SUBSCRIBER) && is_of(member, session);
	return false;
}

static bool serves(const struct km_session *session, const struct km_topic *service)
{
	const struct km_member *active = km_callers_active(service);

	return active && is_of(active, session);
}

bool km_callers_allow(const struct km_wanted *wanted)
{
	struct km_topic_key key = wanted->key;
	bool is_caller = (key.kind == KM_KIND_REQUESTS) == (wanted->role == KM_ROLE_PUBLISHER);

	if (!km_kind_is_private(key.kind))
		return true;
	key.kind = KM_KIND_SERVICE;
	memset(key.owner, 0, sizeof key.owner);
	const struct km_topic *service = km_topic_find(wanted->session->broker, &key);
	if (service && !wanted->observes &&
		(is_caller ? calls(wanted->session, service, wanted->key.owner)
			   : serves(wanted->session, service)))
		return true;
	km_session_refuse(wanted->session, service, -EACCES,
		"%s of the service '%.60s': client '%s' isn't %s", km_kind_name(wanted->key.kind),
		key.name, wanted->session->kept.name,
		is_caller ? "the caller that they are of" : "the server that serves");
	return false;
}

void km_callers_tell(const struct km_topic *requests)
{
	struct km_topic_key key = requests->kept.key;

	key.kind = KM_KIND_SERVICE;
	memset(key.owner, 0, sizeof key.owner);
	struct km_topic *service = km_topic_find(requests->broker, &key);
	if (service)
		km_notice_changed(service);
}

/* A page of callers: the oldest ones, oldest first. */
struct page {
	const struct km_member *callers[KM_WIRE_CALLERS_PAGE];
	uint32_t count;
	bool more;
};

static void insert(struct page *page, const struct km_member *member)
{
	uint32_t i = page->count;

	if (page->count == KM_WIRE_CALLERS_PAGE) {
		page->more = true;
		if (member->kept.handle > page->callers[--i]->kept.handle)
			return;
	} else {
		page->count++;
	}
	for (; i > 0 && page->callers[i - 1]->kept.handle > member->kept.handle; i--)
		page->callers[i] = page->callers[i - 1];
	page->callers[i] = member;
}

static void tell(const struct page *page, struct km_msg_callers_ok *answer)
{
	answer->count = page->count;
	answer->more = page->more;
	for (uint32_t i = 0; i < page->count; i++) {
		const struct km_kept_session *session = &page->callers[i]->session->kept;

		answer->callers[i] = (struct km_caller){
			.endpoint = page->callers[i]->kept.handle,
			.client_id = session->id,
			.pid = session->pid,
			.uid = session->uid,
			.gid = session->gid,
		};
		memcpy(answer->callers[i].name, session->name, sizeof session->name);
	}
}

void km_serve_callers(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_callers_ok answer = { .header.op = KM_OP_CALLERS_OK };
	const struct km_topic *service = km_wanted_topic(session, request);
	const struct km_member *member, *active;
	struct page page = { .count = 0 };
	bool is_server = false;

	if (!service)
		return;
	LIST_FOREACH (member, &service->members, of_topic)
		is_server |= has_role(member, KM_ROLE_PUBLISHER) && is_of(member, session);
	if (!is_server || service->kept.key.kind != KM_KIND_SERVICE) {
		km_session_refuse(session, service, -EPERM,
			"client '%s' is no server of '%.60s': only these hear who calls",
			session->kept.name, service->kept.key.name);
		return;
	}
	active = km_callers_active(service);
	answer.active = active->kept.handle;
	if (is_of(active, session))
		LIST_FOREACH (member, &service->members, of_topic)
			if (has_role(member, KM_ROLE_SUBSCRIBER) &&
				member->kept.handle > request->cursor)
				insert(&page, member);
	tell(&page, &answer);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
