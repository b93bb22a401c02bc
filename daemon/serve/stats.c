/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATS: a topic's numbers, read while others work. A ring's positions only grow: from where its
 * subscriber began, head says what left it, the first position without a message what came into it.
 *
 *   start ......... head ............. tail
 *     received+lost       waiting           written = tail - start
 *
 * A message that came to a subscriber by the topic's history, or was lost on that way, never was in its
 * ring. Such a message counts as written as well, so that written = received + lost + waiting.
 *
 * Nothing here is believed: numbers from a region or a record that somebody spoilt are wrong
 * numbers, and the searches are bounded by the ring's capacity.
 */
#include <stdlib.h>

#include "common/clock.h"
#include "common/ring/endpoint.h"
#include "common/ring/ring.h"
#include "common/ring/waiter.h"
#include "common/shared/shared.h"
#include "daemon/peer/session.h"
#include "daemon/run/turn.h"
#include "daemon/serve/question.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/stats.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

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

uint64_t km_stats_frontier(const struct km_topic *topic)
{
	uint64_t frontier = 0;

	/* the memory of a topic that was given up may be given back already */
	if (topic->region.shared && !topic->kept.quarantined)
		km_shared_frontier(&topic->region, topic->region.geometry.ring_capacity, &frontier);
	return frontier;
}

void km_stats_describe_ring(
	const struct km_member *member, uint64_t frontier, struct km_ring_stats *ret)
{
	const struct km_region *region = &member->topic->region;
	const struct km_endpoint *record = km_member_record(member);

	if (region->shared) {
		*ret = km_member_describe_shared(member, frontier);
		return;
	}
	struct km_ring *ring = km_region_ring(region, member->kept.ring);
	ret->handle = 0;
	ret->lost = km_member_lost(member);
	ret->received = km_load(H2, relaxed, &record->messages);
	uint64_t head = km_load(R2, acquire, &ring->head);
	uint64_t tail = find_tail(region, ring, head);
	ret->waiting = tail - head;
	ret->written = tail - member->kept.start + km_member_history(member) +
		       km_member_history_lost(member);
	ret->ring = member->kept.ring;
	ret->pid = member->session->kept.pid;
	ret->reliable = member->kept.reliable;
	ret->sleeping = (km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP) != 0;
}

/* STATS under way. */
struct stats {
	struct km_question question;
	struct km_msg_stats_ok answer;
	/* Not 0: rings alone are asked for, those behind this member's. */
	uint64_t cursor;
	uint64_t frontier; /* one search for all: they share the ring */
	bool counted;      /* all members are counted */
	uint32_t slot;     /* the next slot to look at */
};

/* Members come newest first, in the order of their handles. */
static void tell_ring(
	struct stats *stats, const struct km_member *member, const struct km_ring_stats *ring)
{
	struct km_msg_stats_ok *answer = &stats->answer;

	if (answer->count < KM_WIRE_RINGS_PAGE) {
		answer->rings[answer->count] = *ring;
		answer->rings[answer->count++].handle = member->kept.handle;
	} else {
		answer->next = answer->rings[answer->count - 1].handle;
	}
}

static void add_member(struct stats *stats, const struct km_member *member)
{
	struct km_msg_stats_ok *answer = &stats->answer;
	const struct km_endpoint *record = km_member_record(member);

	if (stats->cursor && member->kept.handle >= stats->cursor)
		return;

	if (member->kept.role == KM_ROLE_PUBLISHER) {
		answer->sent += km_load(H2, relaxed, &record->messages);
		answer->bytes += km_load(H2, relaxed, &record->bytes);
		answer->failed += km_load(H2, relaxed, &record->failed);
		answer->no_room += km_load(H2, relaxed, &record->no_room);
		return;
	}
	if (member->kept.state == KM_ENDPOINT_LIVE) {
		struct km_ring_stats ring = { 0 };

		km_stats_describe_ring(member, stats->frontier, &ring);
		tell_ring(stats, member, &ring);
		answer->live_rings++;
		answer->received += ring.received;
		answer->lost += ring.lost;
		return;
	}
	answer->received += km_load(H2, relaxed, &record->messages);
	answer->lost += member->kept.lost;
}

static bool count_members(struct stats *stats)
{
	for (unsigned work = KM_PIECE / 8; work > 0; work--) {
		const struct km_member *member = km_walk_next(&stats->question.walk);

		/* A page behind the first is over when it is full. */
		if (!member || (stats->cursor && stats->answer.next))
			return false;
		add_member(stats, member);
	}
	return true;
}

static bool count_slots(struct stats *stats)
{
	const struct km_region *region = &stats->question.walk.topic->region;
	uint32_t end = region->geometry.pool_size;

	if (end - stats->slot > KM_PIECE)
		end = stats->slot + KM_PIECE;
	for (; stats->slot < end; stats->slot++)
		stats->answer.free_slots += km_load(S5, relaxed,
						    &region->slots[stats->slot].word) == 0;
	return end < region->geometry.pool_size;
}

static bool step(struct km_question *question)
{
	struct stats *stats = (struct stats *)question;
	const struct km_topic *topic = question->walk.topic;
	struct km_msg_stats_ok *answer = &stats->answer;

	if (!stats->counted) {
		stats->counted = !count_members(stats);
		return true;
	}
	if (stats->cursor == 0 && count_slots(stats))
		return true;
	/* at the end, so that members that were settled on the way are in these sums; to count one
	 * twice is better than not at all */
	answer->sent += topic->kept.gone.sent;
	answer->bytes += topic->kept.gone.bytes;
	answer->failed += topic->kept.gone.failed;
	answer->received += topic->kept.gone.received;
	answer->lost += topic->kept.gone.lost;
	answer->demoted = topic->kept.demoted;
	answer->no_room += topic->kept.gone.no_room;
	answer->realtime_ns = km_clock_realtime_ns();
	answer->monotonic_ns = (uint64_t)km_clock_ns();
	km_session_answer(question->session, answer, sizeof *answer, NULL, 0);
	return false;
}

void km_serve_stats(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic *topic = km_wanted_topic(session, request);

	if (!topic)
		return;
	const struct km_geometry *geometry = &topic->region.geometry;
	struct stats *stats = calloc(1, sizeof *stats);
	if (stats) {
		stats->question.step = step;
		stats->answer.header.op = KM_OP_STATS_OK;
		stats->answer.topic_id = topic->kept.id;
		stats->answer.pool_size = geometry->pool_size;
		stats->answer.max_subscribers = geometry->max_subscribers;
		stats->cursor = request->cursor;
		stats->frontier = km_stats_frontier(topic);
	}
	km_question_ask(session, topic, stats ? &stats->question : NULL);
}
