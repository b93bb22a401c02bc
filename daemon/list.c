/* SPDX-License-Identifier: Apache-2.0 */
/* LIST: see list.h. The cursor is the id of the last topic that was told, so that topics that come
 * and go between two pages don't shift the rest. */
#include <string.h>

#include "list.h"
#include "session.h"

static void describe(const struct km_topic *topic, struct km_list_entry *ret)
{
	memcpy(ret->topic, topic->name, sizeof ret->topic);
	memcpy(ret->prefix, topic->prefix, sizeof ret->prefix);
	ret->geometry = topic->region.geometry;
	ret->created_realtime_ns = topic->created_realtime_ns;
	ret->publishers = topic->publishers;
	ret->subscribers = topic->subscribers;
	ret->quarantined = topic->quarantined;
}

void km_list_serve(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_list_ok answer = { .header.op = KM_OP_LIST_OK };
	const struct km_topic *topic;
	uint64_t last = request->cursor;

	TAILQ_FOREACH (topic, &session->broker->topics, in_all) {
		if (topic->id <= request->cursor)
			continue;
		if (answer.count == KM_WIRE_LIST_PAGE) {
			answer.next = last;
			break;
		}
		describe(topic, &answer.entries[answer.count++]);
		last = topic->id;
	}
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
