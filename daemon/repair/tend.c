/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking after topics: see tend.h.
 *
 * With automatic = no nothing of the dead is touched before the operator says so. Members that
 * leave in good order are settled all the same, as long as the topic has no dead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/repair/live.h"
#include "daemon/keep/keep.h"
#include "daemon/repair/recover.h"
#include "daemon/repair/tend.h"
#include "daemon/repair/watch.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/quarantine.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

#define LOOKS_AGAIN    4
#define AGAIN_FIRST_MS 1
#define AGAIN_LAST_MS  64

/* A topic of up to this size is looked at in one go. The units are those of a pass: so many take
 * some half a millisecond. */
#define SMALL_WORK 32768

enum stage { WATCH, JUDGE, PASS, UNSEEN };

/* A topic that is being tended, and how far that is. */
struct tending {
	struct km_topic *topic;
	enum stage stage;
	struct km_walk walk;
	struct km_recovery recovery;
};

struct km_tending {
	struct km_work work;
	struct km_broker *broker;
	TAILQ_HEAD(, km_topic) due;
	struct tending now;
};

static bool may_repair(const struct km_topic *topic)
{
	return topic->broker->config->automatic || topic->dead == 0;
}

/* Will no client touch the region any more? */
static bool all_are_through(const struct km_topic *topic)
{
	const struct km_member *member;

	if (topic->publishers + topic->subscribers > 0)
		return false;
	LIST_FOREACH (member, &topic->members, of_topic)
		if (member->kept.state == KM_ENDPOINT_LEAVING && !km_member_is_quiet(member))
			return false;
	return true;
}

static bool is_over(const struct km_topic *topic)
{
	return may_repair(topic) && !km_lifetime_keeps(topic) && all_are_through(topic);
}

/* Decides what is to be done with what there is at this moment. */
static enum stage judge(struct tending *now)
{
	struct km_topic *topic = now->topic;

	/* The losses of the gone are kept first: draining their rings changes them. */
	km_keep_commit(topic->broker);
	topic->dirty = false;
	km_walk_rewind(&now->walk);
	if (topic->kept.quarantined) {
		km_topic_keep_quarantined(topic);
		return UNSEEN;
	}
	if (is_over(topic)) {
		km_topic_forget_name(topic);
		return UNSEEN;
	}
	/* A publisher may have died between its commit and its wake. That is nothing to keep for
	 * the operator: the subscriber would sleep on beside its message. */
	if (!may_repair(topic))
		km_live_wake_all(&topic->region);
	now->recovery = (struct km_recovery){ .what = may_repair(topic) ? KM_REPAIR_ALL : 0 };
	return PASS;
}

/* Goes on with the topic's pass. False: the pass is over. */
static bool go_on_with_pass(struct tending *now, uint64_t work)
{
	struct km_topic *topic = now->topic;
	int r = km_recovery_run(&now->recovery, topic, work);

	if (r > 0)
		return true;
	if (now->recovery.settled > 0)
		km_tend_look_again(topic);
	if (r < 0 && r != -ESTALE) {
		topic->dirty = true;
		km_log(LOG_WARNING | KM_EVENT_CANT_RECONCILE, NULL, topic,
			"can't reconcile now: %s", strerror(-r));
	}
	return false;
}

static bool watch_some(struct tending *now, uint64_t work)
{
	int64_t clock = km_clock_ns();
	struct km_member *member = NULL;

	while (work-- > 0 && (member = km_walk_next(&now->walk))) {
		/* the member had left, and no member that has to be looked at can have changed that
		 * since */
		if (member->kept.state == KM_ENDPOINT_LEAVING &&
			member->session->kept.state == KM_SESSION_DEAD &&
			!km_member_is_quiet(member))
			km_leave_die(member);
		if (member->kept.state != KM_ENDPOINT_DEAD)
			km_watch_look(member, clock);
	}
	return member != NULL;
}

static void begin(struct tending *now, struct km_topic *topic)
{
	*now = (struct tending){ .topic = topic, .stage = topic->watched ? WATCH : JUDGE };
	topic->due = false;
	topic->watched = false;
	topic->tended = true;
	km_walk_begin(&now->walk, topic);
}

static void end(struct tending *now)
{
	struct km_topic *topic = now->topic;

	if (!topic)
		return;
	km_recovery_end(&now->recovery);
	topic->tended = false;
	now->topic = NULL;
	km_walk_end(&now->walk);
}

/* Goes on with a topic. False: that was all. */
static bool go_on(struct tending *now, uint64_t work)
{
	bool more = false;

	if (now->stage == WATCH) {
		if (watch_some(now, work))
			return true;
		now->stage = JUDGE;
	}
	if (now->stage == JUDGE)
		now->stage = judge(now);
	if (now->stage == PASS)
		more = go_on_with_pass(now, work);
	else
		more = km_recovery_settle_unseen(&now->walk, work);
	if (!more && now->stage == UNSEEN)
		now->topic->dirty |= now->topic->leaving > 0;
	if (!more)
		end(now);
	return more;
}

static unsigned queue_of(const struct km_topic *topic)
{
	return km_recovery_work(topic) > SMALL_WORK;
}

static bool on_turn(struct km_work *work)
{
	struct km_tending *tending = (struct km_tending *)work;
	struct km_topic *topic = TAILQ_FIRST(&tending->due);

	if (!tending->now.topic) {
		if (!topic)
			return false;
		TAILQ_REMOVE(&tending->due, topic, in_due);
		begin(&tending->now, topic);
	}
	go_on(&tending->now, KM_PIECE);
	return tending->now.topic || !TAILQ_EMPTY(&tending->due);
}

void km_tend_soon(struct km_topic *topic)
{
	struct km_tending *tending;

	if (topic->due)
		return;
	topic->due = true;
	topic->queue = queue_of(topic);
	tending = topic->broker->tending[topic->queue];
	TAILQ_INSERT_TAIL(&tending->due, topic, in_due);
	km_turn_add(&topic->broker->turns, &tending->work);
}

static void unqueue(struct km_topic *topic)
{
	if (topic->due)
		TAILQ_REMOVE(&topic->broker->tending[topic->queue]->due, topic, in_due);
	topic->due = false;
}

/* The turns in which the topic is being tended, if they can be finished at once; or null. */
static struct tending *find_turns(const struct km_topic *topic)
{
	struct tending *now = &topic->broker->tending[0]->now;

	return now->topic == topic && (now->recovery.active || !topic->repaired) ? now : NULL;
}

/* Frees the topic's name: another topic may be made under it, however long this one takes to go. */
static void free_name(struct km_topic *topic)
{
	if (topic->kept.named && is_over(topic))
		km_topic_forget_name(topic);
}

void km_tend_left(struct km_topic *topic)
{
	free_name(topic);
	km_tend_soon(topic);
}

void km_tend(struct km_topic *topic)
{
	struct tending now, *turns = find_turns(topic);

	free_name(topic);
	if (queue_of(topic) != 0 || (!turns && (topic->tended || topic->repaired))) {
		km_tend_soon(topic);
		return;
	}
	/* the turns under way may have begun before what is to be seen now */
	while (turns && go_on(turns, SMALL_WORK))
		;
	unqueue(topic);
	begin(&now, topic);
	while (go_on(&now, SMALL_WORK))
		;
}

bool km_topic_is_tended(const struct km_topic *topic)
{
	return topic->due || topic->tended;
}

void km_tend_forget(struct km_topic *topic)
{
	unqueue(topic);
	if (topic->looks_left > 0)
		LIST_REMOVE(topic, in_again);
	topic->looks_left = 0;
}

int km_tend_init(struct km_broker *broker)
{
	for (unsigned i = 0; i < 2; i++) {
		struct km_tending *tending = calloc(1, sizeof *tending);

		if (!tending)
			return -ENOMEM;
		tending->work.step = on_turn;
		tending->broker = broker;
		TAILQ_INIT(&tending->due);
		broker->tending[i] = tending;
	}
	return 0;
}

void km_tend_deinit(struct km_broker *broker)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!broker->tending[i])
			continue;
		km_turn_remove(&broker->turns, &broker->tending[i]->work);
		end(&broker->tending[i]->now);
		while (!TAILQ_EMPTY(&broker->tending[i]->due))
			unqueue(TAILQ_FIRST(&broker->tending[i]->due));
		free(broker->tending[i]);
		broker->tending[i] = NULL;
	}
}

static void arm_again(struct km_broker *broker)
{
	struct timeval wait = { 0, broker->again_ms * 1000 };

	evtimer_add(broker->again_event, &wait);
}

void km_tend_look_again(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (topic->looks_left == 0)
		LIST_INSERT_HEAD(&broker->again, topic, in_again);
	topic->looks_left = LOOKS_AGAIN;
	broker->again_ms = AGAIN_FIRST_MS;
	arm_again(broker);
}

void km_tend_on_again(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	struct km_topic *topic, *next;

	for (topic = LIST_FIRST(&broker->again); topic; topic = next) {
		next = LIST_NEXT(topic, in_again);
		km_tend_soon(topic);
		if (--topic->looks_left == 0)
			LIST_REMOVE(topic, in_again);
	}
	km_broker_sweep(broker);
	if (!LIST_EMPTY(&broker->again) && !evtimer_pending(broker->again_event, NULL)) {
		if (broker->again_ms < AGAIN_LAST_MS)
			broker->again_ms *= 4;
		arm_again(broker);
	}
}
