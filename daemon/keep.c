/* SPDX-License-Identifier: Apache-2.0 */
/* What the next broker is to know: see keep.h. */
#include <errno.h>
#include <string.h>

#include "keep.h"
#include "log.h"
#include "member.h"
#include "store.h"

void km_keep_init(struct km_broker *broker)
{
	int fd = -1;

	if (!broker->store.active || broker->state)
		return;
	int r = km_state_new(&broker->state, &fd);
	if (r == 0)
		r = km_store_put(&broker->store, KM_STORE_STATE, 0, 0, fd);
	if (r == 0)
		return;
	km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
		"clients will not outlive this broker: %s", strerror(-r));
	km_state_free(broker->state);
	broker->state = NULL;
}

/* `id`: never given to another one, also by the next broker. */
static void put(struct km_broker *broker, enum km_state_table table, uint32_t *place,
	const void *record, size_t size, uint64_t id)
{
	if (!*place)
		km_state_reserve(broker->state, table, id);
	if (km_state_put(broker->state, table, place, record, size) < 0)
		km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
			"the state is full: the next broker will not know all of today's clients");
}

void km_keep_session(struct km_session *session)
{
	struct km_kept_session record = {
		.id = session->id,
		.pid = session->pid,
		.uid = session->uid,
		.gid = session->gid,
		.state = session->state,
		.segment_count = session->segment_count,
		.since_ns = session->since_ns,
		.died_ns = session->died_ns,
		.done = session->done,
	};

	if (!session->broker->state || session->state == KM_SESSION_NEW)
		return;
	memcpy(record.name, session->name, sizeof record.name);
	memcpy(record.prefix, session->prefix, sizeof record.prefix);
	memcpy(record.raw_name, session->raw_name, sizeof record.raw_name);
	memcpy(record.raw_prefix, session->raw_prefix, sizeof record.raw_prefix);
	put(session->broker, KM_STATE_SESSIONS, &session->kept, &record, sizeof record, record.id);
}

void km_keep_topic(struct km_topic *topic)
{
	struct km_kept_topic record = {
		.id = topic->id,
		.key = topic->key,
		.geometry = topic->region.geometry,
		.created_realtime_ns = topic->created_realtime_ns,
		.linger_ns = topic->lifetime.linger_ns,
		.gone = topic->gone,
		.owner_uid = topic->owner_uid,
		.persistent = topic->lifetime.persistent,
		.named = topic->named,
		.unlinked = topic->unlinked,
		.has_schema = topic->has_schema,
		.quarantined = topic->quarantined,
		.schema = topic->schema,
	};

	if (!topic->broker->state)
		return;
	memcpy(record.reason, topic->reason, sizeof record.reason);
	put(topic->broker, KM_STATE_TOPICS, &topic->kept, &record, sizeof record, record.id);
}

void km_keep_member(struct km_member *member)
{
	struct km_kept_member record = {
		.handle = member->handle,
		.session_id = member->session->id,
		.topic_id = member->topic->id,
		.start = member->start,
		.evicted = member->evicted,
		.since_realtime_ns = member->since_realtime_ns,
		.state = member->state,
		.role = member->role,
		.id = member->id,
		.ring = member->ring,
		.segment = member->segment,
		.offset = member->offset,
	};

	if (member->topic->broker->state)
		put(member->topic->broker, KM_STATE_MEMBERS, &member->kept, &record, sizeof record,
			record.handle);
}

void km_keep_forget_session(struct km_session *session)
{
	struct km_broker *broker = session->broker;

	if (!broker->state || !session->kept)
		return;
	km_state_drop(broker->state, KM_STATE_SESSIONS, &session->kept);
	km_store_remove(&broker->store, KM_STORE_CONNECTION, session->id, 0);
	km_store_remove(&broker->store, KM_STORE_PIDFD, session->id, 0);
	for (uint32_t i = 0; i < session->segment_count; i++)
		km_store_remove(&broker->store, KM_STORE_SEGMENT, session->id, i);
}

void km_keep_forget_topic(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (!broker->state || !topic->kept)
		return;
	km_state_drop(broker->state, KM_STATE_TOPICS, &topic->kept);
	km_store_remove(&broker->store, KM_STORE_CONTROL, topic->id, 0);
	km_store_remove(&broker->store, KM_STORE_PAYLOAD, topic->id, 0);
	if (topic->bell_fd >= 0)
		km_store_remove(&broker->store, KM_STORE_BELL, topic->id, 0);
}

void km_keep_forget_member(struct km_member *member)
{
	km_state_drop(member->topic->broker->state, KM_STATE_MEMBERS, &member->kept);
}

void km_keep_done(struct km_session *session, uint32_t op, uint64_t handle, bool with_segment)
{
	session->done = (struct km_done){
		.serial = session->serial, .op = op, .handle = handle, .with_segment = with_segment
	};
	km_keep_session(session);
}

void km_keep_commit(struct km_broker *broker)
{
	if (!broker->state)
		return;
	km_state_commit(broker->state);
	km_store_flush(&broker->store);
}
