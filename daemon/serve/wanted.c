/* SPDX-License-Identifier: Apache-2.0 */
/* From the message to what it asks for: see wanted.h, and common/protocol/name.h for the rules of names. */
#include <errno.h>
#include <string.h>

#include "common/protocol/name.h"
#include "daemon/peer/session.h"
#include "daemon/serve/rights.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

static int copy_part(struct km_session *session, const char *what, const char *part, char *ret)
{
	char shown[KM_NAME_SIZE];

	if (km_name_is_clean(part)) {
		strcpy(ret, part);
		return 0;
	}
	km_name_printable(part, shown, sizeof shown);
	km_session_refuse(session, NULL, -EINVAL, "'%.100s' is not a %s's name", shown, what);
	return -EINVAL;
}

static int copy_owner(
	struct km_session *session, uint32_t kind, const char *owner, struct km_topic_key *ret)
{
	if (!km_kind_has_owner(kind)) {
		if (!*owner)
			return 0;
		km_session_refuse(session, NULL, -EINVAL, "a %s has no owner", km_kind_name(kind));
		return -EINVAL;
	}
	if (!*owner && kind == KM_KIND_MAILBOX)
		owner = session->kept.name;
	return copy_part(session, "client", owner, ret->owner);
}

/* Reads the written names of a request. `owner` is a mailbox'; empty: the client. */
static int read_names(struct km_session *session, uint32_t kind, const char *prefix,
	const char *name, const char *owner, struct km_topic_key *ret)
{
	*ret = (struct km_topic_key){ .kind = kind };
	strcpy(ret->prefix, prefix);
	int r = copy_part(session, km_kind_name(kind), name, ret->name);

	return r < 0 ? r : copy_owner(session, kind, owner, ret);
}

int km_wanted_key(
	struct km_session *session, const struct km_msg_topic *request, struct km_topic_key *ret)
{
	/* a prefix that can't be is one without topics */
	const char *prefix = *request->prefix ? request->prefix : session->kept.prefix;

	return read_names(session, request->kind, prefix, request->topic, request->owner, ret);
}

static void refuse_missing(struct km_session *session, const struct km_topic_key *key)
{
	char shown[KM_PREFIX_SIZE];

	km_name_printable(key->prefix, shown, sizeof shown);
	km_session_refuse(session, NULL, -ENOENT, "there is no %s '%s'%s%s with prefix '%s'",
		km_kind_name(key->kind), key->name, *key->owner ? " of " : "", key->owner, shown);
}

struct km_topic *km_wanted_topic(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic_key key;

	if (km_wanted_key(session, request, &key) < 0)
		return NULL;
	struct km_topic *topic = km_topic_find(session->broker, &key);
	if (!topic)
		refuse_missing(session, &key);
	return topic;
}

struct km_topic *km_wanted_topic_anyhow(
	struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic_key key;

	if (km_wanted_key(session, request, &key) < 0)
		return NULL;
	struct km_topic *topic = km_topic_find_any(session->broker, &key);
	if (!topic)
		refuse_missing(session, &key);
	return topic;
}

/* Finds the first field of the config that is out of its range. */
static void find_impossible(struct km_wanted *wanted)
{
	const char *field = km_geometry_check(&wanted->geometry);

	if (field) {
		wanted->impossible.field = field;
		wanted->impossible.value = km_geometry_field(&wanted->geometry, field);
		km_geometry_limits(
			&wanted->geometry, field, &wanted->impossible.min, &wanted->impossible.max);
	} else if (wanted->lifetime.linger_ns > KM_MAX_LINGER_NS) {
		wanted->impossible.field = "linger_ns";
		wanted->impossible.value = wanted->lifetime.linger_ns;
		wanted->impossible.max = KM_MAX_LINGER_NS;
	}
}

/* Settles how many slots the topic has. The need depends on its kind (a mailbox has one
 * subscriber), and on the transport, which a rule may have chosen. */
static void settle_pool(struct km_wanted *wanted)
{
	struct km_geometry shape = wanted->geometry;

	if (wanted->key.kind == KM_KIND_MAILBOX)
		shape.max_subscribers = 1;
	wanted->geometry.pool_size = km_geometry_pool(
		&shape, wanted->key.kind == KM_KIND_BROADCAST);
}

/* Settles the config of the topic that the request would make. */
static void settle_config(struct km_wanted *wanted, const struct km_msg_attach *request)
{
	wanted->has_config = request->has_geometry;
	wanted->lifetime = (struct km_lifetime){ .linger_ns = request->linger_ns,
		.persistent = request->persistent };
	if (wanted->has_config)
		wanted->geometry = request->geometry;
	else
		km_geometry_init(&wanted->geometry);
	/* requests and replies are between two clients, and no rule on topics is about those */
	wanted->shared_by_rule = wanted->key.kind < KM_KIND_SERVICE &&
				 km_rights_need_shared(
					 wanted->session, &wanted->key, &wanted->rule);
	if (wanted->shared_by_rule &&
		(!wanted->has_config || request->flags & KM_ATTACH_AUTO_TRANSPORT))
		wanted->geometry.transport = KM_TRANSPORT_SHARED;
	settle_pool(wanted);
	find_impossible(wanted);
	if (wanted->key.kind == KM_KIND_MAILBOX)
		wanted->geometry.max_subscribers = 1;
}

/* Does the request make the topic if need be? A mailbox is made by its owner, which receives from
 * it, and so are a caller's replies. A server makes the service, and a caller its requests. */
static bool creates(const struct km_msg_attach *request)
{
	if (request->header.op == KM_OP_ADVERTISE)
		return !(request->flags & KM_ATTACH_MUST_EXIST) &&
		       request->kind != KM_KIND_MAILBOX && request->kind != KM_KIND_REPLIES;
	return request->flags & KM_ATTACH_CREATE && !(request->flags & KM_ATTACH_OBSERVE) &&
	       request->kind != KM_KIND_SERVICE && request->kind != KM_KIND_REQUESTS;
}

uint32_t km_wanted_history(const struct km_wanted *wanted, const struct km_topic *topic)
{
	if (wanted->history > 0 || wanted->no_history)
		return wanted->history;
	return topic->region.geometry.history;
}

int km_wanted_attach(
	struct km_session *session, const struct km_msg_attach *request, struct km_wanted *ret)
{
	*ret = (struct km_wanted){
		.session = session,
		.op = request->header.op,
		.role = request->header.op == KM_OP_ADVERTISE ? KM_ROLE_PUBLISHER
							      : KM_ROLE_SUBSCRIBER,
		.observes = request->flags & KM_ATTACH_OBSERVE,
		.writable = request->flags & KM_ATTACH_WRITABLE,
		.reliable = request->flags & KM_ATTACH_RELIABLE,
		.wants_events = request->flags & KM_ATTACH_EVENTS,
		.waits = request->flags & KM_ATTACH_WAIT,
		.history = request->history,
		.no_history = request->flags & KM_ATTACH_NO_HISTORY,
		.segments = request->segments,
		.creates = creates(request),
		.takes_any = request->flags & KM_ATTACH_ANY_CONFIG,
		.schema = request->has_schema ? &request->schema : NULL,
		.expected = request->has_wanted ? &request->wanted : NULL,
	};
	int r = read_names(session, request->kind, session->kept.prefix, request->topic,
		request->owner, &ret->key);

	if (r == 0)
		settle_config(ret, request);
	return r;
}
