/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATS: a topic's numbers, read while others work. A ring's positions only grow: from where its
 * subscriber began, head says what left it, the first position without a message what came into it.
 *
 *   start ......... head ............. tail
 *     received+evicted    waiting           written = tail - start
 *
 * Nothing here is believed: numbers from a region or a record that somebody spoilt are wrong
 * numbers, and the searches are bounded by the ring's capacity.
 */
#include <errno.h>
#include <string.h>

#include "endpoint.h"
#include "info.h"
#include "member.h"
#include "naming.h"
#include "ring.h"
#include "session.h"
#include "waiter.h"

/* The first position from head on that carries no message: cells are filled without holes. */
static uint64_t find_tail(const struct km_region *region, struct km_ring *ring, uint64_t head)
{
	uint64_t from = head, to = head + region->geometry.ring_capacity;

	while (from < to) {
		uint64_t middle = from + (to - from) / 2;
		uint64_t cell = km_load(R1, acquire, &ring->cells[middle & region->cell_mask]);

		if (km_cell_laps_ahead(cell, middle, region->cell_shift) >= 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static void describe_ring(const struct km_member *member, struct km_ring_stats *ret)
{
	const struct km_region *region = &member->topic->region;
	const struct km_endpoint *record = km_member_record(member);

	if (region->shared) {
		*ret = km_member_describe_shared(member);
		return;
	}
	struct km_ring *ring = km_region_ring(region, member->ring);
	ret->evicted = km_member_evicted(member);
	ret->received = km_load(H2, relaxed, &record->messages);
	uint64_t head = km_load(R2, acquire, &ring->head);
	uint64_t tail = find_tail(region, ring, head);
	ret->waiting = tail - head;
	ret->written = tail - member->start;
	ret->live = 1;
	ret->pid = member->session->pid;
	ret->sleeping = (km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP) != 0;
}

static void add_member(const struct km_member *member, struct km_msg_stats_ok *answer)
{
	const struct km_endpoint *record = km_member_record(member);

	if (member->role == KM_ROLE_PUBLISHER) {
		answer->sent += km_load(H2, relaxed, &record->messages);
		answer->failed += km_load(H2, relaxed, &record->failed);
		return;
	}
	if (member->state == KM_PARTY_LIVE) {
		struct km_ring_stats unseen = { 0 };
		struct km_ring_stats *ring = member->ring < answer->ring_count
						     ? &answer->rings[member->ring]
						     : &unseen;

		describe_ring(member, ring);
		answer->live_rings++;
		answer->received += ring->received;
		answer->evicted += ring->evicted;
		return;
	}
	answer->received += km_load(H2, relaxed, &record->messages);
	answer->evicted += member->evicted;
}

void km_stats_serve(struct km_session *session, const struct km_msg_topic *request)
{
	const struct km_topic *topic = km_naming_find(session, request);
	const struct km_member *member;

	if (!topic)
		return;
	const struct km_geometry *geometry = &topic->region.geometry;
	struct km_msg_stats_ok answer = {
		.header.op = KM_OP_STATS_OK,
		.topic_id = topic->id,
		.sent = topic->gone.sent,
		.failed = topic->gone.failed,
		.received = topic->gone.received,
		.evicted = topic->gone.evicted,
		.realtime_ns = km_broker_realtime_ns(),
		.monotonic_ns = (uint64_t)km_clock_ns(),
		.pool_size = geometry->pool_size,
		.ring_count = geometry->max_subscribers < KM_MAX_RINGS ? geometry->max_subscribers
								       : KM_MAX_RINGS,
	};

	LIST_FOREACH (member, &topic->members, of_topic)
		add_member(member, &answer);
	for (uint32_t i = 0; i < geometry->pool_size; i++)
		answer.free_slots += km_load(S5, relaxed, &topic->region.slots[i].word) == 0;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
