/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable subscribers of a topic: those from whose rings publishers push nothing out (common/shared/room.h).
 *
 * A publisher that finds no room says so (STALLED). Then the broker looks at the rings without room: at
 * once, and when the first of them has stood still for stall_ns. A subscriber whose head didn't move in
 * that time is made an ordinary one, if a publisher still waits: it says so again. One that sleeps is woken
 * for that, a little earlier. Where nobody waits the broker looks no more until a publisher says something.
 * If the head is still where it was, it has been there all the time, and the time is over. The
 * broker doesn't believe announcements in shared memory: one stays there when its publisher gives up.
 * So one that is frozen delays a topic's publishers once, by stall_ns and what a timer is late. One that is
 * slow but takes its messages is waited for. One that means harm may say that it goes on: it can have a
 * message in each stall_ns wait, for as long as the rule `reliable` lets it subscribe.
 *
 *   STALLED --> look: no room, and head as before? --no--> remember head and time
 *                 ^                |
 *                 |               yes, for stall_ns, and said lately
 *                 |                |             \--> demote: written down - bit cleared - publishers
 *                 +--- timer ---- no                    woken - logged, counted, both sides told
 *
 * A subscriber that has left or died is none any more (leave.c), so no publisher waits for it.
 */
#pragma once

#include "daemon/run/broker.h"

/* Makes the member's ring a reliable one. It is said to participants (km_reliable_say()) before the ring is
 * live; of restored members once all are known, since it holds meanwhile. Errors: -ENOMEM. */
int km_reliable_begin(struct km_member *member);

/* Writes the header's word where it isn't what it has to be: each participant can write it, and a broker that
 * was killed may have left a bit of a subscriber that isn't reliable. */
void km_reliable_say(struct km_topic *topic);

/* The member has left or died: nobody waits for it any more. Takes any. */
void km_reliable_end(struct km_member *member);

/* How many there are. */
uint32_t km_reliable_count(const struct km_topic *topic);

/* May the topic have one more? */
bool km_reliable_has_room(const struct km_topic *topic);

/* A publisher says that it finds no room. */
void km_reliable_hear(struct km_topic *topic);

/* A publisher may be waiting. Mends the header's word, and demotes those whose time is over. Takes a topic
 * without any. */
void km_reliable_look(struct km_topic *topic);

/* Publishers that wait for room look again. Takes a topic without any. */
void km_reliable_wake(struct km_topic *topic);

/* The topic ends. */
void km_reliable_forget(struct km_topic *topic);
