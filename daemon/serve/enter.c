/* SPDX-License-Identifier: Apache-2.0 */
/* How a client comes into a topic that is there: see enter.h. */
#include <errno.h>

#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
#include "daemon/serve/agreement.h"
#include "daemon/serve/attached.h"
#include "daemon/serve/callers.h"
#include "daemon/serve/enter.h"
#include "daemon/topic/header.h"
#include "daemon/topic/join.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/quarantine.h"
#include "daemon/topic/reliable.h"

static void give_up_topic(
	const struct km_wanted *wanted, struct km_topic *topic, const char *reason)
{
	km_topic_quarantine(topic, reason);
	km_session_refuse(wanted->session, topic, -ENOENT,
		"topic '%s' was corrupt and is given up: advertise it anew", wanted->key.name);
}

/* Takes a member back whose client was refused it. */
static void take_back(struct km_member *member)
{
	struct km_topic *topic = member->topic;

	km_leave_detach(member);
	km_tend(topic);
}

void km_enter_observe(const struct km_wanted *wanted, struct km_topic *topic)
{
	uint64_t start;

	if (km_join_start(topic, km_wanted_history(wanted, topic), &start) < 0) {
		give_up_topic(wanted, topic, "the shared ring's cells contradict each other");
		return;
	}
	if (!topic->kept.observed) {
		topic->kept.observed = true;
		km_keep_topic(topic);
	}
	if (km_attached_send_observer(wanted, topic, start) == 0)
		km_log(LOG_DEBUG, wanted->session, topic, "observes");
}

struct km_member *km_enter(const struct km_wanted *wanted, struct km_topic *topic)
{
	struct km_session *session = wanted->session;
	char text[KM_WIRE_TEXT_SIZE];
	struct km_member *member;
	int r = km_join(session, topic, wanted->role, wanted->reliable, &member, text, sizeof text);

	if (r < 0) {
		km_session_refuse(session, topic, r, "%s", text);
		return NULL;
	}
	member->kept.writable = wanted->writable;
	member->kept.wants_events = wanted->wants_events;
	member->kept.waited = wanted->waited;
	/* before its ring is live */
	if (wanted->reliable &&
		(r = km_join_reliably(member, km_wanted_history(wanted, topic))) < 0) {
		km_session_refuse(session, topic, r,
			r == -ENOMEM ? "the broker has no memory"
				     : "subscribers that were reliable have all its places still");
		take_back(member);
		return NULL;
	}
	if (wanted->role == KM_ROLE_SUBSCRIBER &&
		km_join_open(member, km_wanted_history(wanted, topic)) < 0) {
		give_up_topic(wanted, topic, "a ring's head and cells contradict each other");
		take_back(member);
		return NULL;
	}
	/* not before its ring is live: its peers may send because of it */
	km_member_tell_counts(topic);
	if (wanted->schema && !topic->kept.has_schema)
		km_header_set_schema(topic, wanted->schema);
	km_keep_member(member);
	if (wanted->key.kind == KM_KIND_REQUESTS && wanted->role == KM_ROLE_PUBLISHER)
		km_callers_tell(topic);
	return member;
}

void km_enter_answer(const struct km_wanted *wanted, struct km_member *member)
{
	if (km_attached_send(wanted, member) == 0)
		km_log(LOG_DEBUG | KM_EVENT_ENDPOINT_JOINED, member->session, member->topic,
			"%s joined", km_member_role_name(wanted->role));
	else
		take_back(member);
}

struct km_member *km_enter_find(struct km_session *session, uint64_t handle)
{
	struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->kept.state == KM_ENDPOINT_LIVE && km_member_is_named(member, handle))
			break;
	return member;
}

void km_enter_answer_again(
	struct km_session *session, const struct km_msg_attach *request, struct km_member *member)
{
	struct km_wanted wanted;

	if (km_wanted_attach(session, request, &wanted) < 0)
		return;
	if (!km_agreement_writable(&wanted, member->topic) || km_attached_send(&wanted, member) < 0)
		take_back(member);
}
