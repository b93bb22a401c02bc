/* SPDX-License-Identifier: Apache-2.0 */
/* How clients leave in good order: see farewell.h. */
#include <errno.h>

#include "daemon/keep/keep.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/tend.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

/* Farewells that are heard at most. A socket's queue holds some three hundred, but a process that
 * lives may go on sending. */
#define LAST_MAX 1024
/* Topics from which a client's end is done at once; of more the rest is done in turns. */
#define AT_ONCE 64

static void take_leave(struct km_member *member)
{
	km_log(LOG_DEBUG | KM_EVENT_ENDPOINT_LEFT, member->session, member->topic, "%s left",
		km_member_role_name(member->kept.role));
	km_leave_detach(member);
}

/* The member that is given back. Null: the broker before this one has ended it. */
static struct km_member *find(struct km_session *session, uint64_t handle)
{
	struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (km_member_is_named(member, handle) && member->kept.state == KM_ENDPOINT_LIVE)
			break;
	return member;
}

static void take_leave_of(struct km_session *session, uint64_t handle)
{
	struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->kept.state == KM_ENDPOINT_LIVE &&
			(handle == KM_ALL_ENDPOINTS || km_member_is_named(member, handle)))
			take_leave(member);
}

/* Looks after topics once all endpoints have left. The next client finds names and limits free,
 * also after the end of a client. So a few topics, which is all that most clients have, are looked
 * after `at_once`. Each topic is looked at once, for the look goes through its members. */
static void tend_left(struct km_session *session, unsigned at_once)
{
	const uint64_t look = ++session->broker->next_look;
	struct km_topic *topics[AT_ONCE];
	struct km_member *member;
	unsigned count = 0;

	LIST_FOREACH (member, &session->members, of_session) {
		if (member->kept.state != KM_ENDPOINT_LEAVING || member->topic->left_look == look)
			continue;
		member->topic->left_look = look;
		if (count < at_once)
			topics[count++] = member->topic;
		else
			km_tend_left(member->topic);
	}
	while (count > 0)
		km_tend(topics[--count]);
}

void km_farewell_serve(struct km_session *session, const struct km_msg_detach *request)
{
	struct km_member *member = find(session, request->endpoint);

	session->broker->handlers->wait_end(session, request->endpoint);
	if (request->endpoint == KM_ALL_ENDPOINTS) {
		session->broker->handlers->wait_forget(session);
		take_leave_of(session, KM_ALL_ENDPOINTS);
		tend_left(session, AT_ONCE);
	}
	if (member) {
		take_leave(member);
		km_tend(member->topic);
	}
	/* written down before the request leaves the socket, as where a request has an answer */
	km_keep_commit(session->broker);
}

/* The next request. False: there is none. When a client has closed with something unread, the
 * kernel says so once, before it gives what the client had sent. */
static bool peek(const struct km_session *session, union km_msg *ret)
{
	ssize_t n = km_wire_peek(session->socket, ret);

	if (n == -ECONNRESET)
		n = km_wire_peek(session->socket, ret);
	return n >= 0 && km_wire_check_request(ret, (size_t)n, 0) == 0;
}

void km_farewell_hear_last(struct km_session *session)
{
	union km_msg message;

	if (session->socket < 0)
		return;
	for (unsigned i = 0; i < LAST_MAX && peek(session, &message); i++) {
		if (message.header.op == KM_OP_DETACH)
			take_leave_of(session, message.detach.endpoint);
		km_keep_commit(session->broker);
		km_wire_skip(session->socket);
	}
	tend_left(session, 0);
}
