/* SPDX-License-Identifier: Apache-2.0 */
/* HELLO: see hello.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/protocol/name.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/serve/hello.h"
#include "daemon/serve/serve.h"

/* Places beyond the limit on `clients` that are kept for operators. */
#define PLACES_FOR_OPERATORS 4

static void answer_hello(struct km_session *session, int segment_fd)
{
	struct km_msg_hello_ok answer = {
		.header.op = KM_OP_HELLO_OK,
		.version = KM_WIRE_VERSION,
		.client_id = session->kept.id,
		.segment_size = KM_CLIENT_SEGMENT_SIZE,
	};

	km_session_answer(session, &answer, sizeof answer, &segment_fd, 1);
}

/* May one more client come in? When all places are taken, a few are left for operators. An
 * operator's own limit counts all the same. */
static bool may_come_in(struct km_session *session, char *ret_text, size_t size)
{
	struct km_account *account = session->account;
	const struct km_broker *broker = session->broker;
	const struct km_config *config = broker->config;
	const struct km_limit *own = &config->user[KM_CLIENTS];
	const uint64_t all = config->total[KM_CLIENTS].value + PLACES_FOR_OPERATORS;

	if (km_account_take_rate(account, KM_CLIENTS, km_clock_ns(), ret_text, size) < 0)
		return false;
	return km_account_check(account, KM_CLIENTS, 1, ret_text, size) == 0 ||
	       (broker->accounts.used[KM_CLIENTS] < all &&
		       (own->value == 0 || account->used[KM_CLIENTS] < own->value) &&
		       km_operator_is(session));
}

void km_serve_hello(struct km_session *session, const struct km_msg_hello *request)
{
	_cleanup_(km_closep) int fd = -1;
	char text[KM_WIRE_TEXT_SIZE];

	if (!km_name_is_clean(request->prefix) || !km_name_is_clean(request->name)) {
		bool is_prefix = km_name_is_clean(request->name);
		char shown[KM_PREFIX_SIZE];

		km_name_printable(is_prefix ? request->prefix : request->name, shown, sizeof shown);
		km_session_refuse(session, NULL, -EINVAL, "'%s' is not a %s", shown,
			is_prefix ? "prefix" : "client's name");
		return;
	}
	if (!may_come_in(session, text, sizeof text)) {
		km_session_refuse(session, NULL, -EDQUOT, "%s", text);
		session->doomed = true;
		return;
	}
	strcpy(session->kept.prefix, request->prefix);
	int r = km_memory_add(session, text, sizeof text);
	if (r == 0) {
		r = km_memory_hand(session, 0, &fd);
		snprintf(text, sizeof text, "%s", strerror(-r));
	}
	if (r < 0) {
		km_session_refuse(session, NULL, r, "no memory for another client: %s", text);
		session->doomed = true;
		return;
	}
	int fds[] = { session->socket, session->pidfd };
	r = km_store_put(&session->broker->store, KM_PARKED_SESSION, session->kept.id, 0, fds,
		session->keeps_pidfd ? 2 : 1, text, sizeof text);
	if (r < 0) {
		km_session_refuse(session, NULL, r, "no room for another client: %s", text);
		session->doomed = true;
		return;
	}
	strcpy(session->kept.name, request->name);
	session->kept.state = KM_SESSION_READY;
	km_session_no_stranger(session);
	km_account_take(session->account, KM_CLIENTS, 1);
	km_keep_done(session, KM_OP_HELLO, 0);
	km_log(LOG_DEBUG | KM_EVENT_CLIENT_CAME, session, NULL, "client came");
	answer_hello(session, fd);
}

void km_hello_answer_again(struct km_session *session)
{
	_cleanup_(km_closep) int fd = -1;

	if (km_memory_hand(session, 0, &fd) == 0)
		answer_hello(session, fd);
	else
		session->doomed = true;
}
