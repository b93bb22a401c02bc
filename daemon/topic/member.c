/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher or subscriber of a topic as the broker knows it: its record and its numbers. */
#include "daemon/topic/member.h"
#include "common/ring/endpoint.h"
#include "common/ring/lost.h"
#include "common/shared/shared.h"
#include "daemon/run/handlers.h"
#include "daemon/topic/topic.h"

struct km_endpoint *km_member_record(const struct km_member *member)
{
	unsigned char *memory = member->session->segments[member->kept.segment].memory;

	return (struct km_endpoint *)(memory + member->kept.offset);
}

const char *km_member_role_name(enum km_role role)
{
	return role == KM_ROLE_PUBLISHER ? "publisher" : "subscriber";
}

bool km_member_is_named(const struct km_member *member, uint64_t handle)
{
	return handle > 0 && (member->kept.handle == handle || member->kept.waited == handle);
}

bool km_member_has_room(const struct km_topic *topic, enum km_role role)
{
	if (role == KM_ROLE_PUBLISHER)
		return topic->ids_free > 0;
	return topic->subscribers_taken < topic->region.geometry.max_subscribers;
}

void km_member_tell_counts(struct km_topic *topic)
{
	struct km_control_header *header = topic->region.header;

	km_store(G4, relaxed, &header->publishers, topic->publishers);
	km_store(L5, relaxed, &header->subscribers, topic->subscribers);
	topic->broker->handlers->notice_changed(topic);
}

bool km_member_is_quiet(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);

	if (km_load(H1, acquire, &record->delivering) != KM_HAZARD_NONE ||
		km_load(H1, acquire, &record->evicting) != KM_HAZARD_NONE)
		return false;
	for (uint32_t i = 0; i < member->held_count; i++)
		if (km_load(H1, acquire, &record->held[i]) != KM_HAZARD_NONE)
			return false;
	return true;
}

struct km_ring_stats km_member_describe_shared(const struct km_member *member, uint64_t frontier)
{
	const struct km_region *region = &member->topic->region;
	const struct km_endpoint *record = km_member_record(member);
	struct km_ring_stats ret = {
		.ring = UINT32_MAX,
		.pid = member->session->kept.pid,
		.reliable = member->kept.reliable,
	};

	ret.written = frontier > member->kept.start ? frontier - member->kept.start : 0;
	ret.received = km_load(H2, relaxed, &record->messages);
	ret.lost = km_load(H2, relaxed, &record->lost);
	/* messages that its record tells of: the rest may be more than the ring can have */
	uint64_t known = ret.received + ret.lost;
	ret.waiting = ret.written > known ? ret.written - known : 0;
	if (ret.waiting > region->geometry.ring_capacity) {
		ret.lost += ret.waiting - region->geometry.ring_capacity;
		ret.waiting = region->geometry.ring_capacity;
	}
	return ret;
}

/* May the member have got messages that were not in its ring? */
static bool is_newcomer(const struct km_member *member)
{
	return member->topic->region.kept && member->kept.role == KM_ROLE_SUBSCRIBER;
}

uint64_t km_member_history(const struct km_member *member)
{
	return is_newcomer(member) ? km_load(H2, relaxed, &km_member_record(member)->evicted) : 0;
}

uint64_t km_member_history_lost(const struct km_member *member)
{
	return is_newcomer(member) ? km_load(H2, relaxed, &km_member_record(member)->failed) : 0;
}

uint64_t km_member_lost(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);
	uint64_t received, lost, frontier;
	int tries = 0;

	if (member->kept.state != KM_ENDPOINT_LIVE || member->topic->kept.emptied)
		return member->kept.lost;
	if (member->topic->region.shared)
		return km_shared_frontier(&member->topic->region, member->kept.start, &frontier) < 0
			       ? 0
			       : km_member_describe_shared(member, frontier).lost;
	const struct km_ring *ring = km_region_ring(&member->topic->region, member->kept.ring);
	/* a subscriber that has taken a message and not counted it yet has one more: so look until
	 * its count stands still */
	do {
		received = km_load(H2, relaxed, &record->messages) - km_member_history(member);
		uint64_t gone = km_load(R2, acquire, &ring->head) - member->kept.start;
		lost = gone > received ? gone - received : 0;
	} while (km_load(H2, relaxed, &record->messages) - km_member_history(member) != received &&
		 ++tries < 8);
	return lost + km_member_history_lost(member);
}

void km_keep_member(struct km_member *member)
{
	km_keep_put(member->topic->broker, KM_STATE_MEMBERS, &member->kept_at, &member->kept,
		sizeof member->kept, member->kept.handle);
}

void km_keep_forget_member(struct km_member *member)
{
	km_state_drop(member->topic->broker->state, KM_STATE_MEMBERS, &member->kept_at);
}
