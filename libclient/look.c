/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at topics: info, list, numbers, health, participants. All of it is the broker's word. */
#include <errno.h>
#include <string.h>

#include "control.h"

static int ask(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic, uint32_t op,
	uint32_t expected, union km_msg *ret)
{
	struct km_msg_topic request;
	int r = km_request_topic(client, topic, op, &request);

	return r < 0 ? r
		     : km_client_call(client, &request, sizeof request, expected, ret, NULL, NULL);
}

static void read_entry(const struct km_list_entry *entry, struct kickmsg_topic_info *ret)
{
	const struct km_geometry *geometry = &entry->geometry;

	*ret = (struct kickmsg_topic_info){
		.kind = (enum kickmsg_kind)entry->kind,
		.publishers = entry->publishers,
		.subscribers = entry->subscribers,
		.has_schema = entry->has_schema,
		.unlinked = entry->unlinked,
		.quarantined = entry->quarantined,
		.owner_uid = entry->owner_uid,
		.id = entry->id,
		.created_realtime_ns = entry->created_realtime_ns,
		.config_hash = entry->config_hash,
		.total_bytes = entry->bytes,
		.config = {
			.max_subscribers = geometry->max_subscribers,
			.ring_capacity = geometry->ring_capacity,
			.pool_size = geometry->pool_size,
			.max_publishers = geometry->max_publishers,
			.max_payload_size = geometry->max_payload_size,
			.max_loans = geometry->max_loans,
			.max_borrows = geometry->max_borrows,
			.transport = geometry->transport,
			.linger_ns = entry->linger_ns,
			.persistent = entry->persistent,
		},
	};
	memcpy(ret->name, entry->raw, sizeof ret->name);
	memcpy(ret->owner, entry->raw_owner, sizeof ret->owner);
	memcpy(ret->prefix, entry->prefix, sizeof ret->prefix);
	memcpy(ret->region, entry->region, sizeof ret->region);
}

KM_EXPORT int kickmsg_topic_info(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_topic_info *ret)
{
	union km_msg answer;
	int r = ask(client, topic, KM_OP_INFO, KM_OP_INFO_OK, &answer);

	if (r == 0)
		read_entry(&answer.info_ok.entry, ret);
	return r;
}

KM_EXPORT ssize_t kickmsg_topic_list(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_topic_info *ret, size_t capacity)
{
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any topic");
	while (count < capacity) {
		struct km_msg_list request = { .header.op = KM_OP_LIST, .cursor = *cursor };
		union km_msg answer;
		int r = km_client_call(
			client, &request, sizeof request, KM_OP_LIST_OK, &answer, NULL, NULL);

		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		for (uint32_t i = 0; i < answer.list_ok.count && count < capacity; i++) {
			read_entry(&answer.list_ok.entries[i], &ret[count++]);
			*cursor = answer.list_ok.entries[i].id;
		}
		if (answer.list_ok.next == 0)
			break;
	}
	return (ssize_t)count;
}

KM_EXPORT int kickmsg_topic_stats(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_topic_stats *ret)
{
	union km_msg answer;
	const struct km_msg_stats_ok *stats = &answer.stats_ok;
	int r = ask(client, topic, KM_OP_STATS, KM_OP_STATS_OK, &answer);

	if (r < 0)
		return r;
	*ret = (struct kickmsg_topic_stats){
		.sent = stats->sent,
		.failed = stats->failed,
		.received = stats->received,
		.evicted = stats->evicted,
		.pool_size = stats->pool_size,
		.free_slots = stats->free_slots,
		.live_rings = stats->live_rings,
		.ring_count = stats->ring_count,
		.realtime_ns = stats->realtime_ns,
		.monotonic_ns = stats->monotonic_ns,
		.topic_id = stats->topic_id,
	};
	for (uint32_t i = 0; i < stats->ring_count; i++)
		ret->rings[i] = (struct kickmsg_ring_stats){
			.written = stats->rings[i].written,
			.received = stats->rings[i].received,
			.evicted = stats->rings[i].evicted,
			.waiting = stats->rings[i].waiting,
			.live = stats->rings[i].live,
			.ring = i,
			.pid = (uint32_t)stats->rings[i].pid,
			.sleeping = stats->rings[i].sleeping,
		};
	return 0;
}

KM_EXPORT int kickmsg_topic_diagnose(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_topic_diagnosis *ret)
{
	struct km_msg_diagnose request = { .header.op = KM_OP_DIAGNOSE };
	struct km_msg_topic names;
	union km_msg answer;
	const struct km_health *health = &answer.diagnose_ok.health;
	int r = km_request_topic(client, topic, KM_OP_INFO, &names);

	if (r < 0)
		return r;
	memcpy(request.topic, names.topic, sizeof request.topic);
	memcpy(request.prefix, names.prefix, sizeof request.prefix);
	memcpy(request.owner, names.owner, sizeof request.owner);
	request.kind = names.kind;
	r = km_client_call(
		client, &request, sizeof request, KM_OP_DIAGNOSE_OK, &answer, NULL, NULL);
	if (r < 0)
		return r;
	*ret = (struct kickmsg_topic_diagnosis){
		.slots_free = health->slots_free,
		.slots_loaned = health->slots_loaned,
		.slots_in_flight = health->slots_in_flight,
		.slots_orphaned = health->slots_orphaned,
		.slots_stale = health->slots_stale,
		.stale_references = health->stale_bits,
		.rings_live = health->rings_live,
		.rings_undrained = health->rings_undrained,
		.rings_sleeping = health->rings_sleeping,
		.publishers = health->publishers,
		.subscribers = health->subscribers,
		.dead = health->endpoints_dead,
		.leaving = health->endpoints_leaving,
		.quarantined = health->quarantined,
		.healthy = !health->slots_orphaned && !health->slots_stale &&
			   !health->endpoints_dead && !health->quarantined,
	};
	memcpy(ret->reason, answer.diagnose_ok.reason, sizeof ret->reason);
	return 0;
}

static void read_person(const struct km_person *person, struct kickmsg_participant *ret)
{
	*ret = (struct kickmsg_participant){
		.pid = person->pid,
		.uid = person->uid,
		.role = (person->publishers ? KICKMSG_ROLE_PUBLISHER : 0) |
			(person->subscribers ? KICKMSG_ROLE_SUBSCRIBER : 0),
		.alive = person->alive,
		.publishers = person->publishers,
		.subscribers = person->subscribers,
		.since_realtime_ns = person->since_realtime_ns,
		.client_id = person->client_id,
	};
	memcpy(ret->client_name, person->name, sizeof ret->client_name);
}

KM_EXPORT ssize_t kickmsg_topic_participants(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_participant *ret,
	size_t capacity)
{
	struct km_msg_topic request;
	union km_msg answer;
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any participant");
	int r = km_request_topic(client, topic, KM_OP_PEOPLE, &request);
	if (r < 0)
		return r;
	while (count < capacity && *cursor != UINT64_MAX) {
		request.cursor = *cursor;
		r = km_client_call(
			client, &request, sizeof request, KM_OP_PEOPLE_OK, &answer, NULL, NULL);
		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		const struct km_msg_people_ok *page = &answer.people_ok;
		uint32_t i = 0;

		for (; i < page->count && count < capacity; i++) {
			read_person(&page->people[i], &ret[count++]);
			*cursor = page->people[i].handle;
		}
		if (i == page->count && page->next == 0)
			*cursor = UINT64_MAX; /* that was all */
	}
	return (ssize_t)count;
}
