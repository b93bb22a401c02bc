/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of topics (lifetime.h says when). A freed topic's pages are gone, whoever keeps a descriptor
 * or a mapping.
 *
 * Two kinds of memory wait a while: a quarantined topic in which somebody stays gives back most of its
 * memory after KM_QUARANTINE_NS. Observers aren't members: if there were any, the memory stays for
 * KM_OBSERVERS_NS, so that they can read the last messages. Neither time is waited when the user that
 * pays needs the room.
 */
#pragma once

#include "daemon/run/broker.h"

#define KM_OBSERVERS_NS  UINT64_C(2000000000)
#define KM_QUARANTINE_NS UINT64_C(10000000000)
/* Ended topics whose memory waits for observers; beyond so many the oldest goes. */
#define KM_ENDED_MAX 64

/* Frees topics that have nothing to stay for, the newest such first: one at least, and more until the
 * clock (common/clock.h) says `end`. True: more are left, for the next turn. */
bool km_ending_sweep(struct km_broker *broker, int64_t end);

/* Gives back memory that only waits for observers, or for clients of quarantined topics, and counts
 * on this account, until the clock says `end`. True: there was some, and there may be more. */
bool km_ending_hurry(struct km_broker *broker, struct km_account *account, int64_t end);

/* Frees a topic without members, and gives its memory back (not at the broker's end). Others leave
 * that to the sweep. */
void km_ending_free(struct km_topic *topic);
