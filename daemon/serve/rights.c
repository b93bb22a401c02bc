/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy as requests meet it: see rights.h. The kernel says of the peer's socket who asks, so a
 * broker that took the socket back from the last one knows it as well.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/serve/rights.h"
#include "daemon/topic/topic.h"

struct km_object km_rights_object(
	const struct km_topic_key *key, uid_t owner, char joined[KM_RIGHTS_NAME_SIZE])
{
	if (km_kind_has_owner(key->kind))
		snprintf(joined, KM_RIGHTS_NAME_SIZE, "%s:%s", key->owner, key->name);
	else
		snprintf(joined, KM_RIGHTS_NAME_SIZE, "%s", key->name);
	return (struct km_object){
		.kind = key->kind, .prefix = key->prefix, .name = joined, .owner = owner
	};
}

static void refuse(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb,
	const struct km_origin *origin)
{
	int error = right == KM_RIGHT_ADMINISTER ? -EPERM : -EACCES;
	char where[KM_ORIGIN_TEXT_SIZE];

	if (origin->file)
		km_session_refuse(session, topic, error, "%s: uid %u may not %s %s '%.60s'",
			km_origin_text(origin, where), session->kept.uid, verb,
			km_kind_name(key->kind), key->name);
	else
		km_session_refuse(session, topic, error,
			"uid %u may not %s %s '%.60s': it is uid %u's, and no rule says otherwise",
			session->kept.uid, verb, km_kind_name(key->kind), key->name,
			topic ? topic->kept.owner_uid : session->kept.uid);
}

bool km_rights_allow(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb)
{
	const struct km_policy *policy = &session->broker->config->policy;
	struct km_peer peer = { .uid = session->kept.uid, .gid = session->kept.gid };
	char joined[KM_RIGHTS_NAME_SIZE];
	/* the asking user will own it */
	struct km_object object = km_rights_object(
		key, topic ? topic->kept.owner_uid : session->kept.uid, joined);

	if (policy->count > 0 || right == KM_RIGHT_ADMINISTER)
		km_operator_add_groups(session, &peer);
	struct km_verdict verdict = km_policy_judge(policy, right, &object, &peer);
	if (!verdict.allowed)
		refuse(session, key, topic, right, verb, &verdict.origin);
	return verdict.allowed;
}

bool km_rights_allow_role(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_role role)
{
	enum km_right right = role == KM_ROLE_PUBLISHER ? KM_RIGHT_PUBLISH : KM_RIGHT_SUBSCRIBE;
	const char *verb = role == KM_ROLE_PUBLISHER ? "publish to" : "subscribe to";

	if (km_kind_is_private(key->kind))
		return true; /* callers.h */
	if (key->kind == KM_KIND_SERVICE && role == KM_ROLE_PUBLISHER)
		return km_rights_allow(session, key, topic, KM_RIGHT_SERVE, "serve");
	if (key->kind == KM_KIND_SERVICE)
		return km_rights_allow(session, key, topic, KM_RIGHT_CALL, "call");
	return (topic || km_rights_allow(session, key, NULL, KM_RIGHT_CREATE, "create")) &&
	       km_rights_allow(session, key, topic, right, verb);
}

bool km_rights_need_shared(
	struct km_session *session, const struct km_topic_key *key, struct km_origin *ret_rule)
{
	char joined[KM_RIGHTS_NAME_SIZE];
	struct km_object object = km_rights_object(key, session->kept.uid, joined);

	return km_policy_needs_shared(&session->broker->config->policy, &object, ret_rule);
}

bool km_rights_allow_schema(struct km_session *session, const struct km_topic *topic)
{
	enum km_right right = topic->kept.key.kind == KM_KIND_SERVICE ? KM_RIGHT_SERVE
								      : KM_RIGHT_PUBLISH;

	return session->kept.uid == topic->kept.owner_uid ||
	       km_rights_allow(session, &topic->kept.key, topic, right, "set the schema of");
}
