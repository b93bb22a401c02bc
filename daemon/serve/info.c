/* SPDX-License-Identifier: Apache-2.0 */
/* The answers about a topic but for its numbers: see info.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ring/endpoint.h"
#include "common/ring/slot.h"
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

/* CLIENTS under way: first the clients of a page, then the slots that their publishers have. */
struct client_list {
	struct km_question question;
	struct km_msg_clients_ok answer;
	/* handle of the last client told; they come newest first */
	uint64_t cursor;
	uint64_t last;
	bool told;     /* all clients of the page */
	uint32_t slot; /* the next slot to look at */
	/* [publisher id]: the client of the page that has it, counted from 1; 0: none has */
	uint8_t *owners;
};
static_assert(KM_WIRE_CLIENTS_PAGE < UINT8_MAX, "a number for each client of a page");

static uint32_t count_held(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);
	uint32_t held = 0;

	for (uint32_t i = 0; i < member->held_count; i++)
		held += km_load(H1, acquire, &record->held[i]) != KM_HAZARD_NONE;
	return held;
}

/* Adds the places of the client that is told last, and what its subscribers hold. */
static void add_places(struct client_list *list, const struct km_member *first)
{
	struct km_topic_client *client = &list->answer.clients[list->answer.count - 1];
	const struct km_topic *topic = first->topic;
	const struct km_member *member;

	LIST_FOREACH (member, &first->session->members, of_session) {
		if (member->topic != topic || !counts(member))
			continue;
		if (member->kept.role == KM_ROLE_PUBLISHER) {
			if (client->publisher_id == 0)
				client->publisher_id = member->kept.id;
			if (member->kept.id <= topic->region.geometry.max_publishers)
				list->owners[member->kept.id] = (uint8_t)list->answer.count;
			continue;
		}
		client->reliable += member->kept.reliable;
		client->borrows += count_held(member);
		if (!topic->region.shared)
			client->rings |= UINT64_C(1) << member->kept.ring;
	}
}

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
	add_places(list, member);
	return true;
}

static bool tell_clients(struct client_list *list)
{
	const struct km_member *member;

	/* describe_client() looks at all members of the client, so each of them is work */
	for (int64_t work = KM_PIECE; work > 0; work -= 1 + member->session->member_count) {
		member = km_walk_next(&list->question.walk);
		if (!member || !tell_client(list, member))
			return false;
	}
	return true;
}

/* Counts the slots that publishers of the page have. */
static bool count_loans(struct client_list *list)
{
	const struct km_region *region = &list->question.walk.topic->region;
	const struct km_geometry *geometry = &region->geometry;
	uint32_t end = geometry->pool_size;

	if (end - list->slot > KM_PIECE)
		end = list->slot + KM_PIECE;
	for (; list->slot < end; list->slot++) {
		const uint32_t id = km_slot_id(
			km_load(S5, relaxed, &region->slots[list->slot].word));

		if (id != 0 && id <= geometry->max_publishers && list->owners[id] > 0)
			list->answer.clients[list->owners[id] - 1].loans++;
	}
	return end < geometry->pool_size;
}

static bool step(struct km_question *question)
{
	struct client_list *list = (struct client_list *)question;

	if (!list->told) {
		list->told = !tell_clients(list);
		return true;
	}
	if (count_loans(list))
		return true;
	km_session_answer(question->session, &list->answer, sizeof list->answer, NULL, 0);
	return false;
}

static void free_owners(struct km_question *question)
{
	free(((struct client_list *)question)->owners);
}

void km_serve_clients(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic *topic = km_wanted_topic(session, request);

	if (!topic)
		return;
	struct client_list *list = calloc(1, sizeof *list);
	if (list) {
		list->owners = calloc(topic->region.geometry.max_publishers + 1, 1);
		list->question.step = step;
		list->question.end = free_owners;
		list->answer.header.op = KM_OP_CLIENTS_OK;
		list->cursor = request->cursor;
	}
	if (list && !list->owners) {
		free(list);
		list = NULL;
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
