/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling clients that a topic of theirs has changed: who came, left or died, that it was unlinked,
 * replaced or quarantined.
 *
 * The topic's header says what has changed, in numbers that only grow (layout.h). A
 * NEWS_TOPICS_CHANGED says no more than that the client should look. So one EVENT stands for any
 * number of changes, and a slow client misses none.
 *
 *   change -> header -> topic in `topics` -- 10 ms --> its members' clients in `sessions` --> EVENT
 *                                                           ^                        |
 *                                                           +-- 10 ms to 1 s <-------+ not yet read
 *
 * An endpoint that goes while its broker is killed is counted once among those that left or died: the
 * next broker knows from the state how many it had counted (daemon/topic/leave.c).
 *
 * A client that hasn't read what the broker sent before gets no EVENT; the broker looks after it again,
 * each time after twice the time. So a client never has more than one EVENT of this kind unread,
 * and a client that doesn't read at all costs a look a second. The whole work is done in turns.
 */
#pragma once

#include "daemon/run/broker.h"

/* A member came or went, or the topic's fate is another. The header is up to date. */
void km_notice_changed(struct km_topic *topic);

/* The topic has taken the name of another one, whose clients are to hear that they have been
 * replaced. */
void km_notice_replaced(struct km_topic *successor);

void km_notice_forget_topic(struct km_topic *topic);
void km_notice_forget_session(struct km_session *session);

/* Errors: -ENOMEM. */
int km_notice_init(struct km_broker *broker);
void km_notice_deinit(struct km_broker *broker);
