/* SPDX-License-Identifier: Apache-2.0 */
/* RIGHTS: tells who may do what to a topic, and which line of the config says so. */
#include <errno.h>
#include <stdio.h>

#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/serve/rights.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

/* Finds the user whose rights are asked for. False: the client may not ask that, and was
 * refused. */
static bool find_asked(
	struct km_session *session, const struct km_msg_rights *request, struct km_peer *ret)
{
	const struct km_policy *policy = &session->broker->config->policy;

	*ret = km_operator_peer(session);
	if (!request->of_other || request->uid == session->kept.uid)
		return true;
	if (!km_policy_is_operator(policy, ret)) {
		km_session_refuse(session, NULL, -EPERM,
			"only root, the broker's user and the group " KM_ADMIN_GROUP
			" may ask for the rights of others");
		return false;
	}
	*ret = (struct km_peer){ .uid = request->uid,
		.gid = request->gid,
		.groups = request->groups,
		.group_count = request->group_count };
	return true;
}

void km_serve_rights(struct km_session *session, const struct km_msg_rights *request)
{
	const struct km_policy *policy = &session->broker->config->policy;
	struct km_msg_rights_ok answer = { .header.op = KM_OP_RIGHTS_OK };
	bool sees_others = km_operator_is(session);
	char joined[KM_RIGHTS_NAME_SIZE];
	struct km_topic_key key;
	struct km_peer peer;

	if (!find_asked(session, request, &peer) ||
		km_wanted_key(session, &request->topic, &key) < 0)
		return;
	const struct km_topic *topic = km_topic_find(session->broker, &key);
	struct km_object object = km_rights_object(
		&key, topic ? topic->kept.owner_uid : peer.uid, joined);

	answer.exists = topic != NULL;
	answer.owner_uid = object.owner;
	answer.uid = peer.uid;
	for (int right = 0; right < KM_RIGHTS; right++) {
		struct km_said_right *said = &answer.rights[right];
		struct km_verdict verdict = km_policy_judge(
			policy, (enum km_right)right, &object, &peer);

		said->allowed = verdict.allowed;
		said->privilege = verdict.privilege;
		km_origin_text(&verdict.origin, said->origin);
		if (sees_others)
			snprintf(said->value, sizeof said->value, "%s", verdict.value);
	}
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
