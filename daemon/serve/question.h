/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that may take several turns (turn.h). Its session waits: the request stays in the
 * socket, nothing more is read from there, and a broker that comes after this one meets it again.
 * Embedded, as the first thing, in what the request needs to remember.
 */
#pragma once

#include "daemon/run/broker.h"
#include "daemon/topic/walk.h"

struct km_question {
	struct km_work work;
	struct km_session *session;
	struct km_walk walk; /* in the topic that is asked about */
	/* Does a piece of it. False: it is answered, or not to be. */
	bool (*step)(struct km_question *question);
	/* Gives back what the question has, answered or not; may be null. */
	void (*end)(struct km_question *question);
	/* The request is to be served once more, from its beginning. */
	bool anew;
};

/* Takes the question, which calloc() made, and frees it in the end. Asks at once, for the session's
 * share of time, and goes on in turns. `topic` may be null; a null question is refused: -ENOMEM. */
void km_question_ask(
	struct km_session *session, struct km_topic *topic, struct km_question *question);

/* Serves the session's request once more when nothing is under way in the topic, and all clients
 * have gone that are going now. */
void km_question_wait(struct km_session *session, struct km_topic *topic);

/* Serves the request once more when its user may have so much more, or all has been given back that
 * can be: by the user's clients, too, that are going now. */
void km_question_wait_for_room(
	struct km_session *session, enum km_resource resource, uint64_t amount);

/* Serves the request once more when the step says no more that it has to wait. */
void km_question_wait_while(struct km_session *session, struct km_topic *topic,
	bool (*step)(struct km_question *question));

/* Drops a question whose answer nobody waits for any more. */
void km_question_drop(struct km_session *session);

/* The broker ends in good order: it wasn't this question that ended it. */
void km_question_end(struct km_session *session);
