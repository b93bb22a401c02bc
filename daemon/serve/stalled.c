/* SPDX-License-Identifier: Apache-2.0 */
/* STALLED: a publisher finds no room with a reliable subscriber. Nobody waits for an answer. */
#include "daemon/peer/session.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/member.h"
#include "daemon/topic/reliable.h"

static const struct km_member *find(const struct km_session *session, uint64_t endpoint)
{
	const struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->kept.state == KM_ENDPOINT_LIVE &&
			member->kept.role == KM_ROLE_PUBLISHER &&
			km_member_is_named(member, endpoint))
			break;
	return member;
}

void km_serve_stalled(struct km_session *session, const struct km_msg_detach *request)
{
	const struct km_member *member = find(session, request->endpoint);
	const struct km_session *past = LIST_FIRST(&session->broker->sessions);

	/* the publishers of a client that was hung up on are still those of its connection before */
	for (; !member && past; past = LIST_NEXT(past, next))
		if (km_session_follows(session, past))
			member = find(past, request->endpoint);
	if (member)
		km_reliable_hear(member->topic);
}
