/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of one ring. */
#pragma once

#include <stdint.h>

struct km_member;
struct km_ring_stats;
struct km_topic;

/* Where the topic's shared ring ends: one search for all its subscribers. 0: the topic has none, or was
 * given up. */
uint64_t km_stats_frontier(const struct km_topic *topic);

/* The numbers of a subscriber that is LIVE, in a topic with that frontier; `handle` is 0. */
void km_stats_describe_ring(
	const struct km_member *member, uint64_t frontier, struct km_ring_stats *ret);
