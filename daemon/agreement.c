/* SPDX-License-Identifier: Apache-2.0 */
/* Config and schema of newcomers: see agreement.h. */
#include <errno.h>
#include <string.h>

#include "agreement.h"
#include "log.h"
#include "session.h"

typedef unsigned long long ull;

bool km_agreement_is_possible(struct km_session *session, const struct km_topic_key *key,
	const struct km_msg_attach *request)
{
	const char *field = km_geometry_check(&request->geometry);
	uint64_t value, min = 0, max = 0;

	if (field) {
		km_geometry_limits(&request->geometry, field, &min, &max);
		value = km_geometry_field(&request->geometry, field);
	} else if (request->linger_ns > KM_MAX_LINGER_NS) {
		field = "linger_ns";
		value = request->linger_ns;
		max = KM_MAX_LINGER_NS;
	} else {
		return true;
	}
	km_session_refuse(session, NULL, -EINVAL, "%s '%s': %s = %llu is not %s from %llu to %llu",
		km_kind_name(key->kind), key->name, field, (ull)value,
		strcmp(field, "ring_capacity") == 0 ? "a power of two" : "a number", (ull)min,
		(ull)max);
	return false;
}

void km_agreement_geometry(const struct km_msg_attach *request, struct km_geometry *ret)
{
	if (request->has_geometry)
		*ret = request->geometry;
	else
		km_geometry_init(ret);
	if (request->kind == KM_KIND_MAILBOX)
		ret->max_subscribers = 1;
}

bool km_agreement_config(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request)
{
	const struct km_lifetime *lifetime = &topic->lifetime;
	struct km_geometry geometry;
	uint64_t stands, asked;

	if (!request->has_geometry || request->flags & KM_ATTACH_ANY_CONFIG)
		return true;
	km_agreement_geometry(request, &geometry);
	const char *field = km_geometry_diff(&topic->region.geometry, &geometry);
	if (field) {
		stands = km_geometry_field(&topic->region.geometry, field);
		asked = km_geometry_field(&geometry, field);
	} else if (lifetime->linger_ns != request->linger_ns) {
		field = "linger_ns";
		stands = lifetime->linger_ns;
		asked = request->linger_ns;
	} else if (lifetime->persistent != request->persistent) {
		field = "persistent";
		stands = lifetime->persistent;
		asked = request->persistent;
	} else {
		return true;
	}
	km_session_refuse(session, topic, -EEXIST, "%s '%s' exists with %s = %llu, not %llu",
		km_kind_name(topic->key.kind), topic->key.name, field, (ull)stands, (ull)asked);
	return false;
}

bool km_agreement_wanted(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request)
{
	static const struct km_schema none;
	const struct km_schema *schema = request->has_schema ? &request->schema : &none;
	bool has = topic && topic->has_schema;
	char words[96];

	if (!request->has_wanted)
		return true;
	if (has)
		schema = &topic->schema;
	uint32_t diff = km_schema_diff(schema, &request->wanted);
	if (diff == 0 && schema != &none)
		return true;
	km_schema_diff_text(diff, words, sizeof words);
	session->detail = diff;
	if (schema == &none)
		km_session_refuse(session, topic, -EPROTOTYPE, "%s '%s' has no schema",
			km_kind_name(request->kind), request->topic);
	else
		km_session_refuse(session, topic, -EPROTOTYPE,
			"%s '%s' has another schema than is wanted: %s differ (0x%x)",
			km_kind_name(request->kind), request->topic, words, diff);
	return false;
}

bool km_agreement_schema(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request)
{
	char words[96];

	if (request->has_schema && topic->has_schema && !(request->flags & KM_ATTACH_ANY_CONFIG)) {
		uint32_t diff = km_schema_diff(&topic->schema, &request->schema);

		if (diff) {
			km_schema_diff_text(diff, words, sizeof words);
			session->detail = diff;
			km_session_refuse(session, topic, -EEXIST,
				"%s '%s' exists with another schema: %s differ (0x%x)",
				km_kind_name(topic->key.kind), topic->key.name, words, diff);
			return false;
		}
	}
	return km_agreement_wanted(session, topic, request);
}

void km_agreement_warn(const struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request)
{
	const struct km_geometry *geometry = &topic->region.geometry;
	uint64_t needed = km_geometry_needed_pool(geometry, topic->key.kind == KM_KIND_BROADCAST);

	if (request->has_geometry && geometry->pool_size < needed)
		km_log(LOG_WARNING | KM_EVENT_POOL_TOO_SMALL, session, topic,
			"pool_size = %u is below the %llu that it takes when all are at their "
			"limits: "
			"a send may find no free slot",
			geometry->pool_size, (ull)needed);
}
