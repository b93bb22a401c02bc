/* SPDX-License-Identifier: Apache-2.0 */
/* Walks through a topic's members: see walk.h. */
#include "daemon/topic/walk.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

void km_walk_begin(struct km_walk *walk, struct km_topic *topic)
{
	walk->topic = topic;
	LIST_INSERT_HEAD(&topic->walks, walk, of_topic);
	topic->walk_count++;
	km_walk_rewind(walk);
}

void km_walk_rewind(struct km_walk *walk)
{
	walk->next = LIST_FIRST(&walk->topic->members);
}

struct km_member *km_walk_next(struct km_walk *walk)
{
	struct km_member *member = walk->next;

	if (member)
		walk->next = LIST_NEXT(member, of_topic);
	return member;
}

void km_walk_end(struct km_walk *walk)
{
	struct km_topic *topic = walk->topic;

	if (!topic)
		return;
	LIST_REMOVE(walk, of_topic);
	topic->walk_count--;
	walk->topic = NULL;
	if (LIST_EMPTY(&topic->members))
		km_lifetime_look(topic);
}

void km_walk_skip(const struct km_member *member)
{
	struct km_walk *walk;

	LIST_FOREACH (walk, &member->topic->walks, of_topic)
		if (walk->next == member)
			walk->next = LIST_NEXT(member, of_topic);
}
