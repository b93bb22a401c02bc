/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of services: see shape.h. */
#include "libclient/service/shape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/memory/region.h"
#include "libclient/export.h"
#include "libclient/service/message.h"

#define AUTO_MAX_SIZE 1024
#define MAX_SIZE      (KM_MAX_PAYLOAD - 64)
#define MAX_CALLS     (KM_MAX_HOLDS - 1) /* a server borrows one message more */
#define MAX_ANSWERS   1024               /* replies to a call */
#define MAX_REPLIES   32768              /* to all calls of a caller */

KM_EXPORT void kickmsg_service_config_init(struct kickmsg_service_config *config)
{
	*config = (struct kickmsg_service_config){
		.max_callers = 64,
		.max_calls = 16,
		.max_replies = 1,
		.transport = KICKMSG_TRANSPORT_AUTO,
		.max_request_size = 4096,
		.max_reply_size = 4096,
	};
}

static bool is_possible(const struct km_service_shape *shape)
{
	return shape->max_callers >= 1 && shape->max_callers <= KM_MAX_SUBSCRIBERS &&
	       shape->max_calls >= 1 && shape->max_calls <= MAX_CALLS && shape->max_replies >= 1 &&
	       shape->max_replies <= MAX_ANSWERS &&
	       shape->max_calls * shape->max_replies <= MAX_REPLIES &&
	       shape->transport <= KM_TRANSPORT_SHARED && shape->max_request_size >= 1 &&
	       shape->max_request_size <= MAX_SIZE && shape->max_reply_size >= 1 &&
	       shape->max_reply_size <= MAX_SIZE;
}

static const char *find_impossible(const struct kickmsg_service_config *config)
{
	static const struct kickmsg_service_config zero;
	const struct {
		const char *name;
		uint64_t value, min, max;
	} fields[] = {
		{ "max_callers", config->max_callers, 1, KM_MAX_SUBSCRIBERS },
		{ "max_calls", config->max_calls, 1, MAX_CALLS },
		{ "max_replies", config->max_replies, 1, MAX_ANSWERS },
		{ "transport", config->transport, 0, KICKMSG_TRANSPORT_AUTO },
		{ "max_request_size", config->max_request_size, 1, MAX_SIZE },
		{ "max_reply_size", config->max_reply_size, 1, MAX_SIZE },
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (fields[i].value < fields[i].min || fields[i].value > fields[i].max)
			return fields[i].name;
	if (config->max_calls * config->max_replies > MAX_REPLIES)
		return "max_calls * max_replies";
	return memcmp(config->reserved, zero.reserved, sizeof zero.reserved) == 0 ? NULL
										  : "reserved";
}

int km_service_shape_of(const struct kickmsg_service_config *config, struct km_service_shape *ret,
	char *ret_text, size_t size)
{
	const char *field = find_impossible(config);

	if (field) {
		snprintf(ret_text, size,
			"the service's %s is out of range: call kickmsg_service_config_init() "
			"first",
			field);
		return -EINVAL;
	}
	*ret = (struct km_service_shape){
		.magic = KM_SERVICE_MAGIC,
		.max_calls = config->max_calls,
		.max_replies = config->max_replies,
		.max_request_size = config->max_request_size,
		.max_reply_size = config->max_reply_size,
		.transport = config->transport,
		.max_callers = config->max_callers,
	};
	if (config->transport == KICKMSG_TRANSPORT_AUTO)
		ret->transport = config->max_request_size <= AUTO_MAX_SIZE &&
						 config->max_reply_size <= AUTO_MAX_SIZE
					 ? KM_TRANSPORT_SHARED
					 : KM_TRANSPORT_RINGS;
	return 0;
}

void km_service_shape_write(const struct km_service_shape *shape, struct km_schema *ret)
{
	memset(ret->reserved, 0, sizeof ret->reserved);
	memcpy(ret->reserved, shape, sizeof *shape);
}

bool km_service_shape_read(const struct km_schema *schema, struct km_service_shape *ret)
{
	memcpy(ret, schema->reserved, sizeof *ret);
	return ret->magic == KM_SERVICE_MAGIC && is_possible(ret);
}

struct km_geometry km_service_geometry(const struct km_service_shape *shape)
{
	return (struct km_geometry){
		.max_subscribers = shape->max_callers,
		.ring_capacity = 1,
		.pool_size = 2,
		.max_publishers = KM_SERVICE_SERVERS,
		.max_payload_size = 8,
		.max_loans = 1,
		.max_borrows = 1,
		.transport = KM_TRANSPORT_SHARED,
	};
}

/* A topic's shape. `most`: messages in the ring at once; `held`: others that are borrowed; `spare`: borrows of
 * the library's own. */
static struct km_geometry geometry(const struct km_service_shape *shape, uint32_t most,
	uint32_t held, uint32_t spare, uint64_t size)
{
	struct km_geometry ret = {
		.max_subscribers = 1,
		.ring_capacity = 1,
		.pool_size = most + held + KM_SERVICE_LOANS + 2,
		.max_publishers = 1,
		.max_payload_size = size,
		.max_loans = KM_SERVICE_LOANS + 1,
		.max_borrows = shape->max_calls + spare,
		.transport = shape->transport,
		.timestamps = 1, /* their places carry tags: message.h */
	};

	while (ret.ring_capacity < most)
		ret.ring_capacity *= 2;
	/* a shared ring's slot is free only once its cell is written anew */
	if (ret.transport == KM_TRANSPORT_SHARED)
		ret.pool_size = (uint32_t)km_geometry_needed_pool(&ret, false);
	return ret;
}

struct km_geometry km_service_requests(const struct km_service_shape *shape)
{
	return geometry(
		shape, shape->max_calls + KM_SERVICE_CANCELS, 0, 1, shape->max_request_size);
}

struct km_geometry km_service_replies(const struct km_service_shape *shape)
{
	return geometry(shape, shape->max_calls * shape->max_replies + 1, shape->max_calls, 0,
		shape->max_reply_size);
}
