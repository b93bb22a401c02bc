/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy as requests meet it: see rights.h. Who asks is what the kernel says of the peer's
 * socket, so that a broker that took it back from the last one knows it as well.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>

#include "log.h"
#include "rights.h"
#include "session.h"

#define PATH_SIZE (KM_PREFIX_SIZE + KM_PREFIX_SIZE + KM_NAME_SIZE)

/* The supplementary groups; none where the kernel doesn't say. */
static void add_groups(const struct km_session *session, struct km_peer *peer)
{
	static gid_t groups[NGROUPS_MAX];
	socklen_t size = sizeof groups;

	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return;
	peer->groups = groups;
	peer->group_count = size / sizeof groups[0];
}

static void write_path(const struct km_topic_key *key, char ret[PATH_SIZE])
{
	if (key->kind == KM_KIND_MAILBOX)
		snprintf(ret, PATH_SIZE, "%s/%s:%s", key->prefix, key->owner, key->name);
	else
		snprintf(ret, PATH_SIZE, "%s/%s", key->prefix, key->name);
}

static void refuse(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb,
	const struct km_origin *origin)
{
	int error = right == KM_RIGHT_ADMINISTER ? -EPERM : -EACCES;
	char where[KM_ORIGIN_TEXT_SIZE];

	if (origin->file)
		km_session_refuse(session, topic, error, "%s: uid %u may not %s %s '%.60s'",
			km_origin_text(origin, where), session->uid, verb, km_kind_name(key->kind),
			key->name);
	else
		km_session_refuse(session, topic, error,
			"uid %u may not %s %s '%.60s': it is uid %u's, and no rule says otherwise",
			session->uid, verb, km_kind_name(key->kind), key->name,
			topic ? topic->owner_uid : session->uid);
}

bool km_rights_allow(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb)
{
	const struct km_policy *policy = &session->broker->config->policy;
	struct km_peer peer = { .uid = session->uid, .gid = session->gid };
	char path[PATH_SIZE];
	struct km_object object = {
		.kind = key->kind,
		.path = path,
		.owner = topic ? topic->owner_uid : session->uid, /* who makes it will own it */
	};
	struct km_origin origin;

	if (policy->count > 0 || right == KM_RIGHT_ADMINISTER)
		add_groups(session, &peer);
	write_path(key, path);
	if (km_policy_allows(policy, right, &object, &peer, &origin))
		return true;
	refuse(session, key, topic, right, verb, &origin);
	return false;
}

bool km_rights_allow_role(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_role role)
{
	enum km_right right = role == KM_ROLE_PUBLISHER ? KM_RIGHT_PUBLISH : KM_RIGHT_SUBSCRIBE;
	const char *verb = role == KM_ROLE_PUBLISHER ? "publish to" : "subscribe to";

	return (topic || km_rights_allow(session, key, NULL, KM_RIGHT_CREATE, "create")) &&
	       km_rights_allow(session, key, topic, right, verb);
}

bool km_rights_allow_schema(struct km_session *session, const struct km_topic *topic)
{
	return session->uid == topic->owner_uid ||
	       km_rights_allow(session, &topic->key, topic, KM_RIGHT_PUBLISH, "set the schema of");
}
