/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: HELLO first and once, then the rest, each served where its name says (serve.h). */
#include <errno.h>
#include <stdlib.h>

#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/parting.h"
#include "daemon/run/log.h"
#include "daemon/serve/attach.h"
#include "daemon/serve/hello.h"
#include "daemon/serve/hold.h"
#include "daemon/serve/question.h"
#include "daemon/serve/request.h"
#include "daemon/serve/serve.h"

/* Writes down that this broker is about to serve the request. Returns how many brokers before it
 * have written the same and have not come to the end of the request. */
static uint32_t count_try(struct km_session *session)
{
	if (session->kept.tried.serial != session->serial)
		session->kept.tried = (struct km_tried){ .serial = session->serial };
	uint32_t before = session->kept.tried.times++;

	km_keep_session(session);
	km_keep_commit(session->broker);
	return before;
}

/* Did the broker before this one serve the request already? Then its answer alone is sent, once
 * more perhaps. */
static bool was_done(struct km_session *session, const union km_msg *message)
{
	const struct km_msg_header *header = &message->header;
	struct km_msg_ok answer = { .header.op = KM_OP_OK };

	if (session->kept.done.op != header->op || session->kept.done.serial != header->serial)
		return false;
	km_log(LOG_DEBUG, session, NULL, "answered again: %s", km_wire_name(header->op));
	if (header->op == KM_OP_ADVERTISE || header->op == KM_OP_SUBSCRIBE)
		km_attach_answer_again(session, &message->subscribe);
	else if (header->op == KM_OP_HELLO)
		km_hello_answer_again(session);
	else
		km_session_answer(session, &answer, sizeof answer, NULL, 0);
	return true;
}

/* The first request after a restart: the broker before this one may have been at it. True: nothing
 * is left to do. */
static bool was_met_before(struct km_session *session, const union km_msg *message)
{
	session->again = false;
	uint32_t before = count_try(session);
	if (was_done(session, message))
		return true;
	if (before == 0)
		return false;
	km_session_refuse(session, NULL, -EIO,
		"the broker has ended at this %s before: it is not tried again",
		km_wire_name(message->header.op));
	return true;
}

static bool part(struct km_question *question)
{
	return km_parting_go_on(question->session);
}

static void stop_parting(struct km_question *question)
{
	km_parting_drop(question->session);
}

/* Ends all that the client has. The request stays in the socket until that is done. */
static void serve_last(struct km_session *session)
{
	struct km_question *question;

	if (!km_parting_leave(session))
		return;
	question = calloc(1, sizeof *question);
	if (question) {
		question->step = part;
		question->end = stop_parting;
		km_question_ask(session, NULL, question);
	} else
		while (km_parting_go_on(session))
			;
}

/* Ends an endpoint, or a wait. A DETACH is heard also when nobody asks any more: parting.c does
 * it. */
void km_serve_detach(struct km_session *session, const struct km_msg_detach *request)
{
	if (request->endpoint == KM_ALL_ENDPOINTS)
		serve_last(session);
	else
		km_farewell_serve(session, request);
}

void km_request_serve(struct km_session *session, const union km_msg *message)
{
	uint32_t op = message->header.op;

	session->serial = message->header.serial;
	if (km_hold_check(session, message))
		return;
	if (session->again && was_met_before(session, message))
		return;
	if ((op == KM_OP_HELLO) != (session->kept.state == KM_SESSION_NEW)) {
		km_session_refuse(session, NULL, -EPROTO,
			op == KM_OP_HELLO ? "HELLO was said before" : "HELLO comes first");
		session->doomed = true;
		return;
	}
	switch (op) {
#define SERVE(number, NAME, member, type)                                                          \
	case number:                                                                               \
		km_serve_##member(session, &message->member);                                      \
		break;
		KM_WIRE_REQUESTS(SERVE)
	/* km_wire_check_request() lets no other kind through */
	default:
		session->doomed = true;
	}
}
