/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to know of a topic but its numbers: see info.h. */
#include <errno.h>
#include <string.h>

#include "info.h"
#include "list.h"
#include "log.h"
#include "naming.h"
#include "rights.h"
#include "session.h"
#include "topic.h"

bool km_info_participates(const struct km_session *session, const struct km_topic *topic)
{
	const struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->topic == topic && member->state == KM_PARTY_LIVE)
			return true;
	return false;
}

void km_info_serve(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_info_ok answer = { .header.op = KM_OP_INFO_OK };
	const struct km_topic *topic = km_naming_find(session, request);

	if (!topic)
		return;
	km_list_describe(topic, &answer.entry);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

static bool counts(const struct km_member *member)
{
	return member->state == KM_PARTY_LIVE || member->state == KM_PARTY_DEAD;
}

/* Sums up what a session has of the topic. False: `member` isn't the first of these, so another one
 * stands for it. */
static bool describe_person(const struct km_member *member, struct km_person *ret)
{
	const struct km_session *session = member->session;
	const struct km_member *other;

	*ret = (struct km_person){ .since_realtime_ns = UINT64_MAX };
	LIST_FOREACH (other, &session->members, of_session) {
		if (other->topic != member->topic || !counts(other))
			continue;
		/* both lists have the newest first */
		if (other->handle > member->handle)
			return false;
		ret->publishers += other->role == KM_ROLE_PUBLISHER;
		ret->subscribers += other->role == KM_ROLE_SUBSCRIBER;
		if (other->since_realtime_ns < ret->since_realtime_ns)
			ret->since_realtime_ns = other->since_realtime_ns;
	}
	memcpy(ret->name, session->name, sizeof ret->name);
	ret->pid = session->pid;
	ret->uid = session->uid;
	ret->alive = session->state != KM_SESSION_DEAD;
	ret->client_id = session->id;
	ret->handle = member->handle;
	return true;
}

/* The cursor is the handle of the last one told; they come newest first. */
void km_info_people(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_people_ok answer = { .header.op = KM_OP_PEOPLE_OK };
	const struct km_topic *topic = km_naming_find(session, request);
	const struct km_member *member;
	struct km_person person;
	uint64_t last = 0;

	if (!topic)
		return;
	LIST_FOREACH (member, &topic->members, of_topic) {
		if (!counts(member) || (request->cursor && member->handle >= request->cursor) ||
			!describe_person(member, &person))
			continue;
		if (answer.count == KM_WIRE_PEOPLE_PAGE) {
			answer.next = last;
			break;
		}
		answer.people[answer.count++] = person;
		last = member->handle;
	}
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

static void answer_schema(struct km_session *session, const struct km_topic *topic, bool won)
{
	struct km_msg_schema_ok answer = {
		.header.op = KM_OP_SCHEMA_OK,
		.has_schema = topic->has_schema,
		.won = won,
		.schema = topic->schema,
	};

	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_info_schema(struct km_session *session, const struct km_msg_topic *request)
{
	const struct km_topic *topic = km_naming_find(session, request);

	if (topic)
		answer_schema(session, topic, false);
}

void km_info_claim(struct km_session *session, const struct km_msg_claim *request)
{
	struct km_topic *topic = km_naming_find(session, &request->topic);

	if (!topic)
		return;
	if (!km_info_participates(session, topic)) {
		km_session_refuse(session, topic, -EPERM,
			"only participants of %s '%s' may claim its schema",
			km_kind_name(topic->key.kind), topic->key.name);
		return;
	}
	if (!topic->has_schema) {
		if (!km_rights_allow_schema(session, topic))
			return;
		km_topic_set_schema(topic, &request->schema);
		km_log(LOG_INFO | KM_EVENT_SCHEMA_CLAIMED, session, topic, "schema claimed");
	}
	answer_schema(session, topic, km_schema_diff(&topic->schema, &request->schema) == 0);
}
