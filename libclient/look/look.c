/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at topics: info, list, numbers, health, participants. All of it is the broker's word. */
#include "libclient/look/look.h"

#include <errno.h>
#include <string.h>

#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/export.h"

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
		.creator_pid = entry->creator_pid,
		.id = entry->id,
		.created_realtime_ns = entry->created_realtime_ns,
		.config_hash = entry->config_hash,
		.total_bytes = entry->bytes,
		.reliable = entry->reliable,
		.config = {
			.max_subscribers = geometry->max_subscribers,
			.ring_capacity = geometry->ring_capacity,
			.pool_size = geometry->pool_size,
			.max_publishers = geometry->max_publishers,
			.max_payload_size = geometry->max_payload_size,
			.max_loans = geometry->max_loans,
			.max_borrows = geometry->max_borrows,
			.transport = geometry->transport,
			.timestamps = geometry->timestamps,
			.max_reliable = geometry->max_reliable,
			.stall_ns = geometry->stall_ns,
			.history = geometry->history,
			.linger_ns = entry->linger_ns,
			.persistent = entry->persistent,
		},
	};
	km_name_unescape(entry->topic, ret->name, sizeof ret->name);
	km_name_unescape(entry->owner, ret->owner, sizeof ret->owner);
	km_name_unescape(entry->prefix, ret->prefix, sizeof ret->prefix);
	memcpy(ret->region, entry->region, sizeof ret->region);
	km_name_unescape(entry->creator, ret->creator_name, sizeof ret->creator_name);
}

KM_EXPORT int kickmsg_topic_get_info(struct kickmsg_client *client,
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

KM_EXPORT int kickmsg_topic_get_stats(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_topic_stats *ret)
{
	union km_msg answer;
	const struct km_msg_stats_ok *stats = &answer.stats_ok;
	int r = ask(client, topic, KM_OP_STATS, KM_OP_STATS_OK, &answer);

	if (r < 0)
		return r;
	*ret = (struct kickmsg_topic_stats){
		.sent = stats->sent,
		.bytes = stats->bytes,
		.failed = stats->failed,
		.received = stats->received,
		.lost = stats->lost,
		.pool_size = stats->pool_size,
		.free_slots = stats->free_slots,
		.demoted = stats->demoted,
		.no_room = stats->no_room,
		.live_rings = stats->live_rings,
		.ring_count = stats->max_subscribers,
		.realtime_ns = stats->realtime_ns,
		.monotonic_ns = stats->monotonic_ns,
		.topic_id = stats->topic_id,
	};
	return 0;
}

static void read_ring(const struct km_ring_stats *ring, struct kickmsg_ring_stats *ret)
{
	*ret = (struct kickmsg_ring_stats){
		.subscriber_id = ring->handle,
		.written = ring->written,
		.received = ring->received,
		.lost = ring->lost,
		.waiting = ring->waiting,
		.ring = ring->ring,
		.pid = (uint32_t)ring->pid,
		.sleeping = ring->sleeping,
		.reliable = ring->reliable,
	};
}

KM_EXPORT ssize_t kickmsg_topic_ring_stats(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_ring_stats *ret,
	size_t capacity)
{
	struct km_msg_topic request;
	union km_msg answer;
	const struct km_msg_stats_ok *page = &answer.stats_ok;
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any ring");
	int r = km_request_topic(client, topic, KM_OP_STATS, &request);
	if (r < 0)
		return r;
	while (count < capacity && *cursor != KM_LOOK_END) {
		request.cursor = *cursor;
		r = km_client_call(
			client, &request, sizeof request, KM_OP_STATS_OK, &answer, NULL, NULL);
		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		uint32_t i = 0;

		for (; i < page->count && count < capacity; i++) {
			read_ring(&page->rings[i], &ret[count++]);
			*cursor = page->rings[i].handle;
		}
		if (i == page->count && page->next == 0)
			*cursor = KM_LOOK_END; /* that was all */
	}
	return (ssize_t)count;
}

void km_health_read(const struct km_health *health, struct kickmsg_topic_diagnosis *ret)
{
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
		.left_by_hazard = health->left_by_hazard,
		.healthy = !health->slots_orphaned && !health->slots_stale &&
			   !health->endpoints_dead && !health->quarantined,
	};
}

int km_look_diagnose(struct kickmsg_client *client, const struct km_msg_topic *names,
	uint64_t cursor, union km_msg *ret)
{
	struct km_msg_topic request = *names;

	request.header.op = KM_OP_DIAGNOSE;
	request.cursor = cursor;
	return km_client_call(client, &request, sizeof request, KM_OP_DIAGNOSE_OK, ret, NULL, NULL);
}

KM_EXPORT int kickmsg_topic_diagnose(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_topic_diagnosis *ret)
{
	struct km_msg_topic names;
	union km_msg answer;
	int r = km_request_topic(client, topic, KM_OP_DIAGNOSE, &names);

	if (r == 0)
		r = km_look_diagnose(client, &names, 0, &answer);
	if (r < 0)
		return r;
	km_health_read(&answer.diagnose_ok.health, ret);
	memcpy(ret->reason, answer.diagnose_ok.reason, sizeof ret->reason);
	return 0;
}

static void read_client(const struct km_topic_client *entry, struct kickmsg_participant *ret)
{
	*ret = (struct kickmsg_participant){
		.pid = entry->pid,
		.uid = entry->uid,
		.role = (entry->publishers ? KICKMSG_ROLE_PUBLISHER : 0) |
			(entry->subscribers ? KICKMSG_ROLE_SUBSCRIBER : 0),
		.alive = entry->alive,
		.publishers = entry->publishers,
		.subscribers = entry->subscribers,
		.since_realtime_ns = entry->since_realtime_ns,
		.client_id = entry->client_id,
		.rings = entry->rings,
		.publisher_id = entry->publisher_id,
		.loans = entry->loans,
		.borrows = entry->borrows,
		.reliable = entry->reliable,
	};
	km_name_unescape(entry->name, ret->client_name, sizeof ret->client_name);
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
	int r = km_request_topic(client, topic, KM_OP_CLIENTS, &request);
	if (r < 0)
		return r;
	while (count < capacity && *cursor != KM_LOOK_END) {
		request.cursor = *cursor;
		r = km_client_call(
			client, &request, sizeof request, KM_OP_CLIENTS_OK, &answer, NULL, NULL);
		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		const struct km_msg_clients_ok *page = &answer.clients_ok;
		uint32_t i = 0;

		for (; i < page->count && count < capacity; i++) {
			read_client(&page->clients[i], &ret[count++]);
			*cursor = page->clients[i].handle;
		}
		if (i == page->count && page->next == 0)
			*cursor = KM_LOOK_END; /* that was all */
	}
	return (ssize_t)count;
}
