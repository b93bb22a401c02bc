/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's config in a recording: see shape.h. */
#include "ctl/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void ctl_shape_write(const struct kickmsg_topic_config *config, struct ctl_shape *ret)
{
#define WRITE(field)                                                                               \
	snprintf(ret->numbers[CTL_SHAPE_##field], sizeof ret->numbers[0], "%" PRIu64,              \
		(uint64_t)config->field);                                                          \
	ret->pairs[CTL_SHAPE_##field] = (struct mcap_pair){ "kickmsg." #field,                     \
		ret->numbers[CTL_SHAPE_##field] };
	CTL_SHAPE_FIELDS(WRITE)
#undef WRITE
}

/* The number of a key; without one, or where it is no number up to `most`, `otherwise`. */
static uint64_t number_of(
	const struct mcap_channel *channel, const char *key, uint64_t most, uint64_t otherwise)
{
	const char *text = mcap_find_metadata(channel, key);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	uint64_t value = strtoull(text, &end, 10);
	return *end || value > most ? otherwise : value;
}

void ctl_shape_read(const struct mcap_channel *channel, struct kickmsg_topic_config *ret)
{
#define READ(field)                                                                                \
	ret->field = (typeof(ret->field))number_of(                                                \
		channel, "kickmsg." #field, (typeof(ret->field))-1, ret->field);
	CTL_SHAPE_FIELDS(READ)
#undef READ
}
