/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health: what the broker looks at without being asked, a bounded share each tick.
 *
 *   sessions   a share: does the process still map its memory (execve leaves the pidfd alive)?
 *              those that never said hello are sent away
 *   topics     first those that a pass left something in, then whose turn it is, until the
 *              tick's work is done
 *
 * Ten thousand topics cost no more per tick than ten: they have their turn less often.
 */
#include "health.h"
#include "death.h"
#include "log.h"
#include "recover.h"
#include "session.h"
#include "systemd.h"
#include "waiter.h"
#include "watch.h"

#define LOOKS_AGAIN       4
#define AGAIN_FIRST_MS    1
#define AGAIN_LAST_MS     64
#define SESSIONS_PER_TICK 256
#define HELLO_LIMIT_NS    INT64_C(10000000000)
/* Slots and cells that a tick looks at; the last topic may go over it. A topic's turn alone costs as
 * much as that many: ten thousand small ones are not for one tick. */
#define WORK_PER_TICK  (1u << 17)
#define WORK_PER_TOPIC 128

static void look_at_sessions(struct km_broker *broker, int64_t now)
{
	static uint64_t tick;
	uint64_t shares = 1 + broker->used[KM_CLIENTS] / SESSIONS_PER_TICK;
	struct km_session *session;

	tick++;
	LIST_FOREACH (session, &broker->sessions, next) {
		if (session->state == KM_SESSION_NEW && now - session->since_ns > HELLO_LIMIT_NS) {
			km_log(LOG_INFO | KM_EVENT_CLIENT_SENT_AWAY, session, NULL,
				"sent away: it never said hello");
			km_session_disconnect(session);
		} else if (session->state != KM_SESSION_DEAD &&
			   session->id % shares == tick % shares) {
			km_death_check(session);
		}
	}
}

/* Returns the slots and cells that it looked at. */
static uint64_t look_at_topic(struct km_topic *topic, int64_t now)
{
	const struct km_geometry *geometry = &topic->region.geometry;

	km_watch_update(topic, now);
	km_topic_tend(topic);
	uint64_t rings = topic->region.shared ? 1 : topic->region.ring_count;

	return WORK_PER_TOPIC + geometry->pool_size + rings * geometry->ring_capacity;
}

static void look_at_topics(struct km_broker *broker, int64_t now)
{
	uint64_t work = 0;
	struct km_topic *topic, *first;

	TAILQ_FOREACH (topic, &broker->topics, in_all)
		if (topic->dirty && work < WORK_PER_TICK)
			work += look_at_topic(topic, now);
	first = topic = broker->health_next ? broker->health_next : TAILQ_FIRST(&broker->topics);
	while (topic && work < WORK_PER_TICK) {
		work += look_at_topic(topic, now);
		topic = TAILQ_NEXT(topic, in_all);
		if (!topic)
			topic = TAILQ_FIRST(&broker->topics);
		if (topic == first)
			break;
	}
	broker->health_next = topic;
}

void km_health_on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	int64_t now = km_clock_ns();

	look_at_sessions(broker, now);
	km_broker_sweep(broker);
	look_at_topics(broker, now);
	km_broker_sweep(broker);
	km_systemd_status(broker);
	km_log_tell_suppressed(now);
}

static void arm_again(struct km_broker *broker)
{
	struct timeval wait = { 0, broker->again_ms * 1000 };

	evtimer_add(broker->again_event, &wait);
}

void km_health_look_again(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	topic->looks_left = LOOKS_AGAIN;
	broker->again_ms = AGAIN_FIRST_MS;
	arm_again(broker);
}

void km_health_on_again(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	struct km_topic *topic;
	bool more = false;

	TAILQ_FOREACH (topic, &broker->topics, in_all)
		if (topic->looks_left > 0) {
			topic->looks_left--;
			km_topic_tend(topic);
			more |= topic->looks_left > 0;
		}
	km_broker_sweep(broker);
	if (more && !evtimer_pending(broker->again_event, NULL)) {
		if (broker->again_ms < AGAIN_LAST_MS)
			broker->again_ms *= 4;
		arm_again(broker);
	}
}
