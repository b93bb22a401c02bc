/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a channel that doesn't want to hear itself isn't sent to: its publisher leaves its
 * subscriber's ring out. So its own messages push nothing out of its ring, its losses stay those
 * of others' messages, and receiving costs nobody anything. With a shared ring, where all see the
 * same messages, it passes over its own (shared_receive.c): it knows them by its publisher's id, in
 * each region another one.
 */
#pragma once

#include "libclient/handle/handle.h"

/* The publisher's messages don't go to this subscriber of the same client, until one of the two is
 * freed. Takes the lock. */
void km_publisher_skip(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber);
void km_publisher_unpair(struct kickmsg_publisher *publisher);
void km_subscriber_unpair(struct kickmsg_subscriber *subscriber);

/* The ring that is left out, of a subscriber that goes to fresh regions as its publisher does.
 * Needs the client's lock, as those that follow. */
uint64_t km_own_ring(const struct kickmsg_publisher *publisher);

/* To be called when either of a pair has a place more: each of the subscriber's learns the id. */
void km_own_tell_id(struct kickmsg_subscriber *subscriber);

/* Messages of the publisher in regions that the subscriber has left were counted there as lost. */
void km_own_forgive(struct kickmsg_subscriber *subscriber);
