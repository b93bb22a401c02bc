/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST: see list.h. The cursor is the id of the last topic that was told, so that topics that come
 * and go between two pages don't shift the rest. Where the last page ended is remembered, so that
 * a client that goes through all of them doesn't begin at the first one for each page. A listing
 * ends at the newest topic of its beginning: else it would never end where topics come as fast as
 * they are told.
 */
#include <string.h>

#include "daemon/peer/session.h"
#include "daemon/serve/list.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/topic.h"

void km_list_describe(const struct km_topic *topic, struct km_list_entry *ret)
{
	const struct km_topic_key *key = &topic->kept.key;

	memcpy(ret->topic, key->name, sizeof ret->topic);
	memcpy(ret->prefix, key->prefix, sizeof ret->prefix);
	memcpy(ret->owner, key->owner, sizeof ret->owner);
	memcpy(ret->region, topic->region_name, sizeof ret->region);
	ret->geometry = topic->region.geometry;
	ret->created_realtime_ns = topic->kept.created_realtime_ns;
	ret->id = topic->kept.id;
	ret->linger_ns = topic->kept.lifetime.linger_ns;
	ret->persistent = topic->kept.lifetime.persistent;
	ret->config_hash = km_config_hash(
		&ret->geometry, topic->kept.lifetime.linger_ns, topic->kept.lifetime.persistent);
	ret->bytes = km_geometry_total_size(&ret->geometry);
	ret->kind = key->kind;
	ret->publishers = topic->publishers;
	ret->subscribers = topic->subscribers;
	ret->has_schema = topic->kept.has_schema;
	ret->unlinked = topic->kept.unlinked;
	ret->quarantined = topic->kept.quarantined;
	ret->owner_uid = topic->kept.owner_uid;
	ret->creator_pid = topic->kept.creator_pid;
	memcpy(ret->creator, topic->kept.creator, sizeof ret->creator);
	ret->reliable = km_reliable_count(topic);
}

struct km_topic *km_list_first_after(struct km_broker *broker, uint64_t cursor)
{
	struct km_topic *topic = TAILQ_FIRST(&broker->topics);

	if (cursor != 0 && cursor == broker->list_cursor && broker->list_next)
		return broker->list_next;
	while (topic && topic->kept.id <= cursor)
		topic = TAILQ_NEXT(topic, in_all);
	return topic;
}

void km_serve_list(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_list_ok answer = { .header.op = KM_OP_LIST_OK };
	struct km_broker *broker = session->broker;
	struct km_topic *topic = km_list_first_after(broker, request->cursor);

	/* a listing that began with an earlier broker ends at what this one found */
	if (request->cursor == 0 || session->list_end == 0)
		session->list_end = broker->next_topic;
	for (; topic && topic->kept.id <= session->list_end && answer.count < KM_WIRE_LIST_PAGE;
		topic = TAILQ_NEXT(topic, in_all)) {
		km_list_describe(topic, &answer.entries[answer.count++]);
		broker->list_cursor = topic->kept.id;
	}
	broker->list_next = topic;
	if (topic && topic->kept.id <= session->list_end)
		answer.next = broker->list_cursor;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
