/* SPDX-License-Identifier: Apache-2.0 */
/* The end of topics: see ending.h. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/memory/atomic.h"
#include "daemon/keep/keep.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/ending.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/payer.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/segments.h"
#include "daemon/topic/topic.h"

/* The sweep at hand doesn't look at the topic any more. */
static void forget_idle(struct km_topic *topic)
{
	if (topic->idle)
		LIST_REMOVE(topic, in_idle);
	topic->idle = false;
}

/* Neither the sweep nor the timer looks at the topic any more. */
static void forget(struct km_topic *topic)
{
	forget_idle(topic);
	if (topic->linger_event)
		event_free(topic->linger_event);
	topic->linger_event = NULL;
}

/* Takes the topic out of the broker's topics. Its memory still counts, until it is freed. */
static void end(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (topic->ended)
		return;
	if (broker->health_next == topic)
		broker->health_next = TAILQ_NEXT(topic, in_all);
	if (broker->list_next == topic)
		broker->list_next = NULL;
	broker->handlers->tend_forget(topic);
	broker->handlers->notice_forget_topic(topic);
	km_topic_forget_name(topic);
	LIST_REMOVE(topic, in_bucket);
	forget(topic);
	TAILQ_REMOVE(&broker->topics, topic, in_all);
	TAILQ_INSERT_TAIL(&broker->ended, topic, in_all);
	broker->ended_count++;
	uint64_t bytes = topic->bytes;
	km_payer_discharge(topic);
	topic->bytes = bytes;
	km_account_take(topic->account, KM_BYTES, bytes);
	topic->ended = true;
}

void km_ending_free(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	end(topic);
	forget(topic);
	km_keep_forget_topic(topic);
	TAILQ_REMOVE(&broker->ended, topic, in_all);
	broker->ended_count--;
	km_topic_add_numbers(&broker->freed, &topic->kept.gone);
	km_payer_discharge(topic);
	if (!broker->ending) /* clients go on without it */
		km_segments_give_back(topic);
	km_account_unref(topic->account);
	km_segments_close(topic);
	km_reliable_forget(topic);
	free(topic->ids_taken);
	free(topic);
}

static void on_linger(evutil_socket_t fd, short what, void *userdata)
{
	struct km_topic *topic = userdata;
	struct km_broker *broker = topic->broker;

	if (topic->ended) {
		km_ending_free(topic);
	} else {
		topic->linger_over = topic->kept.quarantined || LIST_EMPTY(&topic->members);
		km_lifetime_look(topic);
	}
	km_broker_sweep(broker);
}

/* Without its timer the topic doesn't linger: nothing would ever end it. */
static bool start_timer(struct km_topic *topic, uint64_t ns)
{
	struct timeval after = { (time_t)(ns / 1000000000), (suseconds_t)(ns % 1000000000 / 1000) };

	if (!topic->linger_event)
		topic->linger_event = evtimer_new(topic->broker->base, on_linger, topic);
	return topic->linger_event && event_add(topic->linger_event, &after) == 0;
}

/* Looks at an idle topic in which somebody still is. */
static void look_at_used(struct km_topic *topic)
{
	if (topic->kept.named)
		return;
	km_payer_settle(topic);
	if (!topic->kept.quarantined || topic->kept.emptied)
		return;
	if (topic->linger_over)
		km_segments_empty_quarantined(topic);
	else if (!topic->linger_event || !event_pending(topic->linger_event, EV_TIMEOUT, NULL))
		topic->linger_over = !start_timer(topic, KM_QUARANTINE_NS);
}

/* Ends or frees a topic that nobody has any more but observers. */
static void end_or_free(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	/* observers learn by this that the topic has ended */
	km_store(L3, seq_cst, &topic->region.header->live, KM_LIVE_QUARANTINED);
	if (!topic->kept.observed) {
		km_ending_free(topic);
		return;
	}
	end(topic);
	if (!start_timer(topic, KM_OBSERVERS_NS))
		km_ending_free(topic);
	else if (broker->ended_count > KM_ENDED_MAX)
		km_ending_free(TAILQ_FIRST(&broker->ended));
}

bool km_ending_hurry(struct km_broker *broker, struct km_account *account, int64_t end)
{
	struct km_topic *topic, *next;
	bool any = false;

	for (topic = TAILQ_FIRST(&broker->ended); topic; topic = next) {
		next = TAILQ_NEXT(topic, in_all);
		if (topic->account != account)
			continue;
		km_ending_free(topic);
		any = true;
		if (km_clock_ns() >= end)
			return true;
	}
	LIST_FOREACH (topic, &broker->nameless, in_bucket) {
		if (!topic->kept.quarantined || topic->kept.emptied || topic->account != account)
			continue;
		km_segments_empty_quarantined(topic);
		any = true;
		if (km_clock_ns() >= end)
			break;
	}
	return any;
}

static void look_at_idle(struct km_topic *topic)
{
	forget_idle(topic);
	if (!LIST_EMPTY(&topic->members)) {
		look_at_used(topic);
		return;
	}
	/* a walk through this topic looks at it again when the walk ends (walk.c) */
	if (!LIST_EMPTY(&topic->walks))
		return;
	if (km_lifetime_keeps(topic) && (topic->kept.lifetime.persistent ||
						start_timer(topic, topic->kept.lifetime.linger_ns)))
		return;
	/* not logged at the broker's end: the next broker may still have the topic */
	km_log(LOG_DEBUG | KM_EVENT_TOPIC_FREED, NULL, topic, "topic freed");
	end_or_free(topic);
}

bool km_ending_sweep(struct km_broker *broker, int64_t end)
{
	struct km_topic *topic = LIST_FIRST(&broker->idle);

	while (topic) {
		look_at_idle(topic);
		topic = LIST_FIRST(&broker->idle);
		if (km_clock_ns() >= end)
			break;
	}
	return topic != NULL;
}
