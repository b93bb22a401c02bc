/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait until descriptors were taken: see hold.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/serve/hold.h"

/* Descriptors that operators may have unread beyond the limit in all. */
#define FOR_OPERATORS 32

/* The least limit: one user's clients have room for a few answers, however small the limits are. */
#define LEAST (UINT64_C(8) * KM_WIRE_MAX_FDS)

/* A request that meets a limit of many is looked at again after so long, so many times. */
#define LOOK_AGAIN_MS 20
#define PATIENCE_NS   INT64_C(1000000000)

static uint64_t most_in_all(const struct km_broker *broker)
{
	uint64_t most = KM_WIRE_MAX_FDS * broker->config->total[KM_CLIENTS].value;
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (most > limit.rlim_cur / 4)
		most = limit.rlim_cur / 4;
	return most > LEAST ? most : LEAST;
}

/* Would one more answer be too many unread? Then ret_text says whose. */
static bool are_too_many(const struct km_session *session, char *ret_text, size_t size)
{
	const struct km_account *account = session->account;
	const uint64_t all = most_in_all(session->broker);
	const uint64_t own = account->used[KM_UNREAD];
	const uint64_t used = session->broker->accounts.used[KM_UNREAD];
	char whose[32] = "all users";

	bool too_many_own = own + KM_WIRE_MAX_FDS > all / 2;
	bool too_many = used + KM_WIRE_MAX_FDS > all &&
			(used + KM_WIRE_MAX_FDS > all + FOR_OPERATORS || !km_operator_is(session));
	if (too_many_own)
		snprintf(whose, sizeof whose, "uid %u", account->uid);
	if (too_many_own || too_many)
		snprintf(ret_text, size,
			"clients of %s haven't read answers with %llu descriptors, and %llu may "
			"be unread (LimitNOFILE=, clients)",
			whose, (unsigned long long)(too_many_own ? own : used),
			(unsigned long long)(too_many_own ? all / 2 : all));
	return too_many_own || too_many;
}

/* The event comes each time that the peer has read something, and when the peer is gone. */
static void on_held(evutil_socket_t fd, short what, void *userdata)
{
	struct km_session *session = userdata;

	if (session->held_since_ns ? !(what & EV_TIMEOUT)
				   : km_unread_look(session->broker, &session->unread))
		return;
	session->held = false;
	event_del(session->held_event);
	/* the event was there before, so there is memory for it */
	if (event_add(session->socket_event, NULL) < 0)
		km_session_disconnect(session);
}

/* Stops listening to the session until on_held(). */
static void hold(struct km_session *session, bool for_others)
{
	const struct timeval again = { 0, LOOK_AGAIN_MS * 1000 };

	if (!session->held_event)
		session->held_event = event_new(session->broker->base, session->socket,
			EV_WRITE | EV_ET | EV_PERSIST, on_held, session);
	if (!for_others)
		session->held_since_ns = 0;
	else if (session->held_since_ns == 0)
		session->held_since_ns = km_clock_ns();
	/* libevent can't have this kind of event beside the other */
	event_del(session->socket_event);
	session->held = session->held_event &&
			event_add(session->held_event, for_others ? &again : NULL) == 0;
	session->doomed |= !session->held;
}

/* Is a limit reached? The peers may have read some since the last count. */
static bool is_full(struct km_session *session, char *ret_text, size_t size)
{
	if (!are_too_many(session, ret_text, size))
		return false;
	km_unread_settle(session->broker);
	return are_too_many(session, ret_text, size);
}

bool km_hold_is_full(struct km_session *session)
{
	char text[KM_WIRE_TEXT_SIZE];

	return is_full(session, text, sizeof text);
}

bool km_hold_check(struct km_session *session, const union km_msg *request)
{
	const uint32_t op = request->header.op;
	char text[KM_WIRE_TEXT_SIZE];

	if (op != KM_OP_HELLO && op != KM_OP_ADVERTISE && op != KM_OP_SUBSCRIBE)
		return false;
	if (km_unread_look(session->broker, &session->unread)) {
		hold(session, false);
		return true;
	}
	bool too_many = is_full(session, text, sizeof text);
	const int64_t since = session->held_since_ns;
	if (too_many && (since == 0 || km_clock_ns() - since < PATIENCE_NS)) {
		hold(session, true);
		return true;
	}
	session->held_since_ns = 0;
	if (too_many)
		km_session_refuse(session, NULL, -EDQUOT, "%s", text);
	return too_many;
}
