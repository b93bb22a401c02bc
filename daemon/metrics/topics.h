/* SPDX-License-Identifier: Apache-2.0 */
/* Each topic's numbers for a page of metrics: one buffer for each family, since a family's samples
 * stand together. */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

struct km_topic;

#define KM_TOPIC_FAMILIES 11

struct km_topic_lines {
	struct evbuffer *families[KM_TOPIC_FAMILIES];
};

/* Makes a buffer for each family. Errors: -ENOMEM. */
int km_topic_lines_init(struct km_topic_lines *lines, bool openmetrics);
void km_topic_lines_deinit(struct km_topic_lines *lines);

/* Counts the topic's messages once more, into what was told of it. */
void km_topic_count(struct km_topic *topic);

/* Adds a line for the topic to each family. Returns -ENOMEM, or how much work that was, in slots. */
int64_t km_topic_lines_add(struct km_topic_lines *lines, const struct km_topic *topic);

/* Moves all lines behind those that `to` has. Errors: -ENOMEM. */
int km_topic_lines_join(struct km_topic_lines *lines, struct evbuffer *to);
