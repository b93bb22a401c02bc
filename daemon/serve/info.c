/* SPDX-License-Identifier: Apache-2.0 */
/* The answers about a topic but for its numbers: see info.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/info.h"
#include "daemon/serve/list.h"
#include "daemon/serve/question.h"
#include "daemon/serve/rights.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/header.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

bool km_info_has_endpoint(const struct km_session *session, const struct km_topic *topic)
{
	const struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->topic == topic && member->kept.state == KM_ENDPOINT_LIVE)
			return true;
	return false;
}

void km_serve_info(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_info_ok answer = { .header.op = KM_OP_INFO_OK };
	const struct km_topic *topic = km_wanted_topic(session, request);

	if (!topic)
		return;
	km_list_describe(topic, &answer.entry);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

static bool counts(const struct km_member *member)
{
	return member->kept.state == KM_ENDPOINT_LIVE || member->kept.state == KM_ENDPOINT_DEAD;
}

/* Sums up what a session has of the topic. False: `member` isn't the session's first one, which
 * stands for all of them. */
static bool describe_client(const struct km_member *member, struct km_topic_client *ret)
{
	const struct km_session *session = member->session;
	const struct km_member *other;

	*ret = (struct km_topic_client){ .since_realtime_ns = UINT64_MAX };
	LIST_FOREACH (other, &session->members, of_session) {
		if (other->topic != member->topic || !counts(other))
			continue;
		/* the lists of topic and session both have the newest first */
		if (other->kept.handle > member->kept.handle)
			return false;
		ret->publishers += other->kept.role == KM_ROLE_PUBLISHER;
		ret->subscribers += other->kept.role == KM_ROLE_SUBSCRIBER;
		if (other->kept.since_realtime_ns < ret->since_realtime_ns)
			ret->since_realtime_ns = other->kept.since_realtime_ns;
	}
	memcpy(ret->name, session->kept.name, sizeof ret->name);
	ret->pid = session->kept.pid;
	ret->uid = session->kept.uid;
	ret->alive = session->kept.state != KM_SESSION_DEAD;
	ret->client_id = session->kept.id;
	ret->handle = member->kept.handle;
	return true;
}

/* CLIENTS under way. */
struct client_list {
	struct km_question question;
	struct km_msg_clients_ok answer;
	/* handle of the last client told; they come newest first */
	uint64_t cursor;
	uint64_t last;
};

/* Tells one client. False: that was all, or the page is full. */
static bool tell_client(struct client_list *list, const struct km_member *member)
{
	struct km_msg_clients_ok *answer = &list->answer;
	struct km_topic_client client;

	if (!counts(member) || (list->cursor && member->kept.handle >= list->cursor) ||
		!describe_client(member, &client))
		return true;
	if (answer->count == KM_WIRE_CLIENTS_PAGE) {
		answer->next = list->last;
		return false;
	}
	answer->clients[answer->count++] = client;
	list->last = member->kept.handle;
	return true;
}

static bool step(struct km_question *question)
{
	struct client_list *list = (struct client_list *)question;
	const struct km_member *member;

	/* describe_client() looks at all members of the client, so each of them is work */
	for (int64_t work = KM_PIECE; work > 0; work -= 1 + member->session->member_count) {
		member = km_walk_next(&question->walk);
		if (member && tell_client(list, member))
			continue;
		km_session_answer(question->session, &list->answer, sizeof list->answer, NULL, 0);
		return false;
	}
	return true;
}

void km_serve_clients(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic *topic = km_wanted_topic(session, request);

	if (!topic)
		return;
	struct client_list *list = calloc(1, sizeof *list);
	if (list) {
		list->question.step = step;
		list->answer.header.op = KM_OP_CLIENTS_OK;
		list->cursor = request->cursor;
	}
	km_question_ask(session, topic, list ? &list->question : NULL);
}

static void answer_schema(struct km_session *session, const struct km_topic *topic, bool won)
{
	struct km_msg_schema_ok answer = {
		.header.op = KM_OP_SCHEMA_OK,
		.has_schema = topic->kept.has_schema,
		.won = won,
		.schema = topic->kept.schema,
	};

	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_serve_schema(struct km_session *session, const struct km_msg_topic *request)
{
	const struct km_topic *topic = km_wanted_topic(session, request);

	if (topic)
		answer_schema(session, topic, false);
}

void km_serve_claim(struct km_session *session, const struct km_msg_claim *request)
{
	struct km_topic *topic = km_wanted_topic(session, &request->topic);

	if (!topic)
		return;
	if (!km_info_has_endpoint(session, topic)) {
		km_session_refuse(session, topic, -EPERM,
			"only participants of %s '%s' may claim its schema",
			km_kind_name(topic->kept.key.kind), topic->kept.key.name);
		return;
	}
	if (!topic->kept.has_schema) {
		if (!km_rights_allow_schema(session, topic))
			return;
		km_header_set_schema(topic, &request->schema);
		km_log(LOG_INFO | KM_EVENT_SCHEMA_CLAIMED, session, topic, "schema claimed");
	}
	answer_schema(session, topic, km_schema_diff(&topic->kept.schema, &request->schema) == 0);
}
