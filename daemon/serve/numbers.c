/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NUMBERS: what goes on in all topics, a page a request, for tools that look at many. A page ends after
 * so many members, however few topics it has. A topic with more members than a page may look at is told
 * without them: STATS counts those in turns.
 */
#include "daemon/serve/numbers.h"
#include "common/clock.h"
#include "common/ring/endpoint.h"
#include "daemon/peer/session.h"
#include "daemon/serve/list.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

static void add_member(const struct km_member *member, struct km_topic_numbers *ret)
{
	const struct km_endpoint *record = km_member_record(member);
	uint64_t messages = km_load(H2, relaxed, &record->messages);

	if (member->kept.role == KM_ROLE_PUBLISHER) {
		ret->sent += messages;
		ret->bytes += km_load(H2, relaxed, &record->bytes);
		ret->failed += km_load(H2, relaxed, &record->failed);
		ret->no_room += km_load(H2, relaxed, &record->no_room);
		return;
	}
	ret->received += messages;
	ret->lost += member->topic->region.shared && member->kept.state == KM_ENDPOINT_LIVE
			     ? km_load(H2, relaxed, &record->lost)
			     : km_member_lost(member);
}

void km_numbers_describe(const struct km_topic *topic, struct km_topic_numbers *ret)
{
	const struct km_totals *gone = &topic->kept.gone;
	const struct km_member *member;

	*ret = (struct km_topic_numbers){
		.id = topic->kept.id,
		.sent = gone->sent,
		.bytes = gone->bytes,
		.received = gone->received,
		.lost = gone->lost,
		.failed = gone->failed,
		.demoted = topic->kept.demoted,
		.no_room = gone->no_room,
		.members = topic->publishers + topic->subscribers + topic->dead + topic->leaving,
	};
	ret->complete = ret->members <= KM_NUMBERS_MEMBERS;
	if (ret->complete)
		LIST_FOREACH (member, &topic->members, of_topic)
			add_member(member, ret);
}

void km_serve_numbers(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_numbers_ok answer = { .header.op = KM_OP_NUMBERS_OK,
		.monotonic_ns = (uint64_t)km_clock_ns() };
	struct km_broker *broker = session->broker;
	struct km_topic *topic = km_list_first_after(broker, request->cursor);
	uint64_t members = 0;

	/* as LIST, this ends at the newest topic of its beginning */
	if (request->cursor == 0 || session->numbers_end == 0)
		session->numbers_end = broker->next_topic;
	for (; topic && topic->kept.id <= session->numbers_end &&
		answer.count < KM_WIRE_NUMBERS_PAGE && members < KM_NUMBERS_MEMBERS;
		topic = TAILQ_NEXT(topic, in_all)) {
		struct km_topic_numbers *numbers = &answer.topics[answer.count++];

		km_numbers_describe(topic, numbers);
		members += numbers->complete ? numbers->members : 0;
		broker->list_cursor = numbers->id;
	}
	broker->list_next = topic;
	if (topic && topic->kept.id <= session->numbers_end)
		answer.next = broker->list_cursor;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
