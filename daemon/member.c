/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher or subscriber of a topic as the broker knows it: its place, its record, its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "endpoint.h"
#include "keep.h"
#include "lifetime.h"
#include "member.h"
#include "missed.h"
#include "privilege.h"
#include "session.h"
#include "shared.h"

struct km_endpoint *km_member_record(const struct km_member *member)
{
	unsigned char *memory = member->session->segments[member->segment].memory;

	return (struct km_endpoint *)(memory + member->offset);
}

bool km_member_has_place(const struct km_topic *topic, enum km_role role)
{
	if (role == KM_ROLE_PUBLISHER)
		return topic->ids_free > 0;
	return topic->seats_taken < topic->region.geometry.max_subscribers;
}

/* A ring, or the number by which a shared ring's subscriber is shown, if one is left. */
static uint32_t take_ring(struct km_topic *topic)
{
	uint64_t left = ~topic->rings_taken & KM_LIVE_RINGS;
	uint32_t ring = left ? (uint32_t)__builtin_ctzll(left) : KM_HAZARD_NONE;

	if (left)
		topic->rings_taken |= UINT64_C(1) << ring;
	topic->seats_taken++;
	return ring;
}

static void take_place(struct km_topic *topic, struct km_member *member)
{
	if (member->role == KM_ROLE_SUBSCRIBER) {
		member->ring = take_ring(topic);
		topic->subscribers++;
		return;
	}
	uint32_t id = 1;
	while (topic->ids_taken[(id - 1) / 64] >> ((id - 1) % 64) & 1)
		id++;
	topic->ids_taken[(id - 1) / 64] |= UINT64_C(1) << ((id - 1) % 64);
	topic->ids_free--;
	topic->publishers++;
	member->id = id;
}

int km_member_new(struct km_session *session, struct km_topic *topic, enum km_role role,
	struct km_member **ret, int *ret_segment_fd, char *ret_text, size_t text_size)
{
	const struct km_geometry *geometry = &topic->region.geometry;
	_cleanup_(km_freep) struct km_member *member = calloc(1, sizeof *member);
	_cleanup_(km_closep) int segment_fd = -1;
	int r;

	if (!member)
		return snprintf(ret_text, text_size, "no memory"), -ENOMEM;
	member->size = (uint32_t)km_geometry_endpoint_size(geometry, role);
	r = km_session_take_record(session, member->size, &member->segment, &member->offset);
	if (r == -ENOSPC) {
		r = km_session_add_memory(session, &segment_fd, ret_text, text_size);
		if (r == 0)
			r = km_session_take_record(
				session, member->size, &member->segment, &member->offset);
	}
	if (r < 0)
		return r;
	member->session = session;
	member->topic = topic;
	member->handle = ++session->broker->next_member;
	member->state = KM_PARTY_LIVE;
	member->role = role;
	member->held_count = role == KM_ROLE_SUBSCRIBER ? km_geometry_held_count(geometry) : 0;
	member->since_realtime_ns = km_broker_realtime_ns();
	km_lifetime_use(topic);
	take_place(topic, member);
	km_store(G4, relaxed, &topic->region.header->publishers, topic->publishers);
	LIST_INSERT_HEAD(&session->members, member, of_session);
	session->member_count++;
	km_account_take(session->account, KM_ENDPOINTS, 1);
	LIST_INSERT_HEAD(&topic->members, member, of_topic);
	km_endpoint_format(
		km_member_record(member), role, member->id, member->ring, member->held_count);
	if (role == KM_ROLE_PUBLISHER)
		km_privilege_offer(member);
	*ret_segment_fd = km_steal_fd(segment_fd);
	*ret = km_steal_ptr(member);
	return 0;
}

struct km_ring_stats km_member_describe_shared(const struct km_member *member)
{
	const struct km_region *region = &member->topic->region;
	const struct km_endpoint *record = km_member_record(member);
	struct km_ring_stats ret = { .live = 1, .pid = member->session->pid };
	uint64_t frontier;

	if (km_shared_frontier(region, member->start, &frontier) < 0)
		return ret;
	ret.written = frontier - member->start;
	ret.received = km_load(H2, relaxed, &record->messages);
	ret.evicted = km_load(H2, relaxed, &record->lost);
	/* what it has said so far; it may be behind by more than there is */
	uint64_t known = ret.received + ret.evicted;
	ret.waiting = ret.written > known ? ret.written - known : 0;
	if (ret.waiting > region->geometry.ring_capacity) {
		ret.evicted += ret.waiting - region->geometry.ring_capacity;
		ret.waiting = region->geometry.ring_capacity;
	}
	return ret;
}

uint64_t km_member_evicted(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);
	uint64_t received, evicted;
	int tries = 0;

	if (member->state != KM_PARTY_LIVE)
		return member->evicted;
	if (member->topic->region.shared)
		return km_member_describe_shared(member).evicted;
	const struct km_ring *ring = km_region_ring(&member->topic->region, member->ring);
	/* between its take and its count a subscriber has one more; where nothing moves, that is all */
	do {
		received = km_load(H2, relaxed, &record->messages);
		uint64_t gone = km_load(R2, acquire, &ring->head) - member->start;
		evicted = gone > received ? gone - received : 0;
	} while (km_load(H2, relaxed, &record->messages) != received && ++tries < 8);
	return evicted;
}

/* What it did goes into the topic's numbers. */
static void add_to_totals(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);
	struct km_totals *gone = &member->topic->gone;

	if (member->role == KM_ROLE_PUBLISHER) {
		gone->sent += km_load(H2, relaxed, &record->messages);
		gone->failed += km_load(H2, relaxed, &record->failed);
	} else {
		gone->received += km_load(H2, relaxed, &record->messages);
		gone->evicted += member->evicted;
	}
}

/* It is no longer one of the living. */
static void leave(struct km_member *member, enum km_party_state state)
{
	struct km_topic *topic = member->topic;

	if (member->state == KM_PARTY_LIVE) {
		/* before its ring is drained: what lies there unread isn't lost */
		if (member->role == KM_ROLE_SUBSCRIBER)
			member->evicted = km_member_evicted(member);
		topic->publishers -= member->role == KM_ROLE_PUBLISHER;
		topic->subscribers -= member->role == KM_ROLE_SUBSCRIBER;
		km_store(G4, relaxed, &topic->region.header->publishers, topic->publishers);
	}
	topic->leaving -= member->state == KM_PARTY_LEAVING;
	topic->dead -= member->state == KM_PARTY_DEAD;
	member->state = state;
	topic->leaving += state == KM_PARTY_LEAVING;
	topic->dead += state == KM_PARTY_DEAD;
	km_keep_member(member);
}

void km_member_close_ring(struct km_member *member)
{
	struct km_topic *topic = member->topic;

	if (member->role != KM_ROLE_SUBSCRIBER || topic->region.shared)
		return;
	uint64_t bit = UINT64_C(1) << member->ring;
	topic->live &= ~bit;
	km_and(L2, release, &topic->region.header->live, ~bit);
}

void km_member_detach(struct km_member *member)
{
	leave(member, KM_PARTY_LEAVING);
	km_member_close_ring(member);
}

void km_member_die(struct km_member *member)
{
	leave(member, KM_PARTY_DEAD);
	member->topic->has_died = true;
	if (member->topic->broker->config->automatic)
		km_member_close_ring(member);
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

void km_member_free(struct km_member *member)
{
	LIST_REMOVE(member, of_session);
	LIST_REMOVE(member, of_topic);
	km_account_give(member->session->account, KM_ENDPOINTS, 1);
	free(member->watches);
	free(member);
}

void km_member_settle(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	struct km_session *session = member->session;

	leave(member, KM_PARTY_DEAD);
	topic->dead--;
	km_member_close_ring(member);
	if (member->role == KM_ROLE_SUBSCRIBER) {
		topic->seats_taken--;
		if (member->ring < KM_MAX_RINGS)
			topic->rings_taken &= ~(UINT64_C(1) << member->ring);
	} else {
		topic->ids_taken[(member->id - 1) / 64] &= ~(
			UINT64_C(1) << ((member->id - 1) % 64));
		topic->ids_free++;
	}
	add_to_totals(member);
	km_keep_topic(topic);
	km_keep_forget_member(member);
	km_session_give_record(session, member->segment, member->offset, member->size);
	session->member_count--;
	topic->broker->sweep = true; /* also for the session */
	km_privilege_pass_on(topic, member);
	km_member_free(member);
	if (LIST_EMPTY(&topic->members))
		km_lifetime_look(topic);
}
