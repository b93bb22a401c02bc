/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: comparing them, fingerprints, and the topic's own. */
#include <errno.h>
#include <string.h>

#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/export.h"
#include "libclient/handle/handle.h"

static_assert(sizeof(struct kickmsg_schema) == sizeof(struct km_schema) &&
		      offsetof(struct kickmsg_schema, name) == offsetof(struct km_schema, name) &&
		      offsetof(struct kickmsg_schema, flags) == offsetof(struct km_schema, flags),
	"a schema is the same bytes on both sides");

KM_EXPORT uint32_t kickmsg_schema_diff(
	const struct kickmsg_schema *a, const struct kickmsg_schema *b)
{
	struct km_schema first, second;

	memcpy(&first, a, sizeof first);
	memcpy(&second, b, sizeof second);
	return km_schema_diff(&first, &second);
}

KM_EXPORT uint64_t kickmsg_fnv1a64(uint64_t hash, const void *data, size_t size)
{
	return km_fnv1a64(hash, data, size);
}

static void set_fingerprint(uint8_t field[64], const void *data, size_t size)
{
	uint64_t hash = km_fnv1a64(KM_FNV1A64_INIT, data, size);

	memset(field, 0, 64);
	for (unsigned i = 0; i < 8; i++)
		field[i] = (uint8_t)(hash >> (56 - 8 * i));
}

KM_EXPORT void kickmsg_schema_set_identity(
	struct kickmsg_schema *schema, const void *data, size_t size)
{
	set_fingerprint(schema->identity, data, size);
	schema->identity_algo = KICKMSG_ALGO_FNV1A64;
}

KM_EXPORT void kickmsg_schema_set_layout(
	struct kickmsg_schema *schema, const void *data, size_t size)
{
	set_fingerprint(schema->layout, data, size);
	schema->layout_algo = KICKMSG_ALGO_FNV1A64;
}

KM_EXPORT int kickmsg_topic_schema(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_schema *ret)
{
	struct km_msg_topic request;
	union km_msg answer;
	int r = km_request_topic(client, topic, KM_OP_SCHEMA, &request);

	if (r == 0)
		r = km_client_call(
			client, &request, sizeof request, KM_OP_SCHEMA_OK, &answer, NULL, NULL);
	if (r < 0)
		return r;
	if (!answer.schema_ok.has_schema)
		return km_client_fail(client, -ENODATA, "topic %s has no schema", request.topic);
	km_handle_learn_schema(client, &request, &answer.schema_ok.schema);
	memcpy(ret, &answer.schema_ok.schema, sizeof *ret);
	return 0;
}

KM_EXPORT int kickmsg_claim_schema(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_schema *schema,
	struct kickmsg_schema *ret)
{
	struct km_msg_claim request;
	union km_msg answer;
	char words[96];
	int r = km_request_topic(client, topic, KM_OP_CLAIM, &request.topic);

	if (r < 0)
		return r;
	memcpy(&request.schema, schema, sizeof request.schema);
	r = km_client_call(client, &request, sizeof request, KM_OP_SCHEMA_OK, &answer, NULL, NULL);
	if (r < 0)
		return r;
	km_handle_learn_schema(client, &request.topic, &answer.schema_ok.schema);
	if (ret)
		memcpy(ret, &answer.schema_ok.schema, sizeof *ret);
	if (answer.schema_ok.won)
		return 0;
	km_schema_diff_text(
		km_schema_diff(&request.schema, &answer.schema_ok.schema), words, sizeof words);
	return km_client_fail(client, -EEXIST, "topic %s has another schema: %s differ",
		request.topic.topic, words);
}
