/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through a topic's members that takes several turns. A member that is settled meanwhile is left
 * out, and one that comes may be. The topic isn't freed as long as a walk is in it.
 */
#pragma once

#include <sys/queue.h>

struct km_member;
struct km_topic;

/* Where somebody is in a topic's members: walk.h. */
struct km_walk {
	LIST_ENTRY(km_walk) of_topic;
	struct km_topic *topic; /* or null: it wasn't begun */
	struct km_member *next;
};

void km_walk_begin(struct km_walk *walk, struct km_topic *topic);
/* From the first member again. */
void km_walk_rewind(struct km_walk *walk);
/* The next member, or null. */
struct km_member *km_walk_next(struct km_walk *walk);
/* Nothing to do for one that wasn't begun. */
void km_walk_end(struct km_walk *walk);

/* The member goes. Looks at each walk in its topic. */
void km_walk_skip(const struct km_member *member);
