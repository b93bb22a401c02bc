/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a channel that doesn't want to hear itself isn't sent to: its publisher leaves its
 * subscriber's ring out. So its own messages push nothing out of its ring, its losses stay those
 * of others' messages, and receiving costs nobody anything. With a shared ring, where all see the
 * same messages, the member passes over its own (shared_receive.c). It knows them by its
 * publisher's id, which is another one in each region.
 */
#pragma once

#include "libclient/handle/handle.h"

/* Has the publisher's messages not go to this subscriber of the same client, until one of the two
 * is freed. Takes the lock. */
void km_publisher_skip(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber);
void km_publisher_unpair(struct kickmsg_publisher *publisher);
void km_subscriber_unpair(struct kickmsg_subscriber *subscriber);

/* The bit of the ring that is left out. Its subscriber goes to fresh regions as the publisher does.
 * This and the next functions need the client's lock. */
uint64_t km_own_ring(const struct kickmsg_publisher *publisher);

/* To be called when either of a pair has one more place: each place of the subscriber's learns the
 * id. */
void km_own_tell_id(struct kickmsg_subscriber *subscriber);

/* Takes back losses that are none: messages of its own publisher in regions that the subscriber has
 * left. */
void km_own_forgive(struct kickmsg_subscriber *subscriber);
