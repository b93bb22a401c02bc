/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's configuration: defaults, and what is wrong with one. */
#include "libclient/client/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/protocol/wire.h"
#include "libclient/export.h"

/* Ring capacity of a topic whose last message alone matters: a subscriber that reads one has some
 * time for it. */
#define LATCHED_CAPACITY 4

KM_EXPORT void kickmsg_topic_config_init(struct kickmsg_topic_config *config)
{
	struct km_geometry geometry;

	km_geometry_init(&geometry);
	*config = (struct kickmsg_topic_config){
		.max_subscribers = geometry.max_subscribers,
		.ring_capacity = geometry.ring_capacity,
		.pool_size = geometry.pool_size,
		.max_publishers = geometry.max_publishers,
		.max_payload_size = geometry.max_payload_size,
		.max_loans = geometry.max_loans,
		.max_borrows = geometry.max_borrows,
	};
}

KM_EXPORT void kickmsg_topic_config_latched(struct kickmsg_topic_config *config)
{
	kickmsg_topic_config_init(config);
	config->transport = KICKMSG_TRANSPORT_SHARED;
	config->ring_capacity = LATCHED_CAPACITY;
	config->persistent = 1;
	config->history = 1;
}

/* A stalled reliable subscriber's time, where the config says nothing. */
#define STALL_NS UINT64_C(1000000000)

/* AUTO chooses a shared ring up to this size: a copy of a message costs less there than a slot for
 * it (docs/measurements.md). So it does for many subscribers, which no other transport takes. */
#define AUTO_MAX_PAYLOAD 4096

static uint32_t transport_of(const struct kickmsg_topic_config *config)
{
	if (config->transport != KICKMSG_TRANSPORT_AUTO)
		return config->transport;
	if (config->max_reliable > 0)
		return config->max_subscribers > KM_MAX_RINGS || config->history > 0
			       ? KM_TRANSPORT_SHARED
			       : KM_TRANSPORT_RINGS;
	return config->max_payload_size <= AUTO_MAX_PAYLOAD ||
			       config->max_subscribers > KM_MAX_RINGS - (config->history > 0)
		       ? KM_TRANSPORT_SHARED
		       : KM_TRANSPORT_RINGS;
}

/* The shape that a config says, for a topic that isn't a broadcast channel or mailbox. */
static struct km_geometry geometry_of(const struct kickmsg_topic_config *config)
{
	struct km_geometry geometry = {
		.max_subscribers = config->max_subscribers,
		.ring_capacity = config->ring_capacity,
		.pool_size = config->pool_size,
		.max_publishers = config->max_publishers,
		.max_payload_size = config->max_payload_size,
		.max_loans = config->max_loans,
		.max_borrows = config->max_borrows,
		.transport = transport_of(config),
		.timestamps = config->timestamps,
		.max_reliable = config->max_reliable,
		.stall_ns = config->stall_ns,
		.history = config->history,
	};

	if (geometry.max_reliable > 0 && geometry.stall_ns == 0)
		geometry.stall_ns = STALL_NS;

	geometry.pool_size = km_geometry_pool(&geometry, false);
	return geometry;
}

/* The rest of the sentence that tells a field's range. */
static const char *more_of(const struct km_geometry *geometry, const char *field)
{
	if (strcmp(field, "history") == 0 && geometry->max_reliable > 0)
		return geometry->transport == KM_TRANSPORT_SHARED
			       ? ", below ring_capacity where max_reliable is above 0"
			       : ", since private rings with max_reliable have no history";
	if (strcmp(field, "pool_size") == 0)
		return ", where 0 stands for as many as are needed";
	return strcmp(field, "ring_capacity") == 0 ? " and a power of two" : "";
}

/* The first bad field of a config; null: all are good. */
static const char *bad_field(const struct kickmsg_topic_config *config)
{
	struct km_geometry geometry = geometry_of(config);
	const char *field = km_geometry_check(&geometry);

	if (field)
		return field;
	if (config->linger_ns > KM_MAX_LINGER_NS)
		return "linger_ns";
	return config->persistent > 1 ? "persistent" : "reserved";
}

int km_topic_config_to_geometry(const struct kickmsg_topic_config *config, struct km_geometry *ret,
	char *ret_text, size_t text_size)
{
	static const struct kickmsg_topic_config zero;
	struct km_geometry geometry = geometry_of(config);
	const char *field = km_geometry_check(&geometry);

	if (field) {
		uint64_t min = 0, max = 0, value = km_geometry_field(&geometry, field);

		km_geometry_limits(&geometry, field, &min, &max);
		if (strcmp(field, "transport") == 0)
			max = KICKMSG_TRANSPORT_AUTO;
		snprintf(ret_text, text_size,
			"%s is %" PRIu64 "; it must be %" PRIu64 " to %" PRIu64 "%s", field, value,
			min, max, more_of(&geometry, field));
		return -EINVAL;
	}
	if (config->linger_ns > KM_MAX_LINGER_NS || config->persistent > 1) {
		bool linger = config->linger_ns > KM_MAX_LINGER_NS;

		snprintf(ret_text, text_size, "%s is %" PRIu64 "; it must be 0 to %" PRIu64,
			linger ? "linger_ns" : "persistent",
			linger ? config->linger_ns : config->persistent,
			linger ? KM_MAX_LINGER_NS : UINT64_C(1));
		return -EINVAL;
	}
	if (config->reserved32 != 0 ||
		memcmp(config->reserved, zero.reserved, sizeof zero.reserved) != 0) {
		snprintf(ret_text, text_size,
			"reserved fields of the topic's configuration are not zero: "
			"call kickmsg_topic_config_init() first");
		return -EINVAL;
	}
	*ret = geometry;
	ret->pool_size = config->pool_size; /* the broker knows the topic's kind, and so its pool */
	return 0;
}

KM_EXPORT int kickmsg_topic_config_check(
	const struct kickmsg_topic_config *config, struct kickmsg_topic_sizing *ret)
{
	struct kickmsg_topic_config defaults;
	struct km_geometry geometry;
	char text[KM_WIRE_TEXT_SIZE];

	if (!config) {
		kickmsg_topic_config_init(&defaults);
		config = &defaults;
	}
	*ret = (struct kickmsg_topic_sizing){ 0 };
	if (km_topic_config_to_geometry(config, &geometry, text, sizeof text) < 0) {
		ret->bad_field = bad_field(config);
		return -EINVAL;
	}
	geometry = geometry_of(config);
	ret->control_bytes = km_geometry_control_size(&geometry);
	ret->payload_bytes = km_geometry_payload_size(&geometry);
	ret->total_bytes = km_geometry_total_size(&geometry);
	ret->needed_pool = km_geometry_needed_pool(&geometry, false);
	ret->needed_pool_broadcast = km_geometry_needed_pool(&geometry, true);
	ret->config_hash = km_config_hash(&geometry, config->linger_ns, config->persistent);
	return geometry.pool_size < ret->needed_pool;
}
