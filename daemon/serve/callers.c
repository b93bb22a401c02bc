/* SPDX-License-Identifier: Apache-2.0 */
/* Services, their servers and their callers: see callers.h. */
#include "daemon/serve/callers.h"

#include <errno.h>
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

/* Is the endpoint with this number one of the session's, and does it call the service? */
static bool calls(
	const struct km_session *session, const struct km_topic *service, const char *number)
{
	const struct km_member *member;
	char *end;
	uint64_t endpoint = strtoull(number, &end, 10);

	LIST_FOREACH (member, &session->members, of_session)
		if (member->kept.handle == endpoint && member->topic == service)
			return *end == '\0' && has_role(member, KM_ROLE_SUBSCRIBER);
	return false;
}

static bool serves(const struct km_session *session, const struct km_topic *service)
{
	const struct km_member *active = km_callers_active(service);

	return active && active->session == session;
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

/* Puts the caller into a page that keeps the oldest ones, oldest first. */
static void insert(struct km_msg_callers_ok *answer, const struct km_member *member)
{
	const struct km_session *session = member->session;
	uint32_t i = answer->count;

	if (answer->count == KM_WIRE_CALLERS_PAGE) {
		answer->more = 1;
		if (member->kept.handle > answer->callers[--i].endpoint)
			return;
	} else {
		answer->count++;
	}
	for (; i > 0 && answer->callers[i - 1].endpoint > member->kept.handle; i--)
		answer->callers[i] = answer->callers[i - 1];
	answer->callers[i] = (struct km_caller){
		.endpoint = member->kept.handle,
		.client_id = session->kept.id,
		.pid = session->kept.pid,
		.uid = session->kept.uid,
		.gid = session->kept.gid,
	};
	memcpy(answer->callers[i].name, session->kept.name, sizeof session->kept.name);
}

void km_serve_callers(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_callers_ok answer = { .header.op = KM_OP_CALLERS_OK };
	const struct km_topic *service = km_wanted_topic(session, request);
	const struct km_member *member, *active;
	bool is_server = false;

	if (!service)
		return;
	LIST_FOREACH (member, &session->members, of_session)
		is_server |= member->topic == service && has_role(member, KM_ROLE_PUBLISHER);
	if (!is_server || service->kept.key.kind != KM_KIND_SERVICE) {
		km_session_refuse(session, service, -EPERM,
			"client '%s' is no server of '%.60s': only these hear who calls",
			session->kept.name, service->kept.key.name);
		return;
	}
	active = km_callers_active(service);
	answer.active = active->kept.handle;
	if (active->session == session)
		LIST_FOREACH (member, &service->members, of_topic)
			if (has_role(member, KM_ROLE_SUBSCRIBER) &&
				member->kept.handle > request->cursor)
				insert(&answer, member);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
