/* SPDX-License-Identifier: Apache-2.0 */
/* How a publisher or subscriber comes into a topic: see join.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/repair/live.h"
#include "common/ring/endpoint.h"
#include "common/ring/lost.h"
#include "common/ring/ring.h"
#include "common/shared/reader.h"
#include "common/shared/shared.h"
#include "daemon/peer/memory.h"
#include "daemon/topic/join.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/privilege.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/topic.h"

/* Numbers of a shared ring that are kept back for reliable subscribers to come: such a number says which
 * reader one is (reader.h). */
static uint32_t kept_back(const struct km_topic *topic)
{
	const uint32_t most = topic->region.geometry.max_reliable;

	return topic->region.shared ? most - km_reliable_count(topic) : 0;
}

/* A free ring, or the number by which a shared ring's subscriber is shown. KM_HAZARD_NONE: none
 * is left. */
static uint32_t free_ring(const struct km_topic *topic, bool reliable)
{
	uint64_t left = ~topic->rings_taken & KM_LIVE_RINGS;

	if (!reliable && (uint32_t)__builtin_popcountll(left) <= kept_back(topic))
		left = 0;
	return left ? (uint32_t)__builtin_ctzll(left) : KM_HAZARD_NONE;
}

static bool id_is_taken(const struct km_topic *topic, uint32_t id)
{
	return topic->ids_taken[(id - 1) / 64] >> ((id - 1) % 64) & 1;
}

static uint32_t free_id(const struct km_topic *topic)
{
	uint32_t word = 0;

	while (topic->ids_taken[word] == UINT64_MAX)
		word++;
	return 64 * word + (uint32_t)__builtin_ctzll(~topic->ids_taken[word]) + 1;
}

/* Is the member's number free? It is the id of a publisher, the ring of a subscriber. */
static bool number_is_free(const struct km_member *member)
{
	const struct km_topic *topic = member->topic;
	const uint32_t ring = member->kept.ring, id = member->kept.id;

	if (member->kept.role == KM_ROLE_PUBLISHER)
		return id > 0 && id <= topic->region.geometry.max_publishers &&
		       !id_is_taken(topic, id);
	if (!topic->region.shared && ring >= topic->region.ring_count)
		return false;
	return ring >= KM_MAX_RINGS || !(topic->rings_taken >> ring & 1);
}

static void take_number(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	const uint32_t ring = member->kept.ring, id = member->kept.id;

	if (member->kept.role == KM_ROLE_PUBLISHER) {
		topic->ids_taken[(id - 1) / 64] |= UINT64_C(1) << ((id - 1) % 64);
		topic->ids_free--;
		return;
	}
	topic->subscribers_taken++;
	if (ring < KM_MAX_RINGS)
		topic->rings_taken |= UINT64_C(1) << ring;
	if (member->kept.state == KM_ENDPOINT_LIVE && !topic->region.shared)
		topic->rings_owned |= UINT64_C(1) << ring;
}

int km_join_insert(struct km_member *member)
{
	const struct km_kept_member *kept = &member->kept;
	struct km_topic *topic = member->topic;
	struct km_session *session = member->session;
	const struct km_geometry *geometry = &topic->region.geometry;

	if (!number_is_free(member))
		return -EPROTO;
	if (kept->reliable &&
		(topic->region.geometry.max_reliable == 0 || kept->ring >= KM_MAX_RINGS))
		return -EPROTO;
	member->held_count = kept->role == KM_ROLE_SUBSCRIBER ? km_geometry_held_count(geometry)
							      : 0;
	member->size = (uint32_t)km_geometry_endpoint_size(geometry, kept->role);
	int r = km_memory_claim_record(session, kept->segment, kept->offset, member->size);
	if (r < 0)
		return r;
	/* a reliable member that an earlier broker let in begins here anew */
	if (kept->reliable && (r = km_reliable_begin(member)) < 0) {
		km_memory_give_record(session, kept->segment, kept->offset, member->size);
		return r;
	}
	take_number(member);
	if (kept->state == KM_ENDPOINT_LIVE) {
		topic->publishers += kept->role == KM_ROLE_PUBLISHER;
		topic->subscribers += kept->role == KM_ROLE_SUBSCRIBER;
		session->live++;
	}
	topic->leaving += kept->state == KM_ENDPOINT_LEAVING;
	topic->dead += kept->state == KM_ENDPOINT_DEAD;
	km_lifetime_use(topic);
	LIST_INSERT_HEAD(&topic->members, member, of_topic);
	LIST_INSERT_HEAD(&session->members, member, of_session);
	session->member_count++;
	session->publishers += member->kept.role == KM_ROLE_PUBLISHER;
	km_account_take(session->account, KM_ENDPOINTS, 1);
	return 0;
}

/* Finds room for the member's record, in a new segment of its client's if need be. */
static int find_room(struct km_member *member, char *ret_text, size_t text_size)
{
	const struct km_geometry *geometry = &member->topic->region.geometry;
	const uint32_t size = (uint32_t)km_geometry_endpoint_size(geometry, member->kept.role);
	struct km_kept_member *kept = &member->kept;
	int r = km_memory_find_record(member->session, size, &kept->segment, &kept->offset);

	if (r != -ENOSPC)
		return r;
	r = km_memory_add(member->session, ret_text, text_size);
	return r < 0 ? r
		     : km_memory_find_record(member->session, size, &kept->segment, &kept->offset);
}

/* Makes a member. `ret_text`: why there is no memory for its record. */
static int make(struct km_session *session, struct km_topic *topic, enum km_role role,
	bool reliable, struct km_member **ret, char *ret_text, size_t text_size)
{
	_cleanup_(km_freep) struct km_member *member = calloc(1, sizeof *member);

	if (!member)
		return snprintf(ret_text, text_size, "no memory"), -ENOMEM;
	*member = (struct km_member){
		.session = session,
		.topic = topic,
		.kept = {
			.session_id = session->kept.id,
			.topic_id = topic->kept.id,
			.since_realtime_ns = km_clock_realtime_ns(),
			.state = KM_ENDPOINT_LIVE,
			.role = role,
			.id = role == KM_ROLE_PUBLISHER ? free_id(topic) : 0,
			.ring = role == KM_ROLE_SUBSCRIBER ? free_ring(topic, reliable) : 0,
		},
	};
	int r = find_room(member, ret_text, text_size);
	if (r < 0)
		return r;
	member->kept.handle = ++session->broker->next_member;
	r = km_join_insert(member);
	if (r < 0)
		return snprintf(ret_text, text_size, "the topic has no room"), r;
	km_endpoint_format(km_member_record(member), role, member->kept.id, member->kept.ring,
		member->held_count);
	if (role == KM_ROLE_PUBLISHER)
		km_privilege_offer(member);
	*ret = km_steal_ptr(member);
	return 0;
}

int km_join_check(struct km_session *session, char *ret_text, size_t text_size)
{
	const struct km_limit *limit = &session->broker->config->client_endpoints;
	char where[KM_ORIGIN_TEXT_SIZE];

	if (session->member_count + session->wait_count >= limit->value) {
		snprintf(ret_text, text_size,
			"the limit of %llu endpoints of a client is reached (%s)",
			(unsigned long long)limit->value, km_origin_text(&limit->origin, where));
		return -EDQUOT;
	}
	int r = km_account_check_inherited(session->account, ret_text, text_size);
	return r < 0 ? r : km_account_check(session->account, KM_ENDPOINTS, 1, ret_text, text_size);
}

/* May the session have one more endpoint, and has the topic room for it? */
static int check_limits(struct km_session *session, const struct km_topic *topic, enum km_role role,
	char *ret_text, size_t text_size)
{
	const struct km_geometry *geometry = &topic->region.geometry;
	int r = km_join_check(session, ret_text, text_size);

	if (r < 0 || km_member_has_room(topic, role))
		return r;
	snprintf(ret_text, text_size, "topic '%s' has all its %u %ss", topic->kept.key.name,
		role == KM_ROLE_PUBLISHER ? geometry->max_publishers : geometry->max_subscribers,
		km_member_role_name(role));
	return -ENOSPC;
}

int km_join(struct km_session *session, struct km_topic *topic, enum km_role role, bool reliable,
	struct km_member **ret, char *ret_text, size_t text_size)
{
	char why[KM_WIRE_TEXT_SIZE] = "";
	int r = check_limits(session, topic, role, ret_text, text_size);

	if (r < 0)
		return r;
	r = make(session, topic, role, reliable, ret, why, sizeof why);
	if (r < 0)
		snprintf(ret_text, text_size, "topic '%.60s': no memory for a %s's record: %s",
			topic->kept.key.name, km_member_role_name(role), why);
	return r;
}

int km_join_start(const struct km_topic *topic, uint32_t history, uint64_t *ret)
{
	const uint64_t capacity = topic->region.geometry.ring_capacity;
	uint64_t frontier;
	int r = km_shared_frontier(&topic->region, capacity, &frontier);

	if (r < 0)
		return r;
	uint64_t back = frontier - capacity; /* messages that were there before */
	if (back > capacity)
		back = capacity;
	*ret = frontier - (history < back ? history : back);
	return 0;
}

bool km_join_drain(const struct km_topic *topic, uint32_t count)
{
	const uint32_t ring = free_ring(topic, false);
	_Atomic uint32_t evicting; /* a hazard that nobody looks at: see reconcile.c */

	if (topic->region.shared || ring >= topic->region.ring_count)
		return false;
	km_hazard_clear(&evicting);
	return km_ring_drain_some(&topic->region, ring, &evicting, count) >= (int)count;
}

int km_join_open(struct km_member *member, uint32_t history)
{
	struct km_topic *topic = member->topic;

	if (topic->region.shared) {
		int r = km_join_start(topic, history, &member->kept.start);

		if (r == 0 && member->kept.reliable)
			km_reader_begin(&topic->region, member->kept.ring, member->kept.start);
		return r;
	}
	return km_live_open(&topic->region, member->kept.ring, &topic->live, &member->kept.start);
}

/* A reader's first `next` is at or before the frontier that is found behind its bit. */
int km_join_reliably(struct km_member *member, uint32_t history)
{
	struct km_topic *topic = member->topic;
	uint64_t before;
	int r;

	if (member->kept.ring >= KM_MAX_RINGS)
		return -ENOSPC;
	if (topic->region.shared && km_join_start(topic, history, &before) == 0)
		km_reader_begin(&topic->region, member->kept.ring, before);
	r = km_reliable_begin(member);
	if (r < 0)
		return r;
	km_reliable_say(topic);
	km_reader_fence();
	return 0;
}
