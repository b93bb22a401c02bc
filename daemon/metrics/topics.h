/* SPDX-License-Identifier: Apache-2.0 */
/* Each topic's numbers. For a collector there is one buffer for each family, since a family's samples
 * stand together. */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

struct km_broker;
struct km_topic;
struct km_totals;

#define KM_TOPIC_FAMILIES 16

struct km_topic_lines {
	struct evbuffer *families[KM_TOPIC_FAMILIES];
};

/* Makes a buffer for each family. Errors: -ENOMEM. */
int km_topic_lines_init(struct km_topic_lines *lines, bool openmetrics);
void km_topic_lines_deinit(struct km_topic_lines *lines);

/* Counts the topic's messages once more, into what was told of it. */
void km_topic_count(struct km_topic *topic);

/* Counts the topic's messages once more and adds them to the sum. Returns how much work that was, in
 * slots. */
int64_t km_topic_sum(struct km_totals *sum, struct km_topic *topic);

/* The sums of all topics as they are told: they never go down, also when topics are gone. */
const struct km_totals *km_topics_tell(struct km_broker *broker, const struct km_totals *sum);

/* The topic's free slots; UINT64_MAX: not counted, since its pool is too large for one turn. */
uint64_t km_topic_free_slots(const struct km_topic *topic);

/* Adds a line for the topic to each family. Returns -ENOMEM, or how much work that was, in slots. */
int64_t km_topic_lines_add(struct km_topic_lines *lines, const struct km_topic *topic);

/* Moves all lines behind those that `to` has. Errors: -ENOMEM. */
int km_topic_lines_join(struct km_topic_lines *lines, struct evbuffer *to);
