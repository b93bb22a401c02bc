/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going over to a fresh region: see rejoin.h for when, lost.h for what is counted on the way. The
 * handle's place and the fresh one are swapped whole. The place that was the handle's is the past
 * then:
 *
 *   handle [place A] --fresh--> [place B]      =>      handle [place B] --past--> [place A]
 *
 * These calls are for the owner of a handle, without the client's lock, which they try to get.
 */
#pragma once

#include "libclient/handle/handle.h"

/* Goes over to the fresh region if there is one and the lock is to be had. Returns whether the
 * publisher did; its old place is the first of the past ones then. */
bool km_publisher_move(struct kickmsg_publisher *publisher);
/* Goes over as km_publisher_move() does. True also when the subscriber has only closed its old
 * ring: look there once more. Called when its ring is empty, so while no message is pending. `live`
 * is header->live. */
bool km_subscriber_move(struct kickmsg_subscriber *subscriber, uint64_t live);

/* To be called after a commit to a shared ring whose subscribers say that they have left: takes
 * steps of the connection. When the connection has stood for a while, and nothing else is prepared,
 * takes the subscribers' word back. */
void km_publisher_hurry(struct kickmsg_publisher *publisher);

/* Says how long a subscriber's sleep may last, and what ends it. Looks after the connection if it
 * is time to. */
int64_t km_subscriber_rest(
	struct kickmsg_subscriber *subscriber, int64_t deadline_ns, uint64_t *ret_ends);

/* Does the broker know of the handle's place? Needs the lock. */
bool km_handle_is_at_home(const struct km_handle *handle);

/* Gives up past places that aren't needed any more. */
void km_handle_settle(struct km_handle *handle);

/* To be called before a handle's own end: frees what the handle has besides its present place.
 * Waits for the lock. */
void km_handle_end(struct km_handle *handle);
