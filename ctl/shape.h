/* SPDX-License-Identifier: Apache-2.0 */
/* The config of a topic that is recorded: metadata "kickmsg.FIELD" of its channel, a number each. Its schema
 * is the channel's own. */
#pragma once

#include <assert.h>
#include <kickmsg.h>

#include "ctl/mcap.h"

#define CTL_SHAPE_FIELDS(X)                                                                        \
	X(max_subscribers)                                                                         \
	X(ring_capacity)                                                                           \
	X(pool_size)                                                                               \
	X(max_publishers)                                                                          \
	X(max_payload_size)                                                                        \
	X(max_loans)                                                                               \
	X(max_borrows)                                                                             \
	X(linger_ns)                                                                               \
	X(persistent)                                                                              \
	X(transport)                                                                               \
	X(timestamps)                                                                              \
	X(max_reliable)                                                                            \
	X(stall_ns)                                                                                \
	X(history)

enum {
#define CTL_SHAPE_ID(field) CTL_SHAPE_##field,
	CTL_SHAPE_FIELDS(CTL_SHAPE_ID)
#undef CTL_SHAPE_ID
		CTL_SHAPE_COUNT
};

/* Only the schema and the reserved words are no such fields. */
#define CTL_SHAPE_SIZE(field) +sizeof((struct kickmsg_topic_config *)NULL)->field
static_assert(sizeof(struct kickmsg_topic_config) ==
		      0 CTL_SHAPE_FIELDS(CTL_SHAPE_SIZE) CTL_SHAPE_SIZE(schema)
			      CTL_SHAPE_SIZE(reserved32) CTL_SHAPE_SIZE(reserved),
	"each field of a topic's config is recorded");
#undef CTL_SHAPE_SIZE

struct ctl_shape {
	char numbers[CTL_SHAPE_COUNT][24];
	struct mcap_pair pairs[CTL_SHAPE_COUNT]; /* point there */
};

void ctl_shape_write(const struct kickmsg_topic_config *config, struct ctl_shape *ret);
/* Reads the fields that the channel has, and leaves the others alone. */
void ctl_shape_read(const struct mcap_channel *channel, struct kickmsg_topic_config *ret);
