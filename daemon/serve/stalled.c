/* SPDX-License-Identifier: Apache-2.0 */
/* STALLED: a publisher finds no room with a reliable subscriber. Nobody waits for an answer. */
#include "daemon/peer/session.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/member.h"
#include "daemon/topic/reliable.h"

void km_serve_stalled(struct km_session *session, const struct km_msg_detach *request)
{
	struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->kept.state == KM_ENDPOINT_LIVE &&
			member->kept.role == KM_ROLE_PUBLISHER &&
			km_member_is_named(member, request->endpoint))
			break;
	if (member)
		km_reliable_hear(member->topic);
}
