/* SPDX-License-Identifier: Apache-2.0 */
/* Topics and members as the broker before this one left them: see restore_topic.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/memory/atomic.h"
#include "common/memory/segment.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/start/restore_topic.h"
#include "daemon/topic/join.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/segments.h"
#include "daemon/topic/topic.h"

static int map_topic(struct km_topic *topic)
{
	const struct km_geometry *geometry = &topic->kept.geometry;
	uint64_t size = km_geometry_control_size(geometry);
	void *control;
	int r = km_segment_map(topic->control_fd, size, PROT_READ | PROT_WRITE, &control);

	if (r < 0)
		return r;
	r = km_region_attach(&topic->region, geometry, control, size, NULL, 0);
	if (r < 0)
		km_segment_unmap(control, size);
	else if (topic->region.shared)
		topic->live = KM_LIVE_OPENING;
	return r;
}

static int take_topic(struct km_topic *topic)
{
	const struct km_kept_topic *kept = &topic->kept;
	const struct km_topic_key *key = &kept->key;
	struct km_store *store = &topic->broker->store;
	int r;

	topic->account = km_account_ref(&topic->broker->accounts, kept->owner_uid);
	if (!topic->account)
		return -ENOMEM;
	topic->control_fd = km_store_take(store, KM_STORE_CONTROL, kept->id, 0);
	topic->payload_fd = km_store_take(store, KM_STORE_PAYLOAD, kept->id, 0);
	topic->bell_fd = km_store_take(store, KM_STORE_BELL, kept->id, 0);
	bool has_bell = km_geometry_bell_size(&kept->geometry) > 0;
	if (topic->control_fd < 0 || topic->payload_fd < 0 || has_bell != (topic->bell_fd >= 0))
		return -ENOENT;
	/* clients alone map the payload */
	r = km_segment_check(topic->payload_fd, km_geometry_payload_size(&kept->geometry));
	if (r < 0)
		return r;
	r = km_name_region_of(key->kind, key->prefix, key->owner, key->name, topic->region_name,
		sizeof topic->region_name);
	if (r < 0)
		return r;
	topic->ids_taken = calloc(kept->geometry.max_publishers / 64 + 1, sizeof *topic->ids_taken);
	if (!topic->ids_taken)
		return -ENOMEM;
	topic->ids_free = kept->geometry.max_publishers;
	r = map_topic(topic);
	if (r == 0 && has_bell) {
		r = km_segments_map_bell(topic);
		if (r < 0)
			km_segment_unmap(topic->region.header, topic->region.control_size);
	}
	return r;
}

struct km_topic *km_restore_topic(
	struct km_broker *broker, uint32_t place, const struct km_kept_topic *kept)
{
	struct km_topic *topic = calloc(1, sizeof *topic);
	int r = !topic ? -ENOMEM : km_kept_topic_is_good(kept) ? 0 : -EPROTO;

	if (topic)
		*topic = (struct km_topic){ .broker = broker,
			.control_fd = -1,
			.payload_fd = -1,
			.bell_fd = -1,
			.dirty = true,
			.kept = *kept,
			.once = { .table = KM_STATE_TOPICS, .place = place } };
	if (r == 0)
		r = take_topic(topic);
	if (r == 0) {
		topic->kept.named &= !topic->kept.quarantined;
		topic->kept.emptied &= topic->kept.quarantined;
		km_lifetime_begin(topic);
		return topic;
	}
	km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
		"topic '%.*s' can't be taken back: %s", KM_NAME_SIZE - 1, kept->key.name,
		km_keep_reason(r));
	km_state_drop(broker->state, KM_STATE_TOPICS, &place);
	km_store_remove(&broker->store, KM_PARKED_TOPIC, kept->id, 0);
	if (!topic)
		return NULL;
	km_close(topic->control_fd);
	km_close(topic->payload_fd);
	km_close(topic->bell_fd);
	km_account_unref(topic->account);
	free(topic->ids_taken);
	free(topic);
	return NULL;
}

void km_restore_member(struct km_broker *broker, struct km_session *session, struct km_topic *topic,
	uint32_t place, const struct km_kept_member *kept)
{
	struct km_member *member = calloc(1, sizeof *member);
	bool good = member && session && topic && km_kept_member_is_good(kept);

	if (good) {
		*member = (struct km_member){
			.session = session, .topic = topic, .kept = *kept, .kept_at = place
		};
		good = km_join_insert(member) == 0;
	}
	if (good) {
		km_member_tell_counts(topic);
		return;
	}
	free(member);
	km_state_drop(broker->state, KM_STATE_MEMBERS, &place);
	/* nobody will ever know what this member holds in the topic, so the topic goes too */
	if (topic && !topic->kept.quarantined) {
		topic->kept.quarantined = true;
		strcpy(topic->kept.reason, "an endpoint could not be taken back after a restart");
		km_topic_forget_name(topic);
	}
}
