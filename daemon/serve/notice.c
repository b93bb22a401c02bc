/* SPDX-License-Identifier: Apache-2.0 */
/* Telling clients of changes: see notice.h. */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "common/clock.h"
#include "common/memory/atomic.h"
#include "common/ring/futex.h"
#include "daemon/peer/session.h"
#include "daemon/run/turn.h"
#include "daemon/serve/notice.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

#define GATHER_MS        10u
#define LATE_MS          1000u
#define SESSIONS_A_PIECE 256

struct km_notices {
	struct km_broker *broker;
	struct km_work work;
	struct event *timer;
	unsigned wait_ms;                    /* ms until the next round */
	TAILQ_HEAD(, km_topic) topics;       /* that have changed */
	struct km_walk walk;                 /* through the members of one of them */
	TAILQ_HEAD(, km_session) sessions;   /* that are to hear of it */
	unsigned session_count, round_count; /* all of these; those still to come in this round */
};

static void arm(struct km_notices *notices, unsigned ms)
{
	struct timeval after = { ms / 1000, ms % 1000 * 1000 };

	notices->wait_ms = ms;
	evtimer_add(notices->timer, &after);
}

static void add_session(struct km_notices *notices, struct km_session *session)
{
	if (session->has_news || session->socket < 0 || session->parting.is_over)
		return;
	session->has_news = true;
	TAILQ_INSERT_TAIL(&notices->sessions, session, in_news);
	notices->session_count++;
}

/* The news of a client that was hung up on go to its next connection. */
static void add_listener(struct km_notices *notices, struct km_session *session)
{
	struct km_session *next;

	add_session(notices, session);
	if (session->socket < 0)
		LIST_FOREACH (next, &notices->broker->sessions, next)
			if (next->socket >= 0 && km_session_follows(next, session))
				add_session(notices, next);
}

static void remove_session(struct km_notices *notices, struct km_session *session)
{
	TAILQ_REMOVE(&notices->sessions, session, in_news);
	session->has_news = false;
	notices->session_count--;
	if (notices->round_count > notices->session_count)
		notices->round_count = notices->session_count;
}

/* Looks at some members of the topics that have changed. Returns whether more are left. */
static bool walk_on(struct km_notices *notices)
{
	struct km_topic *topic = TAILQ_FIRST(&notices->topics);
	const struct km_member *member;

	if (!notices->walk.topic && !topic)
		return false;
	if (!notices->walk.topic) {
		km_notice_forget_topic(topic);
		km_walk_begin(&notices->walk, topic);
	}
	for (int i = 0; i < KM_PIECE; i++) {
		member = km_walk_next(&notices->walk);
		if (!member) {
			km_walk_end(&notices->walk);
			break;
		}
		if (member->kept.wants_events)
			add_listener(notices, member->session);
	}
	notices->round_count = notices->session_count;
	return true;
}

/* Has the client read all that it was sent? */
static bool has_read(const struct km_session *session)
{
	int unread;

	return ioctl(session->socket, SIOCOUTQ, &unread) < 0 || unread == 0;
}

static void tell_some(struct km_notices *notices)
{
	for (int i = 0; i < SESSIONS_A_PIECE && notices->round_count > 0; i++) {
		struct km_session *session = TAILQ_FIRST(&notices->sessions);

		notices->round_count--;
		remove_session(notices, session);
		if (session->socket >= 0 && has_read(session))
			km_session_tell(session, KM_NEWS_TOPICS_CHANGED);
		else
			add_session(notices, session); /* behind the others */
	}
}

static bool step(struct km_work *work)
{
	struct km_notices *notices = (void *)((char *)work - offsetof(struct km_notices, work));

	if (walk_on(notices))
		return true;
	tell_some(notices);
	if (notices->round_count > 0)
		return true;
	if (notices->session_count > 0)
		arm(notices, notices->wait_ms < LATE_MS / 2 ? 2 * notices->wait_ms : LATE_MS);
	return false;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct km_notices *notices = userdata;

	notices->round_count = notices->session_count;
	km_turn_add(&notices->broker->turns, &notices->work);
}

void km_notice_changed(struct km_topic *topic)
{
	struct km_notices *notices = topic->broker->notices;
	_Atomic uint32_t *changes = &topic->region.header->changes;

	km_add(M1, release, changes, 1);
	km_futex_wake(changes);
	if (topic->has_news)
		return;
	topic->has_news = true;
	/* No news are put off by this: neither those of an earlier topic, nor those for a client
	 * that hadn't read. */
	if (!evtimer_pending(notices->timer, NULL) || notices->wait_ms > GATHER_MS)
		arm(notices, GATHER_MS);
	TAILQ_INSERT_TAIL(&notices->topics, topic, in_news);
}

void km_notice_replaced(struct km_topic *successor)
{
	struct km_topic *topic;

	LIST_FOREACH (topic, &successor->broker->nameless, in_bucket) {
		if (!km_topic_key_equals(&topic->kept.key, &successor->kept.key))
			continue;
		km_store(M2, relaxed, &topic->region.header->fate,
			KM_FATE_UNLINKED | KM_FATE_REPLACED);
		km_notice_changed(topic);
	}
}

void km_notice_forget_topic(struct km_topic *topic)
{
	if (topic->has_news)
		TAILQ_REMOVE(&topic->broker->notices->topics, topic, in_news);
	topic->has_news = false;
}

void km_notice_forget_session(struct km_session *session)
{
	if (session->has_news)
		remove_session(session->broker->notices, session);
}

int km_notice_init(struct km_broker *broker)
{
	struct km_notices *notices = calloc(1, sizeof *notices);

	broker->notices = notices;
	if (!notices)
		return -ENOMEM;
	notices->broker = broker;
	notices->work.step = step;
	TAILQ_INIT(&notices->topics);
	TAILQ_INIT(&notices->sessions);
	notices->timer = evtimer_new(broker->base, on_timer, notices);
	return notices->timer ? 0 : -ENOMEM;
}

void km_notice_deinit(struct km_broker *broker)
{
	struct km_notices *notices = broker->notices;

	if (!notices)
		return;
	km_walk_end(&notices->walk);
	while (!TAILQ_EMPTY(&notices->topics))
		km_notice_forget_topic(TAILQ_FIRST(&notices->topics));
	while (!TAILQ_EMPTY(&notices->sessions))
		remove_session(notices, TAILQ_FIRST(&notices->sessions));
	km_turn_remove(&broker->turns, &notices->work);
	if (notices->timer)
		event_free(notices->timer);
	free(notices);
	broker->notices = NULL;
}
