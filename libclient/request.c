/* SPDX-License-Identifier: Apache-2.0 */
/* What users say, as the broker wants to hear it: names sanitised and as they were written, configs
 * checked. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "control.h"

/* A part, sanitised, and as it was written if that differs. */
static int put_part(struct kickmsg_client *client, const char *what, const char *part, char *ret,
	char *ret_raw, size_t size)
{
	char shown[KM_NAME_SIZE];

	if (!part || km_name_sanitise(part, ret, size) < 0) {
		km_name_printable(part ? part : "", shown, sizeof shown);
		return km_client_fail(client, -EINVAL,
			"%s name \"%.64s\" is empty or longer than %zu bytes", what, shown,
			size - 1);
	}
	km_name_strip(part, ret_raw, size);
	if (strcmp(ret, ret_raw) == 0)
		memset(ret_raw, 0, size);
	return 0;
}

int km_request_name(struct kickmsg_client *client, enum km_kind kind, const char *name,
	const char *owner, struct km_msg_attach *ret)
{
	int r = put_part(client, km_kind_name(kind), name, ret->topic, ret->raw, sizeof ret->topic);

	ret->kind = kind;
	if (r == 0 && owner)
		r = put_part(
			client, "client", owner, ret->owner, ret->raw_owner, sizeof ret->owner);
	return r;
}

int km_request_config(struct kickmsg_client *client, const struct kickmsg_topic_config *config,
	struct km_msg_attach *ret)
{
	char text[KM_WIRE_TEXT_SIZE];

	if (!config)
		return 0;
	int r = km_topic_config_to_geometry(config, &ret->geometry, text, sizeof text);
	if (r < 0)
		return km_client_fail(client, r, "topic %s: %.180s", ret->topic, text);
	ret->has_geometry = 1;
	ret->linger_ns = config->linger_ns;
	ret->persistent = config->persistent;
	if (config->schema) {
		ret->has_schema = 1;
		memcpy(&ret->schema, config->schema, sizeof ret->schema);
	}
	return 0;
}

void km_request_warn(struct kickmsg_client *client, const struct km_msg_attach *request)
{
	struct km_geometry geometry = request->geometry;

	if (!request->has_geometry)
		return;
	if (request->kind == KM_KIND_MAILBOX)
		geometry.max_subscribers = 1;
	uint64_t needed = km_geometry_needed_pool(&geometry, request->kind == KM_KIND_BROADCAST);
	if (geometry.pool_size < needed)
		km_client_fail(client, 0,
			"warning: topic %s: pool_size = %u is below the %" PRIu64
			" that it takes when all are at their limits: a send may fail with EAGAIN",
			request->topic, geometry.pool_size, needed);
}

int km_request_topic(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	uint32_t op, struct km_msg_topic *ret)
{
	char raw[KM_PREFIX_SIZE];

	*ret = (struct km_msg_topic){ .header.op = op, .kind = topic->kind };
	if ((uint32_t)topic->kind > KM_KIND_LAST || topic->reserved != 0)
		return km_client_fail(client, -EINVAL, "%u is not a kind of topic", topic->kind);
	int r = put_part(client, km_kind_name(topic->kind), topic->name, ret->topic, ret->raw,
		sizeof ret->topic);
	if (r == 0 && topic->prefix)
		r = put_part(client, "prefix", topic->prefix, ret->prefix, raw, sizeof ret->prefix);
	if (r == 0 && topic->owner && topic->kind == KICKMSG_MAILBOX)
		r = put_part(client, "client", topic->owner, ret->owner, raw, sizeof ret->owner);
	return r;
}
