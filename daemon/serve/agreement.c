/* SPDX-License-Identifier: Apache-2.0 */
/* The decision on an ADVERTISE or SUBSCRIBE: see agreement.h. */
#include <errno.h>
#include <string.h>

#include "daemon/peer/session.h"
#include "daemon/serve/agreement.h"
#include "daemon/serve/callers.h"
#include "daemon/serve/rights.h"
#include "daemon/topic/reliable.h"

typedef unsigned long long ull;

/* May the client receive from the topic? To a mailbox only its owner subscribes. */
static bool may_receive(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_topic_key *key = &wanted->key;
	struct km_session *session = wanted->session;

	if (key->kind != KM_KIND_MAILBOX || wanted->role != KM_ROLE_SUBSCRIBER)
		return true;
	if (strcmp(key->owner, session->kept.name) != 0) {
		km_session_refuse(session, NULL, -EACCES,
			"the mailbox '%s' is %s's, not %s's to receive from", key->name, key->owner,
			session->kept.name);
		return false;
	}
	if (!topic || topic->kept.owner_uid == session->kept.uid)
		return true;
	km_session_refuse(session, topic, -EACCES,
		"the mailbox '%s' of %s is uid %u's, not uid %u's", key->name, key->owner,
		topic->kept.owner_uid, session->kept.uid);
	return false;
}

bool km_agreement_writable(const struct km_wanted *wanted, const struct km_topic *topic)
{
	enum km_right right = wanted->key.kind == KM_KIND_SERVICE ? KM_RIGHT_SERVE
								  : KM_RIGHT_PUBLISH;

	return !wanted->writable ||
	       km_rights_allow(wanted->session, &wanted->key, topic, right, "have writable");
}

static bool can_be_found(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_topic_key *key = &wanted->key;

	if (topic || wanted->creates)
		return true;
	km_session_refuse(wanted->session, NULL, -ENOENT,
		"there is no %s '%s'%s%s with prefix '%s'", km_kind_name(key->kind), key->name,
		*key->owner ? " of " : "", key->owner, key->prefix);
	return false;
}

/* Has the topic, where the request makes it, the transport that a rule wants? */
static bool has_transport(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_topic_key *key = &wanted->key;
	char where[KM_ORIGIN_TEXT_SIZE];

	if (topic || !wanted->shared_by_rule || wanted->geometry.transport == KM_TRANSPORT_SHARED)
		return true;
	km_session_refuse(wanted->session, NULL, -EACCES,
		"%s: %s '%.60s' has to have the shared transport: its subscribers are not trusted "
		"to write into its rings",
		km_origin_text(&wanted->rule, where), km_kind_name(key->kind), key->name);
	return false;
}

static bool is_possible(const struct km_wanted *wanted)
{
	const char *field = wanted->impossible.field;

	if (!field)
		return true;
	km_session_refuse(wanted->session, NULL, -EINVAL,
		"%s '%s': %s = %llu is not %s from %llu to %llu", km_kind_name(wanted->key.kind),
		wanted->key.name, field, (ull)wanted->impossible.value,
		strcmp(field, "ring_capacity") == 0 ? "a power of two" : "a number",
		(ull)wanted->impossible.min, (ull)wanted->impossible.max);
	return false;
}

static bool agrees_in_config(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_lifetime *there = &topic->kept.lifetime;
	uint64_t stands, asked;

	if (!wanted->has_config || wanted->takes_any)
		return true;
	const char *field = km_geometry_diff(&topic->region.geometry, &wanted->geometry);
	if (field) {
		stands = km_geometry_field(&topic->region.geometry, field);
		asked = km_geometry_field(&wanted->geometry, field);
	} else if (there->linger_ns != wanted->lifetime.linger_ns) {
		field = "linger_ns";
		stands = there->linger_ns;
		asked = wanted->lifetime.linger_ns;
	} else if (there->persistent != wanted->lifetime.persistent) {
		field = "persistent";
		stands = there->persistent;
		asked = wanted->lifetime.persistent;
	} else {
		return true;
	}
	km_session_refuse(wanted->session, topic, -EEXIST,
		"%s '%s' exists with %s = %llu, not %llu", km_kind_name(wanted->key.kind),
		wanted->key.name, field, (ull)stands, (ull)asked);
	return false;
}

/* Does the schema that the request brings agree with the topic's? */
static bool agrees_in_schema(const struct km_wanted *wanted, const struct km_topic *topic)
{
	char words[96];

	if (!wanted->schema || !topic->kept.has_schema || wanted->takes_any)
		return true;
	uint32_t diff = km_schema_diff(&topic->kept.schema, wanted->schema);
	if (diff == 0)
		return true;
	km_schema_diff_text(diff, words, sizeof words);
	wanted->session->detail = diff;
	km_session_refuse(wanted->session, topic, -EEXIST,
		"%s '%s' exists with another schema: %s differ (0x%x)",
		km_kind_name(wanted->key.kind), wanted->key.name, words, diff);
	return false;
}

/* Is the topic's schema, or the one that this request gives it, the schema that the client
 * expects? */
static bool has_expected_schema(const struct km_wanted *wanted, const struct km_topic *topic)
{
	static const struct km_schema none;
	const struct km_schema *schema = topic && topic->kept.has_schema ? &topic->kept.schema
									 : wanted->schema;
	char words[96];

	if (!wanted->expected)
		return true;
	uint32_t diff = km_schema_diff(schema ? schema : &none, wanted->expected);
	if (schema && diff == 0)
		return true;
	wanted->session->detail = diff;
	if (!schema) {
		km_session_refuse(wanted->session, topic, -EPROTOTYPE, "%s '%s' has no schema",
			km_kind_name(wanted->key.kind), wanted->key.name);
		return false;
	}
	km_schema_diff_text(diff, words, sizeof words);
	km_session_refuse(wanted->session, topic, -EPROTOTYPE,
		"%s '%s' has another schema than is wanted: %s differ (0x%x)",
		km_kind_name(wanted->key.kind), wanted->key.name, words, diff);
	return false;
}

static bool may_join(const struct km_wanted *wanted, const struct km_topic *topic)
{
	bool sets_schema = wanted->schema && !topic->kept.has_schema;

	return (!sets_schema || km_rights_allow_schema(wanted->session, topic)) &&
	       agrees_in_config(wanted, topic) && agrees_in_schema(wanted, topic);
}

/* Only a shared ring has observers. It has history also where its config says nothing of it. */
static bool transport_can(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_geometry *geometry = topic ? &topic->region.geometry : &wanted->geometry;

	if (geometry->transport == KM_TRANSPORT_SHARED ||
		((!wanted->history || geometry->history) && !wanted->observes))
		return true;
	km_session_refuse(wanted->session, topic, -EOPNOTSUPP,
		"topic '%s' has a ring for each subscriber: %s", wanted->key.name,
		wanted->observes ? "only a shared ring has observers"
				 : "it has no history unless its config says so");
	return false;
}

/* Do publishers of a topic of that kind wait for anybody? */
static bool has_reliable(const struct km_wanted *wanted, const struct km_topic *topic)
{
	if (topic || wanted->geometry.max_reliable == 0 || wanted->key.kind == KM_KIND_PUBSUB)
		return true;
	km_session_refuse(wanted->session, NULL, -EOPNOTSUPP,
		"%s '%.60s': max_reliable = %u, but only a topic of kind pubsub has reliable "
		"subscribers; leave it 0",
		km_kind_name(wanted->key.kind), wanted->key.name, wanted->geometry.max_reliable);
	return false;
}

/* May it be one of the topic's reliable subscribers? */
static bool may_be_reliable(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_geometry *geometry = topic ? &topic->region.geometry : &wanted->geometry;

	if (!wanted->reliable)
		return true;
	if (geometry->max_reliable == 0) {
		km_session_refuse(wanted->session, topic, -EOPNOTSUPP,
			"topic '%s' has no reliable subscribers: its config says max_reliable = 0",
			wanted->key.name);
		return false;
	}
	if (!km_rights_allow(wanted->session, &wanted->key, topic, KM_RIGHT_RELIABLE,
		    "subscribe reliably to"))
		return false;
	if (!topic || km_reliable_has_room(topic))
		return true;
	km_session_refuse(wanted->session, topic, -ENOSPC,
		"topic '%s' has all its %u reliable subscribers", wanted->key.name,
		geometry->max_reliable);
	return false;
}

bool km_agreement_may_wait(const struct km_wanted *wanted)
{
	return may_receive(wanted, NULL);
}

bool km_agreement_allows(const struct km_wanted *wanted, const struct km_topic *topic)
{
	return may_receive(wanted, topic) && km_callers_allow(wanted) &&
	       can_be_found(wanted, topic) &&
	       km_rights_allow_role(wanted->session, &wanted->key, topic, wanted->role) &&
	       km_agreement_writable(wanted, topic) && has_transport(wanted, topic) &&
	       is_possible(wanted) && (!topic || may_join(wanted, topic)) &&
	       has_expected_schema(wanted, topic) && transport_can(wanted, topic) &&
	       has_reliable(wanted, topic) && may_be_reliable(wanted, topic);
}
