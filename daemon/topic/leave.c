/* SPDX-License-Identifier: Apache-2.0 */
/* How a publisher or subscriber goes from a topic: see leave.h. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/ring/endpoint.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/memory.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/privilege.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

/* Adds the member's numbers to the topic's. */
static void add_to_totals(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);
	struct km_totals *gone = &member->topic->kept.gone;

	if (member->kept.role == KM_ROLE_PUBLISHER) {
		gone->sent += km_load(H2, relaxed, &record->messages);
		gone->bytes += km_load(H2, relaxed, &record->bytes);
		gone->failed += km_load(H2, relaxed, &record->failed);
		gone->no_room += km_load(H2, relaxed, &record->no_room);
	} else {
		gone->received += km_load(H2, relaxed, &record->messages);
		gone->lost += member->kept.lost;
	}
}

/* Tells in the header how many have gone. A broker that was killed behind this and before its
 * commit had counted the endpoint in the header already: the next broker counts from the kept
 * number, and finds the same one there. A client that writes there makes the number wrong. */
static void tell_gone(_Atomic uint32_t *told, uint32_t count)
{
	if ((int32_t)(count - km_load(M3, relaxed, told)) > 0)
		km_store(M3, relaxed, told, count);
}

static void count_gone(const struct km_member *member, enum km_endpoint_state state)
{
	struct km_topic *topic = member->topic;
	struct km_control_header *header = topic->region.header;
	bool publishes = member->kept.role == KM_ROLE_PUBLISHER;
	struct km_gone *told = publishes ? &header->gone_publishers : &header->gone_subscribers;
	struct km_kept_gone *kept = publishes ? &topic->kept.gone_publishers
					      : &topic->kept.gone_subscribers;

	if (state == KM_ENDPOINT_DEAD)
		tell_gone(&told->died, ++kept->died);
	else
		tell_gone(&told->left, ++kept->left);
	km_keep_topic(topic);
}

/* Takes the member out of the living. */
static void leave(struct km_member *member, enum km_endpoint_state state)
{
	struct km_topic *topic = member->topic;

	if (member->kept.state == KM_ENDPOINT_LIVE) {
		/* before its ring is drained: draining would count unread messages as lost */
		if (member->kept.role == KM_ROLE_SUBSCRIBER)
			member->kept.lost = km_member_lost(member);
		topic->publishers -= member->kept.role == KM_ROLE_PUBLISHER;
		topic->subscribers -= member->kept.role == KM_ROLE_SUBSCRIBER;
		member->session->live--;
		if (member->kept.role == KM_ROLE_SUBSCRIBER && !topic->region.shared)
			topic->rings_owned &= ~(UINT64_C(1) << member->kept.ring);
		count_gone(member, state);
		km_reliable_end(member);
		km_member_tell_counts(topic);
	}
	topic->leaving -= member->kept.state == KM_ENDPOINT_LEAVING;
	topic->dead -= member->kept.state == KM_ENDPOINT_DEAD;
	member->kept.state = state;
	topic->leaving += state == KM_ENDPOINT_LEAVING;
	topic->dead += state == KM_ENDPOINT_DEAD;
	km_keep_member(member);
}

/* Lets no new messages into the member's ring. */
static void close_ring(struct km_member *member)
{
	struct km_topic *topic = member->topic;

	if (member->kept.role != KM_ROLE_SUBSCRIBER || topic->region.shared)
		return;
	uint64_t bit = UINT64_C(1) << member->kept.ring;
	topic->live &= ~bit;
	km_and(L6, relaxed, &topic->region.header->live, ~bit);
}

void km_leave_detach(struct km_member *member)
{
	leave(member, KM_ENDPOINT_LEAVING);
	close_ring(member);
}

void km_leave_die(struct km_member *member)
{
	leave(member, KM_ENDPOINT_DEAD);
	if (member->topic->broker->config->automatic)
		close_ring(member);
}

void km_leave_free(struct km_member *member)
{
	struct km_parting *parting = &member->session->parting;

	km_walk_skip(member);
	if (parting->next == member)
		parting->next = LIST_NEXT(member, of_session);
	LIST_REMOVE(member, of_session);
	LIST_REMOVE(member, of_topic);
	km_account_give(member->session->account, KM_ENDPOINTS, 1);
	free(member->watches);
	free(member);
}

void km_leave_settle(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	struct km_session *session = member->session;

	if (member->kept.state == KM_ENDPOINT_DEAD && session->kept.died_ns > 0)
		km_histogram_add(&topic->broker->recoveries, km_clock_ns() - session->kept.died_ns);
	leave(member, KM_ENDPOINT_DEAD);
	topic->dead--;
	close_ring(member);
	if (member->kept.role == KM_ROLE_SUBSCRIBER) {
		topic->subscribers_taken--;
		if (member->kept.ring < KM_MAX_RINGS)
			topic->rings_taken &= ~(UINT64_C(1) << member->kept.ring);
	} else {
		topic->ids_taken[(member->kept.id - 1) / 64] &= ~(
			UINT64_C(1) << ((member->kept.id - 1) % 64));
		topic->ids_free++;
	}
	add_to_totals(member);
	km_keep_forget_member(member);
	km_memory_give_record(session, member->kept.segment, member->kept.offset, member->size);
	session->member_count--;
	session->publishers -= member->kept.role == KM_ROLE_PUBLISHER;
	km_session_look(session);
	km_privilege_pass_on(topic, member);
	km_leave_free(member);
	if (LIST_EMPTY(&topic->members) || !topic->kept.named)
		km_lifetime_look(topic);
}
