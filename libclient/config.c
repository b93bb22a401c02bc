/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's configuration: defaults, and what is wrong with one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

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

int km_topic_config_to_geometry(const struct kickmsg_topic_config *config, struct km_geometry *ret,
	char *ret_text, size_t text_size)
{
	static const struct kickmsg_topic_config zero;
	struct km_geometry geometry = {
		.max_subscribers = config->max_subscribers,
		.ring_capacity = config->ring_capacity,
		.pool_size = config->pool_size,
		.max_publishers = config->max_publishers,
		.max_payload_size = config->max_payload_size,
		.max_loans = config->max_loans,
		.max_borrows = config->max_borrows,
	};
	const char *field = km_geometry_check(&geometry);

	if (field) {
		uint64_t min = 0, max = 0, value = km_geometry_field(&geometry, field);

		km_geometry_limits(field, &min, &max);
		snprintf(ret_text, text_size,
			"%s is %" PRIu64 "; it must be %" PRIu64 " to %" PRIu64 "%s", field, value,
			min, max, strcmp(field, "ring_capacity") == 0 ? " and a power of two" : "");
		return -EINVAL;
	}
	if (memcmp(config->reserved, zero.reserved, sizeof zero.reserved) != 0) {
		snprintf(ret_text, text_size,
			"reserved fields of the topic's configuration are not zero: "
			"call kickmsg_topic_config_init() first");
		return -EINVAL;
	}
	*ret = geometry;
	return 0;
}
