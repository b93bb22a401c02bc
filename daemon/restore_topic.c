/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics and members as the broker before this one left them: see restore.c. A topic's shape is what
 * the state says; a header that says otherwise is mended, and the topic given up. The word of live
 * rings is written anew from the members: the broker before may have ended between a ring's opening
 * and writing that down.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "cleanup.h"
#include "log.h"
#include "restore.h"
#include "segment.h"
#include "session.h"
#include "topic.h"

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static bool topic_is_good(const struct km_kept_topic *kept)
{
	const struct km_topic_key *key = &kept->key;

	return kept->id > 0 && key->kind <= KM_KIND_MAILBOX &&
	       is_text(key->prefix, sizeof key->prefix) && is_text(key->owner, sizeof key->owner) &&
	       is_text(key->name, sizeof key->name) &&
	       is_text(key->raw_prefix, sizeof key->raw_prefix) &&
	       is_text(key->raw_owner, sizeof key->raw_owner) &&
	       is_text(key->raw, sizeof key->raw) && is_text(kept->reason, sizeof kept->reason) &&
	       !km_geometry_check(&kept->geometry);
}

/* Maps the control segment; its header says what the state says, if need be from now on. */
static int map_topic(struct km_topic *topic, const struct km_geometry *geometry, bool *ret_mended)
{
	uint64_t size = km_geometry_control_size(geometry);
	void *control;
	int r = km_segment_map(topic->control_fd, size, PROT_READ | PROT_WRITE, &control);

	if (r < 0)
		return r;
	r = km_region_attach(&topic->region, control, size, NULL, 0);
	*ret_mended = r < 0 || km_geometry_diff(&topic->region.geometry, geometry);
	if (*ret_mended) {
		struct km_control_header *header = control;

		header->version = KM_LAYOUT_VERSION;
		header->geometry = *geometry;
		km_store(L0, release, &header->magic, KM_LAYOUT_MAGIC);
		r = km_region_attach(&topic->region, control, size, NULL, 0);
	}
	if (r < 0)
		km_segment_unmap(control, size);
	return r;
}

static int take_topic(struct km_topic *topic, const struct km_kept_topic *kept)
{
	const struct km_topic_key *key = &kept->key;
	struct km_store *store = &topic->broker->store;
	bool mended = false;
	int r;

	topic->account = km_account_ref(topic->broker, topic->owner_uid);
	if (!topic->account)
		return -ENOMEM;
	topic->control_fd = km_store_take(store, KM_STORE_CONTROL, kept->id, 0);
	topic->payload_fd = km_store_take(store, KM_STORE_PAYLOAD, kept->id, 0);
	topic->bell_fd = km_store_take(store, KM_STORE_BELL, kept->id, 0);
	bool has_bell = km_geometry_bell_size(&kept->geometry) > 0;
	if (topic->control_fd < 0 || topic->payload_fd < 0 || has_bell != (topic->bell_fd >= 0))
		return -ENOENT;
	/* mapped by clients alone */
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
	r = map_topic(topic, &kept->geometry, &mended);
	if (r == 0 && has_bell) {
		r = km_topic_map_bell(topic);
		if (r < 0)
			km_segment_unmap(topic->region.header, topic->region.control_size);
	}
	if (r == 0 && mended && !topic->quarantined) {
		topic->quarantined = true;
		strcpy(topic->reason, "its header was overwritten");
	}
	return r;
}

struct km_topic *km_restore_topic(
	struct km_broker *broker, uint32_t place, const struct km_kept_topic *kept)
{
	struct km_topic *topic = calloc(1, sizeof *topic);
	int r = !topic ? -ENOMEM : topic_is_good(kept) ? 0 : -EPROTO;

	if (r == 0) {
		*topic = (struct km_topic){ .broker = broker,
			.id = kept->id,
			.key = kept->key,
			.created_realtime_ns = kept->created_realtime_ns,
			.owner_uid = kept->owner_uid,
			.lifetime = { kept->linger_ns, kept->persistent },
			.named = kept->named,
			.unlinked = kept->unlinked,
			.has_schema = kept->has_schema,
			.schema = kept->schema,
			.gone = kept->gone,
			.control_fd = -1,
			.payload_fd = -1,
			.bell_fd = -1,
			.dirty = true,
			.quarantined = kept->quarantined,
			.kept = place };
		memcpy(topic->reason, kept->reason, sizeof topic->reason);
		r = take_topic(topic, kept);
	} else if (topic) {
		topic->control_fd = topic->payload_fd = topic->bell_fd = -1;
	}
	if (r == 0) {
		topic->named &= !topic->quarantined;
		km_topic_insert(topic);
		return topic;
	}
	km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
		"topic '%.*s' can't be taken back: %s", KM_NAME_SIZE - 1, kept->key.name,
		km_restore_reason(r));
	km_state_drop(broker->state, KM_STATE_TOPICS, &place);
	km_store_remove(&broker->store, KM_STORE_CONTROL, kept->id, 0);
	km_store_remove(&broker->store, KM_STORE_PAYLOAD, kept->id, 0);
	km_store_remove(&broker->store, KM_STORE_BELL, kept->id, 0);
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

/* Its id or ring, which nobody else may have. */
static bool take_place(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	const struct km_geometry *geometry = &topic->region.geometry;

	if (member->role == KM_ROLE_SUBSCRIBER) {
		bool shown = member->ring < KM_MAX_RINGS;

		if ((!topic->region.shared && member->ring >= topic->region.ring_count) ||
			(shown && topic->rings_taken >> member->ring & 1))
			return false;
		if (shown)
			topic->rings_taken |= UINT64_C(1) << member->ring;
		topic->seats_taken++;
		return true;
	}
	if (member->role != KM_ROLE_PUBLISHER || member->id == 0 ||
		member->id > geometry->max_publishers)
		return false;
	uint64_t *word = &topic->ids_taken[(member->id - 1) / 64];
	uint64_t bit = UINT64_C(1) << ((member->id - 1) % 64);
	if (*word & bit)
		return false;
	*word |= bit;
	topic->ids_free--;
	return true;
}

static bool fill_member(struct km_member *member, const struct km_kept_member *kept)
{
	const struct km_geometry *geometry = &member->topic->region.geometry;

	member->handle = kept->handle;
	member->state = kept->state;
	member->role = kept->role;
	member->id = kept->id;
	member->ring = kept->ring;
	member->segment = kept->segment;
	member->offset = kept->offset;
	member->start = kept->start;
	member->evicted = kept->evicted;
	member->since_realtime_ns = kept->since_realtime_ns;
	if (kept->state < KM_PARTY_LIVE || kept->state > KM_PARTY_DEAD ||
		(kept->role != KM_ROLE_PUBLISHER && kept->role != KM_ROLE_SUBSCRIBER))
		return false;
	member->held_count = kept->role == KM_ROLE_SUBSCRIBER ? km_geometry_held_count(geometry)
							      : 0;
	member->size = (uint32_t)km_geometry_endpoint_size(geometry, member->role);
	return km_session_restore_record(
		       member->session, member->segment, member->offset, member->size) == 0 &&
	       take_place(member);
}

static void count_in(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	bool live = member->state == KM_PARTY_LIVE;

	topic->publishers += live && member->role == KM_ROLE_PUBLISHER;
	topic->subscribers += live && member->role == KM_ROLE_SUBSCRIBER;
	topic->leaving += member->state == KM_PARTY_LEAVING;
	topic->dead += member->state == KM_PARTY_DEAD;
	if (member->role == KM_ROLE_SUBSCRIBER && !topic->region.shared &&
		(live || (member->state == KM_PARTY_DEAD && !topic->broker->config->automatic)))
		topic->live |= UINT64_C(1) << member->ring;
	LIST_INSERT_HEAD(&topic->members, member, of_topic);
	LIST_INSERT_HEAD(&member->session->members, member, of_session);
	member->session->member_count++;
	km_account_take(member->session->account, KM_ENDPOINTS, 1);
}

void km_restore_member(struct km_broker *broker, struct km_session *session, struct km_topic *topic,
	uint32_t place, const struct km_kept_member *kept)
{
	struct km_member *member = calloc(1, sizeof *member);
	bool good = member && session && topic;

	if (good) {
		*member = (struct km_member){ .session = session, .topic = topic, .kept = place };
		good = fill_member(member, kept);
	}
	if (good) {
		count_in(member);
		return;
	}
	free(member);
	km_state_drop(broker->state, KM_STATE_MEMBERS, &place);
	/* what it has in the topic nobody will ever know; and without the topic it has nothing */
	if (topic && !topic->quarantined) {
		topic->quarantined = true;
		strcpy(topic->reason, "a participant could not be taken back after a restart");
		km_topic_forget_name(topic);
	}
}
