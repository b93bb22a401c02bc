/* SPDX-License-Identifier: Apache-2.0 */
/* How clients give endpoints back: see farewell.h. */
#include <errno.h>

#include "daemon/keep/keep.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/tend.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

void km_farewell_take_leave(struct km_member *member)
{
	if (member->kept.state != KM_ENDPOINT_LIVE)
		return;
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

void km_farewell_take_leave_of(struct km_session *session, uint64_t handle)
{
	struct km_member *member = find(session, handle);

	if (member)
		km_farewell_take_leave(member);
}

void km_farewell_serve(struct km_session *session, const struct km_msg_detach *request)
{
	struct km_member *member = find(session, request->endpoint);

	session->broker->handlers->wait_end(session, request->endpoint);
	if (member) {
		km_farewell_take_leave(member);
		km_tend(member->topic);
	}
	/* written down before the request leaves the socket, as where a request has an answer */
	km_keep_commit(session->broker);
}

/* When a client has closed with something unread, the kernel says so once, before it gives what the
 * client had sent. */
bool km_farewell_peek(const struct km_session *session, union km_msg *ret)
{
	ssize_t n;

	if (session->socket < 0)
		return false;
	n = km_wire_peek(session->socket, ret);
	if (n == -ECONNRESET)
		n = km_wire_peek(session->socket, ret);
	return n >= 0 && km_wire_check_request(ret, (size_t)n, 0) == 0;
}
