/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through a topic's members that takes several turns. A member that is settled meanwhile is
 * left out, and a newcomer may be. The topic isn't freed as long as a walk is in it.
 */
#pragma once

#include <sys/queue.h>

struct km_member;
struct km_topic;

/* A position among a topic's members: walk.h. */
struct km_walk {
	LIST_ENTRY(km_walk) of_topic;
	struct km_topic *topic; /* null: the walk wasn't begun */
	struct km_member *next;
};

void km_walk_begin(struct km_walk *walk, struct km_topic *topic);
/* Begins again at the first member. */
void km_walk_rewind(struct km_walk *walk);
/* The next member, or null. */
struct km_member *km_walk_next(struct km_walk *walk);
/* Ends the walk; nothing to do for one that wasn't begun. */
void km_walk_end(struct km_walk *walk);

/* Moves each walk of its topic on from a member that goes. */
void km_walk_skip(const struct km_member *member);
