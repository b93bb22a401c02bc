/* SPDX-License-Identifier: Apache-2.0 */
/* Operators: see operator.h. */
#include <limits.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"

#define DESCRIPTORS_FOR_OPERATORS 32

void km_operator_add_groups(const struct km_session *session, struct km_peer *peer)
{
	static gid_t groups[NGROUPS_MAX];
	socklen_t size = sizeof groups;

	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return;
	peer->groups = groups;
	peer->group_count = size / sizeof groups[0];
}

struct km_peer km_operator_peer(const struct km_session *session)
{
	struct km_peer peer = { .uid = session->kept.uid, .gid = session->kept.gid };

	km_operator_add_groups(session, &peer);
	return peer;
}

bool km_operator_is(const struct km_session *session)
{
	const struct km_peer peer = km_operator_peer(session);

	return km_policy_is_operator(&session->broker->config->policy, &peer);
}

bool km_operator_has_descriptors(const struct km_session *session)
{
	struct rlimit limit;
	int lowest = dup(session->socket); /* of those that are free, so this is how many aren't */

	km_close(lowest);
	return (lowest >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		       (rlim_t)lowest + DESCRIPTORS_FOR_OPERATORS < limit.rlim_cur) ||
	       km_operator_is(session);
}
