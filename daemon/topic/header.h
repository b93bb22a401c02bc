/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constant part of a topic's control header. Only the broker's own copy counts; the header
 * repeats it for people with a debugger. Every client that has the segment writable can write
 * there, so the broker compares all of it at each look at the topic and before each newcomer.
 */
#pragma once

#include "daemon/run/broker.h"

/* Writes into the header what the broker knows of the topic. */
void km_header_write(struct km_topic *topic);

/* Gives the topic a schema, which it must not have: the broker's copy, then the header's. */
void km_header_set_schema(struct km_topic *topic, const struct km_schema *schema);

/* Compares the header with the broker's copy, and mends it. A difference is logged, with the
 * clients that can have written it, and kept as the topic's reason for `diagnose`. */
void km_header_look(struct km_topic *topic);
