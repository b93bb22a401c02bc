/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in requests: see naming.h, and common/name.h for the rules.
 *
 * Clients send a name twice, sanitised and as it was written; that the one follows from the other
 * is checked here. A topic keeps what its creator wrote: who writes another name that sanitises to
 * the same means another topic, and is told so instead of being joined to this one.
 */
#include <errno.h>
#include <string.h>

#include "name.h"
#include "naming.h"
#include "session.h"
#include "topic.h"

/* One part: `raw` is empty where it is the same. */
static int copy_part(struct km_session *session, const char *what, const char *part,
	const char *raw, char *ret, char *ret_raw, size_t size)
{
	char clean[KM_NAME_SIZE], shown[KM_NAME_SIZE];

	if (!km_name_is_clean(part) ||
		(*raw && (km_name_sanitise(raw, clean, size) < 0 || strcmp(clean, part) != 0))) {
		km_name_printable(part, shown, sizeof shown);
		km_session_refuse(
			session, NULL, -EINVAL, "'%.100s' is not a %s's name", shown, what);
		return -EINVAL;
	}
	strcpy(ret, part);
	strcpy(ret_raw, *raw == '\0' ? part : raw);
	return 0;
}

static int copy_owner(struct km_session *session, uint32_t kind, const char *owner,
	const char *raw_owner, struct km_topic_key *ret)
{
	if (kind != KM_KIND_MAILBOX) {
		if (!*owner && !*raw_owner)
			return 0;
		km_session_refuse(session, NULL, -EINVAL, "a %s has no owner", km_kind_name(kind));
		return -EINVAL;
	}
	if (*owner)
		return copy_part(session, "client", owner, raw_owner, ret->owner, ret->raw_owner,
			sizeof ret->owner);
	strcpy(ret->owner, session->name);
	strcpy(ret->raw_owner, session->raw_name);
	return 0;
}

int km_naming_attach(
	struct km_session *session, const struct km_msg_attach *request, struct km_topic_key *ret)
{
	*ret = (struct km_topic_key){ .kind = request->kind };
	strcpy(ret->prefix, session->prefix);
	strcpy(ret->raw_prefix, session->raw_prefix);
	int r = copy_part(session, km_kind_name(request->kind), request->topic, request->raw,
		ret->name, ret->raw, sizeof ret->name);

	return r < 0 ? r
		     : copy_owner(session, request->kind, request->owner, request->raw_owner, ret);
}

int km_naming_topic(
	struct km_session *session, const struct km_msg_topic *request, struct km_topic_key *ret)
{
	*ret = (struct km_topic_key){ .kind = request->kind };
	/* a prefix that can't be is one of which there is no topic */
	strcpy(ret->prefix, *request->prefix ? request->prefix : session->prefix);
	int r = copy_part(session, km_kind_name(request->kind), request->topic, request->raw,
		ret->name, ret->raw, sizeof ret->name);

	if (r == 0 && !*request->raw)
		ret->raw[0] = '\0';
	return r < 0 ? r : copy_owner(session, request->kind, request->owner, "", ret);
}

struct km_topic *km_naming_find(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic_key key;
	char shown[KM_NAME_SIZE];

	if (km_naming_topic(session, request, &key) < 0)
		return NULL;
	struct km_topic *topic = km_topic_find(session->broker, &key);
	if (topic && (!*key.raw || strcmp(key.raw, topic->key.raw) == 0))
		return topic;
	if (topic) {
		km_name_printable(topic->key.raw, shown, sizeof shown);
		km_session_refuse(session, NULL, -ENOENT,
			"there is no such %s; '%s' is named '%.100s'", km_kind_name(key.kind),
			key.name, shown);
		return NULL;
	}
	km_name_printable(key.prefix, shown, sizeof shown);
	km_session_refuse(session, NULL, -ENOENT, "there is no %s '%s'%s%s with prefix '%s'",
		km_kind_name(key.kind), key.name, *key.owner ? " of " : "", key.owner, shown);
	return NULL;
}

static bool part_agrees(struct km_session *session, const struct km_topic *topic, const char *what,
	const char *stands, const char *asked)
{
	char a[KM_NAME_SIZE], b[KM_NAME_SIZE];

	if (strcmp(stands, asked) == 0)
		return true;
	km_name_printable(stands, a, sizeof a);
	km_name_printable(asked, b, sizeof b);
	km_session_refuse(session, topic, -EEXIST,
		"%s '%.40s' exists with the %s '%.60s'; '%.60s' is another one that is written the "
		"same",
		km_kind_name(topic->key.kind), topic->key.name, what, a, b);
	return false;
}

bool km_naming_agrees(
	struct km_session *session, const struct km_topic *topic, const struct km_topic_key *key)
{
	const struct km_topic_key *stands = &topic->key;

	return part_agrees(session, topic, "prefix", stands->raw_prefix, key->raw_prefix) &&
	       part_agrees(session, topic, "owner", stands->raw_owner, key->raw_owner) &&
	       part_agrees(session, topic, "name", stands->raw, key->raw);
}
