/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a channel that doesn't want to hear itself isn't sent to: its publisher leaves its
 * subscriber's ring out. So its own messages push nothing out of its ring, its losses stay those
 * of others' messages, and receiving costs nobody anything. With a shared ring, where all see the
 * same messages, it passes over its own (receive_shared.c): it knows them by its publisher's id, in
 * each region another one.
 *
 * Needs the client's lock.
 */
#pragma once

#include "internal.h"

/* The ring that is left out, of a subscriber that goes to fresh regions as its publisher does. */
uint64_t km_own_ring(const struct kickmsg_publisher *publisher);

/* To be called when either of a pair has a place more: each of the subscriber's learns the id. */
void km_own_tell_id(struct kickmsg_subscriber *subscriber);

/* What the publisher said in regions that the subscriber has left was counted there as lost. */
void km_own_forgive(struct kickmsg_subscriber *subscriber);
