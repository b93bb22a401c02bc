/* SPDX-License-Identifier: Apache-2.0 */
/* Reliable subscribers: see reliable.h. */
#include "daemon/topic/reliable.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/shared/room.h"
#include "daemon/keep/keep.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

struct km_reliable {
	struct event *timer;
	int64_t said_ns; /* when a publisher last said that it finds no room */
	uint64_t rings;  /* what header->reliable has to be */
	uint64_t full;   /* had no room at the last look */
	/* Publishers were asked whether they still wait for these. */
	uint64_t asked;
	struct {
		struct km_member *member;
		uint64_t head;
		int64_t since_ns; /* it was seen first */
	} at[KM_MAX_RINGS];
};

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct km_topic *topic = userdata;
	struct km_broker *broker = topic->broker;

	km_reliable_look(topic);
	broker->handlers->sweep(broker);
}

static int prepare(struct km_topic *topic)
{
	if (topic->reliable)
		return 0;
	struct km_reliable *reliable = calloc(1, sizeof *reliable);
	if (!reliable)
		return -ENOMEM;
	reliable->timer = evtimer_new(topic->broker->base, on_timer, topic);
	if (!reliable->timer) {
		free(reliable);
		return -ENOMEM;
	}
	topic->reliable = reliable;
	return 0;
}

int km_reliable_begin(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	int r = prepare(topic);

	if (r < 0)
		return r;
	member->kept.reliable = true;
	topic->reliable->rings |= UINT64_C(1) << member->kept.ring;
	topic->reliable->at[member->kept.ring].member = member;
	return 0;
}

static void forget(struct km_reliable *reliable, uint64_t rings)
{
	reliable->full &= ~rings;
	reliable->asked &= ~rings;
}

void km_reliable_end(struct km_member *member)
{
	struct km_topic *topic = member->topic;
	uint64_t bit = UINT64_C(1) << member->kept.ring;

	if (!member->kept.reliable)
		return;
	member->kept.reliable = false;
	topic->reliable->rings &= ~bit;
	forget(topic->reliable, bit);
	km_room_say(&topic->region, topic->reliable->rings);
	km_room_wake(&topic->region);
}

uint32_t km_reliable_count(const struct km_topic *topic)
{
	return topic->reliable ? (uint32_t)__builtin_popcountll(topic->reliable->rings) : 0;
}

bool km_reliable_has_room(const struct km_topic *topic)
{
	return km_reliable_count(topic) < topic->region.geometry.max_reliable;
}

/* The next broker knows of it before anybody can see it, wherever this one ends. */
static void demote(struct km_member *member, uint64_t stood_ns)
{
	struct km_topic *topic = member->topic;
	uint64_t bit = UINT64_C(1) << member->kept.ring;

	topic->kept.demoted++;
	member->kept.reliable = false;
	km_keep_topic(topic);
	km_keep_member(member);
	km_keep_commit(topic->broker);
	topic->reliable->rings &= ~bit;
	forget(topic->reliable, bit);
	km_store(M3, relaxed, &topic->region.header->demoted, topic->kept.demoted);
	km_room_say(&topic->region, topic->reliable->rings);
	km_room_wake(&topic->region);
	topic->broker->handlers->notice_changed(topic);
	km_log(LOG_WARNING | KM_EVENT_DEMOTED, member->session, topic,
		"subscriber stood still for %llu ms while a publisher waited for room: it is no "
		"reliable one any more, and loses its oldest messages when its ring is full",
		(unsigned long long)(stood_ns / 1000000));
}

/* A publisher that still waits so long before the time is over says so by then: one that polls does so each ms,
 * one that sleeps is woken. */
#define ASK_NS (2 * KM_ROOM_SAY_NS)

/* Returns when the ring is to be looked at again, or 0: it has room, or nobody waits. A time that is over
 * means that its subscriber stood still while a publisher waited. */
static int64_t look_at(struct km_topic *topic, uint32_t i, int64_t now)
{
	struct km_reliable *reliable = topic->reliable;
	const uint64_t bit = UINT64_C(1) << i;
	uint64_t head;

	if (km_room_is_before(&topic->region, i, &head)) {
		/* the subscriber may have been stopped before it rang the bell */
		if (reliable->full & bit)
			km_room_wake(&topic->region);
		forget(reliable, bit);
		return 0;
	}
	/* a head that a hostile subscriber sets back is no progress */
	if (!(reliable->full & bit) || (int64_t)(head - reliable->at[i].head) > 0) {
		forget(reliable, bit);
		reliable->full |= bit;
		reliable->at[i].head = head;
		reliable->at[i].since_ns = now;
	}
	const int64_t since = reliable->at[i].since_ns,
		      ends = since + (int64_t)topic->region.geometry.stall_ns,
		      asks = ends - ASK_NS > since ? ends - ASK_NS : since,
		      said = reliable->said_ns;
	if (now < asks)
		return asks;
	/* A publisher that waits says so again. Its announcement in shared memory tells nothing: it stays there
	 * when the publisher gives up. */
	if (said > since && said >= asks)
		return ends;
	if (!(reliable->asked & bit))
		km_room_wake(&topic->region);
	reliable->asked |= bit;
	if (now < ends)
		return ends;
	/* Nobody waits now. A head that hasn't moved when a publisher says so again has stood still all the
	 * time, which counts from when one was refused. */
	if (said < since)
		forget(reliable, bit);
	return 0;
}

/* At the end of the timer's microsecond. */
static void arm(struct km_reliable *reliable, int64_t ns)
{
	const int64_t us = ns / 1000 + 1;
	struct timeval after = { us / 1000000, us % 1000000 };

	evtimer_add(reliable->timer, &after);
}

void km_reliable_say(struct km_topic *topic)
{
	const uint64_t rings = topic->reliable ? topic->reliable->rings : 0;

	if (km_room_said(&topic->region) == rings)
		return;
	km_room_say(&topic->region, rings);
	km_room_wake(&topic->region);
}

static void look(struct km_topic *topic, int64_t now)
{
	struct km_reliable *reliable = topic->reliable;
	int64_t first = INT64_MAX;

	if (topic->region.geometry.max_reliable == 0 || topic->kept.quarantined)
		return;
	km_reliable_say(topic);
	if (!reliable)
		return;
	for (uint64_t left = reliable->rings; left; left &= left - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(left);
		int64_t ends = look_at(topic, i, now);

		if (ends > 0 && ends <= now)
			demote(reliable->at[i].member, (uint64_t)(now - reliable->at[i].since_ns));
		else if (ends > 0 && ends < first)
			first = ends;
	}
	if (first < INT64_MAX)
		arm(reliable, first - now);
}

void km_reliable_look(struct km_topic *topic)
{
	look(topic, km_clock_ns());
}

void km_reliable_hear(struct km_topic *topic)
{
	const int64_t now = km_clock_ns();

	if (topic->reliable)
		topic->reliable->said_ns = now;
	topic->stalls++;
	look(topic, now);
	/* a subscriber that made room meanwhile may have been stopped before it rang the bell */
	if (topic->reliable && topic->reliable->full == 0)
		km_reliable_wake(topic);
}

void km_reliable_wake(struct km_topic *topic)
{
	if (topic->region.geometry.max_reliable > 0 && !topic->kept.quarantined)
		km_room_wake(&topic->region);
}

void km_reliable_forget(struct km_topic *topic)
{
	if (!topic->reliable)
		return;
	event_free(topic->reliable->timer);
	free(topic->reliable);
	topic->reliable = NULL;
}
