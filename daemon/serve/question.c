/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that take several turns: see question.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/parting.h"
#include "daemon/repair/tend.h"
#include "daemon/run/turn.h"
#include "daemon/serve/question.h"
#include "daemon/topic/ending.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

void km_question_drop(struct km_session *session)
{
	struct km_question *question = session->question;

	if (!question)
		return;
	session->question = NULL;
	km_turn_remove(&session->broker->turns, &question->work);
	if (question->end)
		question->end(question);
	km_walk_end(&question->walk);
	free(question);
}

void km_question_end(struct km_session *session)
{
	if (session->question && session->kept.tried.serial == session->serial) {
		session->kept.tried.times = 0;
		km_keep_session(session);
	}
	km_question_drop(session);
}

static bool on_turn(struct km_work *work)
{
	struct km_question *question = (struct km_question *)work;
	struct km_session *session = question->session;

	if (question->step(question))
		return true;
	bool anew = question->anew;
	km_question_drop(session);
	km_session_go_on(session, !anew);
	return false;
}

void km_question_ask(
	struct km_session *session, struct km_topic *topic, struct km_question *question)
{
	int64_t end = km_clock_ns() + KM_SHARE_NS;

	if (!question) {
		km_session_refuse(session, topic, -ENOMEM, "the broker has no memory");
		return;
	}
	session->question = question;
	question->session = session;
	question->work.step = on_turn;
	if (topic)
		km_walk_begin(&question->walk, topic);
	while (!question->anew && km_clock_ns() < end)
		if (!question->step(question)) {
			km_question_drop(session);
			return;
		}
	km_turn_add(&session->broker->turns, &question->work);
}

static void wait(struct km_session *session, struct km_topic *topic, struct km_question *question,
	bool (*step)(struct km_question *question))
{
	if (question) {
		question->step = step;
		question->anew = true;
	}
	km_question_ask(session, topic, question);
}

void km_question_wait_while(struct km_session *session, struct km_topic *topic,
	bool (*step)(struct km_question *question))
{
	wait(session, topic, calloc(1, sizeof(struct km_question)), step);
}

struct topic_question {
	struct km_question question;
	uint64_t since; /* km_parting_now() */
};

static bool is_under_way(struct km_question *question)
{
	const struct topic_question *asked = (struct topic_question *)question;

	return km_topic_is_tended(question->walk.topic) ||
	       km_parting_is_under_way(question->session->broker, NULL, asked->since);
}

void km_question_wait(struct km_session *session, struct km_topic *topic)
{
	struct topic_question *asked = calloc(1, sizeof *asked);

	if (asked)
		asked->since = km_parting_now(session->broker);
	session->waited = true;
	wait(session, topic, asked ? &asked->question : NULL, is_under_way);
}

struct room_question {
	struct km_question question;
	enum km_resource resource;
	uint64_t amount;
	uint64_t since; /* km_parting_now() */
};

/* Gives back some topics, those first that nobody has. */
static bool make_room(struct km_question *question)
{
	const struct room_question *room = (struct room_question *)question;
	struct km_account *account = question->session->account;
	struct km_broker *broker = question->session->broker;
	const int64_t end = km_clock_ns() + KM_SHARE_NS;
	char text[KM_WIRE_TEXT_SIZE];

	if (km_account_check(account, room->resource, room->amount, text, sizeof text) == 0)
		return false;
	if (!LIST_EMPTY(&broker->idle)) {
		km_ending_sweep(broker, end);
		return true;
	}
	return (room->resource == KM_BYTES && km_ending_hurry(broker, account, end)) ||
	       account->graves > 0 || km_parting_is_under_way(broker, account, room->since);
}

void km_question_wait_for_room(
	struct km_session *session, enum km_resource resource, uint64_t amount)
{
	struct room_question *room = calloc(1, sizeof *room);

	if (room) {
		room->resource = resource;
		room->amount = amount;
		room->since = km_parting_now(session->broker);
	}
	session->waited = true;
	wait(session, NULL, room ? &room->question : NULL, make_room);
}
