/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for topics: see wait.h. */
#include <errno.h>

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/agreement.h"
#include "daemon/serve/awaited.h"
#include "daemon/serve/enter.h"
#include "daemon/serve/hold.h"
#include "daemon/serve/question.h"
#include "daemon/serve/wait.h"
#include "daemon/topic/join.h"
#include "daemon/topic/topic.h"

#define LATE_A_LOOK 256
#define LATE_MIN_MS 1u
#define LATE_MAX_MS 64u

static bool serve_next(struct km_work *work);

static void answer(struct km_session *session, uint64_t id)
{
	struct km_msg_waits answer = { .header.op = KM_OP_WAITS, .endpoint = id };

	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_wait_keep(const struct km_wanted *wanted, const struct km_msg_attach *request)
{
	struct km_session *session = wanted->session;
	struct km_kept_wait kept = { .session_id = session->kept.id, .request = *request };
	char text[KM_WIRE_TEXT_SIZE];
	int r = km_join_check(session, text, sizeof text);

	if (r < 0) {
		km_session_refuse(session, NULL, r, "%s", text);
		return;
	}
	kept.id = ++session->broker->next_member;
	struct km_wait *wait = km_awaited_add(session, &wanted->key, &kept, serve_next);
	if (!wait) {
		km_session_refuse(session, NULL, -ENOMEM, "no memory to wait");
		return;
	}
	km_awaited_keep(wait);
	km_keep_done(session, wanted->op, kept.id);
	km_log(LOG_DEBUG, session, NULL, "waits for %s '%s'", km_kind_name(wanted->key.kind),
		wanted->key.name);
	answer(session, kept.id);
}

bool km_wait_answer_again(struct km_session *session, uint64_t id)
{
	if (!km_awaited_find_wait(session, id))
		return false;
	answer(session, id);
	return true;
}

/* --- serving ---------------------------------------------------------------------------- */

/* Writes down that this broker is about to serve the wait. Returns how many brokers have ended at
 * it. */
static uint32_t count_try(struct km_wait *wait)
{
	uint32_t before = wait->kept.tried++;

	km_awaited_keep(wait);
	km_keep_commit(wait->session->broker);
	return before;
}

/* May the wait's client be sent one more answer with descriptors? */
static bool may_answer(struct km_session *session)
{
	return !km_unread_look(session->broker, &session->unread) && !km_hold_is_full(session);
}

/* Serves a wait whose topic is there. False: its answer has to wait. */
static bool attach(struct km_wait *wait, struct km_topic *topic)
{
	struct km_session *session = wait->session;
	struct km_wanted wanted;
	struct km_member *member;

	if (km_wanted_attach(session, &wait->kept.request, &wanted) < 0 ||
		!km_agreement_allows(&wanted, topic))
		return true;
	wanted.waited = wait->kept.id;
	if (!wanted.observes) {
		member = km_enter(&wanted, topic);
		if (member && !may_answer(session))
			return false;
		if (member)
			km_enter_answer(&wanted, member);
	} else if (may_answer(session))
		km_enter_observe(&wanted, topic);
	else
		km_session_refuse(session, topic, -EDQUOT,
			"earlier answers with descriptors haven't been read");
	return true;
}

static void arm(struct km_broker *broker, unsigned ms)
{
	struct timeval after = { 0, ms * 1000 };

	broker->late_ms = ms;
	evtimer_add(broker->late_event, &after);
}

static void answer_later(struct km_wait *wait)
{
	struct km_broker *broker = wait->session->broker;

	km_awaited_leave_queue(wait);
	if (TAILQ_EMPTY(&broker->late))
		arm(broker, LATE_MIN_MS);
	TAILQ_INSERT_TAIL(&broker->late, wait, queued);
}

/* A client whose answer doesn't get out is disconnected, in an event of its own. One that is going has no
 * such event any more. */
static void look_whether_doomed(struct km_session *session)
{
	if (session->doomed && !session->parting.is_over)
		event_active(session->socket_event, EV_READ, 0);
}

/* Serves a wait. The state has it until the answer is out: else the next broker would have a member
 * whose client waits for ever. */
static void serve(struct km_wait *wait, struct km_topic *topic)
{
	struct km_session *session = wait->session;
	const uint32_t serial = session->serial;
	bool is_over = true;

	session->serial = wait->kept.request.header.serial;
	km_awaited_count(wait, false);
	if (session->parting.is_over)
		; /* nobody waits any more */
	else if (wait->awaited->restored && count_try(wait) > 0)
		km_session_refuse(session, topic, -EIO,
			"the broker has ended at this SUBSCRIBE before: it is not tried again");
	else
		is_over = attach(wait, topic);
	session->serial = serial;
	look_whether_doomed(session);
	if (is_over)
		km_awaited_free_wait(wait);
	else
		answer_later(wait);
}

static void answer_late(struct km_wait *wait)
{
	struct km_session *session = wait->session;
	const uint32_t serial = session->serial;
	struct km_member *member = km_enter_find(session, wait->kept.id);

	session->serial = wait->kept.request.header.serial;
	if (member)
		km_enter_answer_again(session, &wait->kept.request, member);
	else
		km_session_refuse(session, NULL, -ESTALE, "the topic was given up");
	session->serial = serial;
	look_whether_doomed(session);
	km_awaited_free_wait(wait);
}

static void on_late(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	struct km_wait *wait;
	bool any = false;

	for (int i = 0; i < LATE_A_LOOK && (wait = TAILQ_FIRST(&broker->late)); i++) {
		TAILQ_REMOVE(&broker->late, wait, queued);
		TAILQ_INSERT_TAIL(&broker->late, wait, queued);
		if (wait->session->parting.is_over || !may_answer(wait->session))
			continue;
		answer_late(wait);
		any = true;
	}
	if (!TAILQ_EMPTY(&broker->late))
		arm(broker, any                             ? LATE_MIN_MS
			    : broker->late_ms < LATE_MAX_MS ? 2 * broker->late_ms
							    : LATE_MAX_MS);
	km_broker_sweep(broker);
}

static bool serve_next(struct km_work *work)
{
	struct km_awaited *awaited = (struct km_awaited *)work;
	struct km_topic *topic = km_topic_find(awaited->broker, &awaited->key);
	struct km_wait *wait = TAILQ_FIRST(&awaited->waits);
	bool is_last = !TAILQ_NEXT(wait, queued);

	/* the topic was taken away again: these wait for the next one of that name */
	if (!topic)
		return false;
	serve(wait, topic);
	return !is_last;
}

void km_wait_serve(const struct km_topic *topic)
{
	struct km_awaited *awaited = km_awaited_find(topic->broker, &topic->kept.key);
	int64_t end = km_clock_ns() + KM_SHARE_NS;

	if (!awaited)
		return;
	while (serve_next(&awaited->work))
		if (km_clock_ns() >= end) {
			km_turn_add(&topic->broker->turns, &awaited->work);
			return;
		}
}

bool km_wait_is_awaited(const struct km_topic *topic)
{
	return topic->kept.named && km_awaited_find(topic->broker, &topic->kept.key);
}

static bool is_under_way(struct km_question *question)
{
	return km_wait_is_awaited(question->walk.topic);
}

void km_wait_hold(struct km_session *session, struct km_topic *topic)
{
	km_question_wait_while(session, topic, is_under_way);
}

/* --- ends, and the next broker ------------------------------------------------------------ */

void km_wait_end(struct km_session *session, uint64_t id)
{
	struct km_wait *wait = km_awaited_find_wait(session, id);

	if (wait)
		km_awaited_free_wait(wait);
}

bool km_wait_forget(struct km_session *session, unsigned most)
{
	while (most-- > 0 && !LIST_EMPTY(&session->waits))
		km_awaited_free_wait(LIST_FIRST(&session->waits));
	return !LIST_EMPTY(&session->waits);
}

void km_wait_restore(struct km_broker *broker, struct km_session *session, uint32_t place,
	const struct km_kept_wait *kept)
{
	const bool is_good = km_kept_wait_is_good(kept), hears = session && session->socket >= 0;
	struct km_wait *wait = NULL;
	struct km_wanted wanted;

	if (!is_good)
		km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, session, NULL,
			"a wait for a topic can't be taken back: %s", km_keep_reason(-EPROTO));
	if (hears)
		session->serial = kept->request.header.serial;
	if (hears && !is_good)
		km_session_refuse(session, NULL, -EIO,
			"what the broker before had kept of this SUBSCRIBE is spoilt: ask again");
	else if (hears && km_wanted_attach(session, &kept->request, &wanted) == 0) {
		wait = km_awaited_add(session, &wanted.key, kept, serve_next);
		if (!wait)
			km_session_refuse(session, NULL, -ENOMEM, "no memory to wait");
	}
	if (!wait) {
		km_state_drop(broker->state, KM_STATE_WAITS, &place);
		return;
	}
	wait->kept_at = place;
	wait->awaited->restored = true;
}

void km_wait_catch_up(struct km_broker *broker)
{
	struct km_session *session;
	struct km_awaited *awaited;
	struct km_wait *wait, *next;

	/* members may have come of waits whose answers have not got out */
	LIST_FOREACH (session, &broker->sessions, next)
		for (wait = LIST_FIRST(&session->waits); wait; wait = next) {
			next = LIST_NEXT(wait, of_session);
			if (!km_enter_find(session, wait->kept.id))
				continue;
			km_awaited_count(wait, false);
			answer_later(wait);
		}
	for (int i = 0; i < KM_TOPIC_BUCKETS; i++)
		LIST_FOREACH (awaited, &broker->waits[i], in_bucket)
			if (km_topic_find(broker, &awaited->key))
				km_turn_add(&broker->turns, &awaited->work);
}

int km_wait_init(struct km_broker *broker)
{
	TAILQ_INIT(&broker->late);
	broker->late_event = evtimer_new(broker->base, on_late, broker);
	return broker->late_event ? 0 : -ENOMEM;
}

void km_wait_deinit(struct km_broker *broker)
{
	if (broker->late_event)
		event_free(broker->late_event);
	broker->late_event = NULL;
}
