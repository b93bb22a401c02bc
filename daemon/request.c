/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: hello first and once, then the rest, each served where its name says. */
#include <errno.h>
#include <string.h>

#include "attach.h"
#include "cleanup.h"
#include "diagnose.h"
#include "info.h"
#include "keep.h"
#include "lifetime.h"
#include "list.h"
#include "log.h"
#include "name.h"
#include "request.h"
#include "session.h"
#include "wait.h"

static void answer_hello(struct km_session *session, int segment_fd)
{
	struct km_msg_hello_ok answer = {
		.header.op = KM_OP_HELLO_OK,
		.version = KM_WIRE_VERSION,
		.client_id = session->id,
		.segment_size = KM_CLIENT_SEGMENT_SIZE,
	};

	km_session_answer(session, &answer, sizeof answer, &segment_fd, 1);
}

static void serve_hello(struct km_session *session, const struct km_msg_hello *request)
{
	struct km_broker *broker = session->broker;
	_cleanup_(km_closep) int fd = -1;
	char text[KM_WIRE_TEXT_SIZE];

	if (request->version != KM_WIRE_VERSION) {
		km_session_refuse(session, NULL, -EPROTO, "version %u is spoken there, %u here",
			request->version, KM_WIRE_VERSION);
		session->doomed = true;
		return;
	}
	if (!km_name_is_clean(request->prefix)) {
		km_session_refuse(session, NULL, -EINVAL, "'%s' is not a prefix", request->prefix);
		return;
	}
	char name[sizeof session->name];
	if (km_name_sanitise(request->name, name, sizeof name) < 0) {
		km_session_refuse(session, NULL, -EINVAL, "a client needs a name");
		return;
	}
	if (km_account_check(session->account, KM_CLIENTS, 1, text, sizeof text) < 0) {
		km_session_refuse(session, NULL, -EDQUOT, "%s", text);
		session->doomed = true;
		return;
	}
	char clean[sizeof session->prefix];
	if (*request->raw_prefix &&
		(km_name_sanitise(request->raw_prefix, clean, sizeof clean) < 0 ||
			strcmp(clean, request->prefix) != 0)) {
		km_session_refuse(session, NULL, -EINVAL, "'%s' is not how that prefix is written",
			request->prefix);
		return;
	}
	strcpy(session->prefix, request->prefix);
	strcpy(session->raw_prefix, *request->raw_prefix ? request->raw_prefix : request->prefix);
	km_name_strip(request->name, session->raw_name, sizeof session->raw_name);
	int r = km_session_add_memory(session, &fd, text, sizeof text);
	if (r < 0) {
		km_session_refuse(session, NULL, r, "no memory for another client: %s", text);
		session->doomed = true;
		return;
	}
	strcpy(session->name, name);
	session->state = KM_SESSION_READY;
	km_account_take(session->account, KM_CLIENTS, 1);
	km_store_put(&broker->store, KM_STORE_CONNECTION, session->id, 0, session->socket);
	km_store_put(&broker->store, KM_STORE_PIDFD, session->id, 0, session->pidfd);
	km_keep_done(session, KM_OP_HELLO, 0, true);
	km_log(LOG_DEBUG, session, NULL, "hello");
	answer_hello(session, fd);
}

/* Did the broker before this one do it already? Then only its answer is sent, once more perhaps. */
static bool was_done(struct km_session *session, const union km_msg *message)
{
	const struct km_msg_header *header = &message->header;
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	bool again = session->again && session->done.op == header->op &&
		     session->done.serial == header->serial;
	_cleanup_(km_closep) int fd = -1;

	session->again = false;
	if (!again)
		return false;
	km_log(LOG_DEBUG, session, NULL, "answered again: %s", km_wire_name(header->op));
	if (header->op == KM_OP_ADVERTISE || header->op == KM_OP_SUBSCRIBE)
		km_attach_answer_again(session, &message->subscribe);
	else if (header->op != KM_OP_HELLO)
		km_session_answer(session, &answer, sizeof answer, NULL, 0);
	else if (km_session_hand_memory(session, 0, &fd) == 0)
		answer_hello(session, fd);
	else
		session->doomed = true;
	return true;
}

void km_request_serve(struct km_session *session, const union km_msg *message)
{
	uint32_t op = message->header.op;

	session->serial = message->header.serial;
	if (was_done(session, message))
		return;
	if ((op == KM_OP_HELLO) != (session->state == KM_SESSION_NEW)) {
		km_session_refuse(session, NULL, -EPROTO,
			op == KM_OP_HELLO ? "HELLO was said before" : "HELLO comes first");
		session->doomed = true;
		return;
	}
	switch (op) {
	case KM_OP_HELLO:
		serve_hello(session, &message->hello);
		break;
	case KM_OP_ADVERTISE:
		km_attach_advertise(session, &message->advertise);
		break;
	case KM_OP_SUBSCRIBE:
		km_attach_subscribe(session, &message->subscribe);
		break;
	case KM_OP_DETACH:
		km_attach_detach(session, &message->detach);
		break;
	case KM_OP_LIST:
		km_list_serve(session, &message->list);
		break;
	case KM_OP_DIAGNOSE:
		km_diagnose_serve(session, &message->diagnose);
		break;
	case KM_OP_REPAIR:
		km_repair_serve(session, &message->repair);
		break;
	case KM_OP_INFO:
		km_info_serve(session, &message->topic);
		break;
	case KM_OP_STATS:
		km_stats_serve(session, &message->topic);
		break;
	case KM_OP_PEOPLE:
		km_info_people(session, &message->topic);
		break;
	case KM_OP_SCHEMA:
		km_info_schema(session, &message->topic);
		break;
	case KM_OP_CLAIM:
		km_info_claim(session, &message->claim);
		break;
	case KM_OP_UNLINK:
		km_lifetime_unlink(session, &message->topic);
		break;
	case KM_OP_WAIT:
		km_wait_serve(session, &message->topic);
		break;
	default: /* km_wire_check_request lets no other through */
		session->doomed = true;
	}
}
