/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process comes into a topic: what it wants is understood (wanted.h), decided (agreement.h),
 * done (create.h, enter.h) and answered (attached.h), in this order. A SUBSCRIBE may wait for its topic
 * in between (wait.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/parting.h"
#include "daemon/repair/tend.h"
#include "daemon/serve/agreement.h"
#include "daemon/serve/attach.h"
#include "daemon/serve/create.h"
#include "daemon/serve/enter.h"
#include "daemon/serve/question.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wait.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/header.h"
#include "daemon/topic/join.h"

/* Messages that one piece of work drains: each may be in a slot far away. */
#define DRAIN_PIECE 2048

static bool lacks_room(const struct km_wanted *wanted, const struct km_topic *topic)
{
	return topic && !wanted->observes && !km_member_has_room(topic, wanted->role);
}

static bool is_anybody_going(const struct km_broker *broker)
{
	return km_parting_is_under_way(broker, NULL, km_parting_now(broker));
}

/* Finds the topic that is wanted, or null. Clients that have waited for it come first. A topic
 * without room is looked after first, and may be gone afterwards. False: that takes a while, and
 * the request is served again. */
static bool find(const struct km_wanted *wanted, struct km_topic **ret)
{
	struct km_session *session = wanted->session;
	struct km_topic *topic = km_topic_find(session->broker, &wanted->key);

	if (topic && km_wait_is_awaited(topic)) {
		km_wait_hold(session, topic);
		return false;
	}
	if (lacks_room(wanted, topic) && topic->dead + topic->leaving > 0) {
		km_tend(topic);
		topic = km_topic_find(session->broker, &wanted->key);
	}
	if (lacks_room(wanted, topic) && !session->waited &&
		(km_topic_is_tended(topic) || is_anybody_going(session->broker))) {
		km_question_wait(session, topic);
		return false;
	}
	*ret = topic;
	return true;
}

/* Makes the topic. False: the request was refused, or is served again. */
static bool create(const struct km_wanted *wanted, struct km_topic **ret)
{
	char text[KM_WIRE_TEXT_SIZE];
	int r = km_create(wanted, ret, text, sizeof text);

	if (r < 0 && r != -EINPROGRESS)
		km_session_refuse(wanted->session, NULL, r, "%s", text);
	return r == 0;
}

/* A ring that is being drained for its next subscriber. */
struct draining {
	struct km_question question;
	unsigned pieces; /* at most, even if publishers go on delivering */
};

static bool drain_some(struct km_question *question)
{
	struct draining *draining = (struct draining *)question;

	return km_join_drain(question->walk.topic, DRAIN_PIECE) && draining->pieces-- > 0;
}

/* A publisher with old targets may have delivered a few messages to the subscriber's ring to be, and a
 * hostile one a whole ring. False: draining it takes a while, and the request is served again. */
static bool drain(const struct km_wanted *wanted, struct km_topic *topic)
{
	struct km_session *session = wanted->session;

	if (wanted->role != KM_ROLE_SUBSCRIBER || session->drained ||
		!km_join_drain(topic, DRAIN_PIECE))
		return true;
	struct draining *draining = calloc(1, sizeof *draining);
	if (draining) {
		draining->question.step = drain_some;
		draining->question.anew = true;
		draining->pieces = 2 * topic->region.geometry.ring_capacity / DRAIN_PIECE;
	}
	session->drained = true;
	km_question_ask(session, topic, draining ? &draining->question : NULL);
	return false;
}

/* Serves a client that becomes a member. The maker of a topic is answered after those that waited
 * for the topic. It is a member before them, so that they don't take its place. */
static void serve_member(const struct km_wanted *wanted, struct km_topic *topic, bool is_made)
{
	struct km_session *session = wanted->session;
	struct km_member *member = km_enter(wanted, topic);

	if (member)
		km_keep_done(session, wanted->op, member->kept.handle);
	if (is_made)
		km_wait_serve(topic);
	if (member && km_wait_is_awaited(topic)) {
		session->joined = true;
		km_wait_hold(session, topic);
	} else if (member)
		km_enter_answer(wanted, member);
}

static void serve(struct km_session *session, const struct km_msg_attach *request)
{
	struct km_wanted wanted;
	struct km_topic *topic;

	if (session->joined) {
		km_attach_answer_again(session, request);
		return;
	}
	if (km_wanted_attach(session, request, &wanted) < 0 || !find(&wanted, &topic))
		return;
	if (!topic && wanted.waits) {
		if (km_agreement_may_wait(&wanted))
			km_wait_keep(&wanted, request);
		return;
	}
	if (!km_agreement_allows(&wanted, topic))
		return;
	bool is_made = !topic;
	if (is_made && !create(&wanted, &topic))
		return;
	km_header_look(topic);
	if (wanted.observes)
		km_enter_observe(&wanted, topic);
	else if (drain(&wanted, topic))
		serve_member(&wanted, topic, is_made);
}

void km_serve_advertise(struct km_session *session, const struct km_msg_attach *request)
{
	serve(session, request);
}

void km_serve_subscribe(struct km_session *session, const struct km_msg_attach *request)
{
	serve(session, request);
}

void km_attach_answer_again(struct km_session *session, const struct km_msg_attach *request)
{
	const uint64_t handle = session->kept.done.handle;
	struct km_member *member = km_enter_find(session, handle);

	if (member && km_wait_is_awaited(member->topic)) {
		session->joined = true;
		km_wait_hold(session, member->topic);
	} else if (member)
		km_enter_answer_again(session, request, member);
	else if (!km_wait_answer_again(session, handle))
		/* the topic was given up meanwhile */
		km_session_refuse(session, NULL, -ESTALE,
			"the broker has begun anew and can't find what it had given: try again");
}
