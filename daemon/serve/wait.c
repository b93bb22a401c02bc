/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for topics: see wait.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/agreement.h"
#include "daemon/serve/enter.h"
#include "daemon/serve/hold.h"
#include "daemon/serve/question.h"
#include "daemon/serve/wait.h"
#include "daemon/topic/join.h"
#include "daemon/topic/topic.h"

/* A name that is waited for, and all that wait for it: the first one came first. */
struct km_awaited {
	struct km_work work;
	LIST_ENTRY(km_awaited) in_bucket;
	struct km_broker *broker;
	struct km_topic_key key;
	TAILQ_HEAD(, km_wait) waits;
	bool restored; /* the broker before may have ended at one of them */
};

struct km_wait {
	TAILQ_ENTRY(km_wait) queued; /* for its topic; then, if need be, for its answer */
	LIST_ENTRY(km_wait) of_session;
	/* Null: a member has come of it, and its answer waits (broker->late). */
	struct km_awaited *awaited;
	struct km_session *session;
	bool counts; /* among the endpoints of its client */
	struct km_kept_wait kept;
	uint32_t kept_at; /* its place in the state, or 0 */
};

#define LATE_A_LOOK 256
#define LATE_MIN_MS 1u
#define LATE_MAX_MS 64u

static bool serve_next(struct km_work *work);

static struct km_awaited *find(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_awaited *awaited;

	LIST_FOREACH (awaited, km_topic_wait_bucket(broker, key), in_bucket)
		if (km_topic_key_equals(&awaited->key, key))
			break;
	return awaited;
}

static struct km_awaited *find_or_make(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_awaited *awaited = find(broker, key);

	if (!awaited && (awaited = calloc(1, sizeof *awaited))) {
		awaited->work.step = serve_next;
		awaited->broker = broker;
		awaited->key = *key;
		TAILQ_INIT(&awaited->waits);
		LIST_INSERT_HEAD(km_topic_wait_bucket(broker, key), awaited, in_bucket);
	}
	return awaited;
}

static void keep(struct km_wait *wait)
{
	km_keep_put(wait->session->broker, KM_STATE_WAITS, &wait->kept_at, &wait->kept,
		sizeof wait->kept, wait->kept.id);
}

/* It counts as one of its client's endpoints, until a member is about to come of it. */
static void count(struct km_wait *wait, bool counts)
{
	struct km_session *session = wait->session;

	if (counts == wait->counts)
		return;
	wait->counts = counts;
	if (counts) {
		session->wait_count++;
		km_account_take(session->account, KM_ENDPOINTS, 1);
	} else {
		session->wait_count--;
		km_account_give(session->account, KM_ENDPOINTS, 1);
	}
}

/* A name that nobody waits for any more goes as well. */
static void leave_queue(struct km_wait *wait)
{
	struct km_broker *broker = wait->session->broker;
	struct km_awaited *awaited = wait->awaited;

	wait->awaited = NULL;
	if (!awaited) {
		TAILQ_REMOVE(&broker->late, wait, queued);
		return;
	}
	TAILQ_REMOVE(&awaited->waits, wait, queued);
	if (TAILQ_EMPTY(&awaited->waits)) {
		km_turn_remove(&broker->turns, &awaited->work);
		LIST_REMOVE(awaited, in_bucket);
		free(awaited);
	}
}

static void free_wait(struct km_wait *wait)
{
	count(wait, false);
	km_state_drop(wait->session->broker->state, KM_STATE_WAITS, &wait->kept_at);
	leave_queue(wait);
	LIST_REMOVE(wait, of_session);
	free(wait);
}

/* Null: no memory. */
static struct km_wait *add(
	struct km_session *session, const struct km_topic_key *key, const struct km_kept_wait *kept)
{
	struct km_wait *wait = calloc(1, sizeof *wait);
	struct km_awaited *awaited = wait ? find_or_make(session->broker, key) : NULL;

	if (!awaited) {
		free(wait);
		return NULL;
	}
	wait->awaited = awaited;
	wait->session = session;
	wait->kept = *kept;
	TAILQ_INSERT_TAIL(&awaited->waits, wait, queued);
	LIST_INSERT_HEAD(&session->waits, wait, of_session);
	count(wait, true);
	return wait;
}

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
	struct km_wait *wait = add(session, &wanted->key, &kept);
	if (!wait) {
		km_session_refuse(session, NULL, -ENOMEM, "no memory to wait");
		return;
	}
	keep(wait);
	km_keep_done(session, wanted->op, kept.id);
	km_log(LOG_DEBUG, session, NULL, "waits for %s '%s'", km_kind_name(wanted->key.kind),
		wanted->key.name);
	answer(session, kept.id);
}

static struct km_wait *find_of(const struct km_session *session, uint64_t id)
{
	struct km_wait *wait;

	LIST_FOREACH (wait, &session->waits, of_session)
		if (wait->kept.id == id)
			break;
	return wait;
}

bool km_wait_answer_again(struct km_session *session, uint64_t id)
{
	if (!find_of(session, id))
		return false;
	answer(session, id);
	return true;
}

/* --- serving ---------------------------------------------------------------------------- */

/* The broker before this one may have ended at it. Returns how many have. */
static uint32_t count_try(struct km_wait *wait)
{
	uint32_t before = wait->kept.tried++;

	keep(wait);
	km_keep_commit(wait->session->broker);
	return before;
}

/* May its client be sent one more answer with descriptors? */
static bool may_answer(struct km_session *session)
{
	return !km_unread_look(session->broker, &session->unread) && !km_hold_is_full(session);
}

/* The topic is there: what was asked for is decided and done. False: its answer has to wait. */
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

	leave_queue(wait);
	if (TAILQ_EMPTY(&broker->late))
		arm(broker, LATE_MIN_MS);
	TAILQ_INSERT_TAIL(&broker->late, wait, queued);
}

/* Its answer doesn't get out: its connection ends, in an event of its own. */
static void look_whether_doomed(struct km_session *session)
{
	if (session->doomed)
		event_active(session->socket_event, EV_READ, 0);
}

/* The state has it until the answer is out: else the next broker would have a member whose client waits
 * for ever. */
static void serve(struct km_wait *wait, struct km_topic *topic)
{
	struct km_session *session = wait->session;
	const uint32_t serial = session->serial;
	bool is_over = true;

	session->serial = wait->kept.request.header.serial;
	count(wait, false);
	if (wait->awaited->restored && count_try(wait) > 0)
		km_session_refuse(session, topic, -EIO,
			"the broker has ended at this SUBSCRIBE before: it is not tried again");
	else
		is_over = attach(wait, topic);
	session->serial = serial;
	look_whether_doomed(session);
	if (is_over)
		free_wait(wait);
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
	free_wait(wait);
}

static void on_late(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	struct km_wait *wait;
	bool any = false;

	for (int i = 0; i < LATE_A_LOOK && (wait = TAILQ_FIRST(&broker->late)); i++) {
		TAILQ_REMOVE(&broker->late, wait, queued);
		TAILQ_INSERT_TAIL(&broker->late, wait, queued);
		if (!may_answer(wait->session))
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

	/* it was taken away again: they wait for the next one of that name */
	if (!topic)
		return false;
	serve(wait, topic);
	return !is_last;
}

void km_wait_serve(const struct km_topic *topic)
{
	struct km_awaited *awaited = find(topic->broker, &topic->kept.key);
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
	return topic->kept.named && find(topic->broker, &topic->kept.key);
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
	struct km_wait *wait = find_of(session, id);

	if (wait)
		free_wait(wait);
}

void km_wait_forget(struct km_session *session)
{
	while (!LIST_EMPTY(&session->waits))
		free_wait(LIST_FIRST(&session->waits));
}

void km_wait_restore(struct km_broker *broker, struct km_session *session, uint32_t place,
	const struct km_kept_wait *kept)
{
	struct km_wait *wait = NULL;
	struct km_wanted wanted;

	/* one that can't be is refused, if its client can be told so */
	if (session && session->socket >= 0 && km_kept_wait_is_good(kept)) {
		session->serial = kept->request.header.serial;
		if (km_wanted_attach(session, &kept->request, &wanted) == 0)
			wait = add(session, &wanted.key, kept);
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

	/* members may have come of them whose answers have not got out */
	LIST_FOREACH (session, &broker->sessions, next)
		for (wait = LIST_FIRST(&session->waits); wait; wait = next) {
			next = LIST_NEXT(wait, of_session);
			if (!km_enter_find(session, wait->kept.id))
				continue;
			count(wait, false);
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
