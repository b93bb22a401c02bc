/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST: see list.h. The cursor is the id of the last topic that was told, so that topics that come
 * and go between two pages don't shift the rest. Where the last page ended is remembered, so that
 * whoever goes through all of them doesn't begin at the first one for each page.
 */
#include <string.h>

#include "list.h"
#include "session.h"
#include "topic.h"

void km_list_describe(const struct km_topic *topic, struct km_list_entry *ret)
{
	const struct km_topic_key *key = &topic->key;

	memcpy(ret->topic, key->name, sizeof ret->topic);
	memcpy(ret->prefix, key->prefix, sizeof ret->prefix);
	memcpy(ret->raw, key->raw, sizeof ret->raw);
	memcpy(ret->raw_owner, key->raw_owner, sizeof ret->raw_owner);
	memcpy(ret->region, topic->region_name, sizeof ret->region);
	ret->geometry = topic->region.geometry;
	ret->created_realtime_ns = topic->created_realtime_ns;
	ret->id = topic->id;
	ret->linger_ns = topic->lifetime.linger_ns;
	ret->persistent = topic->lifetime.persistent;
	ret->config_hash = km_config_hash(
		&ret->geometry, topic->lifetime.linger_ns, topic->lifetime.persistent);
	ret->bytes = km_topic_size(&ret->geometry);
	ret->kind = key->kind;
	ret->publishers = topic->publishers;
	ret->subscribers = topic->subscribers;
	ret->has_schema = topic->has_schema;
	ret->unlinked = topic->unlinked;
	ret->quarantined = topic->quarantined;
	ret->owner_uid = topic->owner_uid;
}

static struct km_topic *first_after(struct km_broker *broker, uint64_t cursor)
{
	struct km_topic *topic = TAILQ_FIRST(&broker->topics);

	if (cursor != 0 && cursor == broker->list_cursor && broker->list_next)
		return broker->list_next;
	while (topic && topic->id <= cursor)
		topic = TAILQ_NEXT(topic, in_all);
	return topic;
}

void km_list_serve(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_list_ok answer = { .header.op = KM_OP_LIST_OK };
	struct km_broker *broker = session->broker;
	struct km_topic *topic = first_after(broker, request->cursor);

	for (; topic && answer.count < KM_WIRE_LIST_PAGE; topic = TAILQ_NEXT(topic, in_all)) {
		km_list_describe(topic, &answer.entries[answer.count++]);
		broker->list_cursor = topic->id;
	}
	broker->list_next = topic;
	if (topic)
		answer.next = broker->list_cursor;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
