/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the broker looks after a topic by itself: somebody died, somebody left, or it is the topic's turn
 * (health.h). It repairs as far as the config lets it, settles, and marks the topic dirty when it has to
 * be looked at again soon.
 *
 * Small topics and large ones have a queue each, so the small ones don't wait for the large. Of each
 * queue one topic is tended at a time: a pass over a large one remembers tens of megabytes.
 */
#pragma once

#include "daemon/run/broker.h"

/* Tends the topic once, in turns. A topic that is being tended is tended once more, for what has
 * changed meanwhile. */
void km_tend_soon(struct km_topic *topic);

/* Tends a small topic at once, after what is under way in it; another one soon, also while an
 * operator repairs it. */
void km_tend(struct km_topic *topic);

/* Several members have left at once: if they were the last ones the topic's name is free at once.
 * The rest is done in turns. */
void km_tend_left(struct km_topic *topic);

/* Is the topic being tended, or will it be soon? */
bool km_topic_is_tended(const struct km_topic *topic);

/* The topic is going to be freed. */
void km_tend_forget(struct km_topic *topic);

/* Errors: -ENOMEM. */
int km_tend_init(struct km_broker *broker);
void km_tend_deinit(struct km_broker *broker);

/*
 * Somebody has gone from the topic: looks at it again after 1, 4, 16 and 64 ms. A publisher that
 * was on its way with old targets may have delivered to the ring of the gone after it was drained;
 * most are done within a millisecond, and the tick finds the rest.
 */
void km_tend_look_again(struct km_topic *topic);
void km_tend_on_again(evutil_socket_t fd, short what, void *broker);
