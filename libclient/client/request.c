/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the users' words into the broker's: names are written (name.h), configs checked. */
#include "libclient/client/request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libclient/client/config.h"

static int put_part(
	struct kickmsg_client *client, const char *what, const char *part, char *ret, size_t size)
{
	char shown[65];

	if (part && km_name_escape(part, ret, size) == 0)
		return 0;
	km_name_printable(part ? part : "", shown, sizeof shown);
	return km_client_fail(client, -EINVAL,
		"%s name \"%s\" is empty or longer than %zu bytes, with three for each that isn't "
		"one "
		"of [A-Za-z0-9._-/]",
		what, shown, size - 1);
}

int km_request_name(struct kickmsg_client *client, enum km_kind kind, const char *name,
	const char *owner, struct km_msg_attach *ret)
{
	if (km_client_is_inherited(client))
		return -ECHILD;
	int r = put_part(client, km_kind_name(kind), name, ret->topic, sizeof ret->topic);

	ret->kind = kind;
	if (r == 0 && owner)
		r = put_part(client, "client", owner, ret->owner, sizeof ret->owner);
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
	if (config->transport == KICKMSG_TRANSPORT_AUTO)
		ret->flags |= KM_ATTACH_AUTO_TRANSPORT;
	ret->linger_ns = config->linger_ns;
	ret->persistent = config->persistent;
	if (config->schema) {
		ret->has_schema = 1;
		memcpy(&ret->schema, config->schema, sizeof ret->schema);
	}
	return 0;
}

/* The shape that the broker makes of the request, unless a rule chooses another transport. */
static struct km_geometry shape_of(const struct km_msg_attach *request)
{
	struct km_geometry shape = request->geometry;

	if (request->kind == KM_KIND_MAILBOX)
		shape.max_subscribers = 1;
	shape.pool_size = km_geometry_pool(&shape, request->kind == KM_KIND_BROADCAST);
	return shape;
}

static void warn_of_pool(struct kickmsg_client *client, const struct km_msg_attach *request)
{
	struct km_geometry geometry = shape_of(request);
	uint64_t needed = km_geometry_needed_pool(&geometry, request->kind == KM_KIND_BROADCAST);
	if (geometry.pool_size < needed)
		km_client_fail(client, 0,
			"warning: topic %s: pool_size = %u is below the %" PRIu64
			" that it takes when all are at their limits: a send may fail with EAGAIN",
			request->topic, geometry.pool_size, needed);
}

/* The first difference between the topic and what was asked for; null: there is none. */
static const char *find_difference(const struct km_msg_attach *asked,
	const struct km_msg_attached *stands, uint64_t *ret_asked, uint64_t *ret_stands)
{
	const struct km_geometry shape = shape_of(asked);
	const char *field = km_geometry_diff(&shape, &stands->geometry);

	if (field) {
		*ret_asked = km_geometry_field(&shape, field);
		*ret_stands = km_geometry_field(&stands->geometry, field);
	} else if (asked->linger_ns != stands->linger_ns) {
		field = "linger_ns";
		*ret_asked = asked->linger_ns;
		*ret_stands = stands->linger_ns;
	} else if (asked->persistent != stands->persistent) {
		field = "persistent";
		*ret_asked = asked->persistent;
		*ret_stands = stands->persistent;
	}
	return field;
}

void km_request_warn(struct kickmsg_client *client, const struct km_msg_attach *request,
	const struct km_msg_attached *answer)
{
	uint64_t asked = 0, stands = 0;
	char words[96];

	if (request->has_geometry && request->kind < KM_KIND_SERVICE)
		warn_of_pool(client, request);
	if (!(request->flags & KM_ATTACH_ANY_CONFIG))
		return; /* the broker has compared them */
	const char *field = request->has_geometry
				    ? find_difference(request, answer, &asked, &stands)
				    : NULL;
	uint32_t diff = request->has_schema && answer->has_schema
				? km_schema_diff(&request->schema, &answer->schema)
				: 0;
	if (field)
		km_client_fail(client, 0,
			"warning: topic %s was there with %s = %" PRIu64 ", not %" PRIu64
			", and is taken as it is",
			request->topic, field, stands, asked);
	else if (diff) {
		km_schema_diff_text(diff, words, sizeof words);
		km_client_fail(client, 0,
			"warning: topic %s was there with another schema, and is taken as it is: "
			"%s "
			"differ",
			request->topic, words);
	}
}

int km_request_topic(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	uint32_t op, struct km_msg_topic *ret)
{
	static const struct kickmsg_topic_ref zero;

	if (km_client_is_inherited(client))
		return -ECHILD;
	*ret = (struct km_msg_topic){ .header.op = op, .kind = topic->kind };
	if ((uint32_t)topic->kind > KM_KIND_LAST || topic->reserved32 != 0 ||
		memcmp(topic->reserved, zero.reserved, sizeof zero.reserved) != 0)
		return km_client_fail(client, -EINVAL, "%u is not a kind of topic", topic->kind);
	int r = put_part(
		client, km_kind_name(topic->kind), topic->name, ret->topic, sizeof ret->topic);
	if (r == 0 && topic->prefix)
		r = put_part(client, "prefix", topic->prefix, ret->prefix, sizeof ret->prefix);
	if (r == 0 && topic->owner && km_kind_has_owner(topic->kind))
		r = put_part(client, "client", topic->owner, ret->owner, sizeof ret->owner);
	return r;
}
