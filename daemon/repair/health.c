/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health: what the broker looks at without being asked, a bounded share each tick.
 *
 *   sessions   a share: does the process still map its memory (execve leaves the pidfd alive)?
 *   topics     first those that a pass left something in, then whose turn it is, until the
 *              tick's work is done
 *
 * Ten thousand topics cost no more per tick than ten: they have their turn less often.
 */
#include "daemon/repair/health.h"
#include "common/clock.h"
#include "daemon/peer/session.h"
#include "daemon/peer/unread.h"
#include "daemon/repair/death.h"
#include "daemon/repair/recover.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
#include "daemon/run/systemd.h"
#include "daemon/topic/topic.h"

#define SESSIONS_PER_TICK 256
/* Slots, cells and members that a tick looks at; the last topic may go over it. A topic's turn
 * alone costs as much as so many of them: ten thousand small topics are not for one tick. */
#define WORK_PER_TICK  (1u << 17)
#define WORK_PER_TOPIC 128

static void look_at_sessions(struct km_broker *broker, int64_t now)
{
	static uint64_t tick;
	uint64_t shares = 1 + broker->accounts.used[KM_CLIENTS] / SESSIONS_PER_TICK;
	struct km_session *session;

	tick++;
	LIST_FOREACH (session, &broker->sessions, next) {
		if (session->kept.state != KM_SESSION_DEAD &&
			session->kept.id % shares == tick % shares)
			km_death_check(session);
	}
}

/* Has the topic tended in turns. Returns how much there is to look at. */
static uint64_t look_at_topic(struct km_topic *topic)
{
	topic->watched = true;
	km_tend_soon(topic);
	return WORK_PER_TOPIC + km_recovery_work(topic);
}

static void look_at_topics(struct km_broker *broker)
{
	uint64_t work = 0;
	struct km_topic *topic, *first;

	TAILQ_FOREACH (topic, &broker->topics, in_all)
		if (topic->dirty && work < WORK_PER_TICK)
			work += look_at_topic(topic);
	first = topic = broker->health_next ? broker->health_next : TAILQ_FIRST(&broker->topics);
	while (topic && work < WORK_PER_TICK) {
		work += look_at_topic(topic);
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
	km_unread_settle(broker);
	km_broker_sweep(broker);
	look_at_topics(broker);
	km_broker_sweep(broker);
	km_systemd_status(broker);
	km_log_tell_suppressed(now);
}
