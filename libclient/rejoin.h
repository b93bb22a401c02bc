/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic whose broker died, and the fresh region of it that the next broker makes.
 *
 *   asks       a thread that takes a step of the connection (reconnect.h) sends, for each publisher
 *              and subscriber, the request that made it, with the shape of the region that it had:
 *              whoever comes first makes the topic as it was
 *   prepares   it maps the answer into a whole publisher (subscriber) of its own and parks it in the
 *              old one: `fresh`
 *   tells      it marks the old region as left (KM_LIVE_LEFT) and wakes who sleeps there: all who
 *              still use that region, in this process and others, see it with a word that they
 *              load anyway, and take steps of their own
 *   goes over  the thread that owns the handle exchanges its place for the fresh one in its next
 *              call; what was its place stays as `past` for as long as loans or samples of it are
 *              out, and, of a subscriber, while messages may still come there (missed.h)
 *
 * All of it needs the client's lock. The data path only ever tries to get it: who doesn't goes on
 * where it is and tries again.
 */
#pragma once

#include "internal.h"

/* The connection is there again; it is gone. */
void km_rejoin_begin(struct kickmsg_client *client);
void km_rejoin_lost(struct kickmsg_client *client);

/* Asks again for what was refused, if it is time. Returns whether it did. */
int km_rejoin_again(struct kickmsg_client *client);

/* Is this the answer to a request of ours? The descriptors stay the caller's. */
bool km_rejoin_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds);

/* An attachment ends: so does what was prepared for it. */
void km_rejoin_forget(struct km_attachment *attachment);

/* The oldest of what is to be told, as a copy. False: nothing. */
struct km_told {
	struct kickmsg_event event;
	char topic[KM_NAME_SIZE];
	char text[KM_WIRE_TEXT_SIZE];
};
bool km_rejoin_take_event(struct kickmsg_client *client, struct km_told *ret);

/* For the owner of a handle, without the lock. Goes over to the fresh region if there is one and the
 * lock is to be had. Returns whether it did; its old place is the first of the past ones then. */
bool km_publisher_move(struct kickmsg_publisher *publisher);
/* The same; true also when it has only closed its old ring: look there once more. Called when its
 * ring is empty. `live` is header->live. */
bool km_subscriber_move(struct kickmsg_subscriber *subscriber, uint64_t live);

/* After a commit to a shared ring whose subscribers say that they have left: takes steps of the
 * connection. When it stands, for a while, and nothing else is prepared, takes their word back. */
void km_publisher_hurry(struct kickmsg_publisher *publisher);

/* Gives up past places that aren't needed any more. */
void km_publisher_settle(struct kickmsg_publisher *publisher);
void km_subscriber_settle(struct kickmsg_subscriber *subscriber);

/* What it lost in past places, as far as it is known. */
uint64_t km_subscriber_lost_past(const struct kickmsg_subscriber *subscriber);

/* A sample that isn't of its present place: the hold of a past one. Returns 0 or -EINVAL. */
int km_subscriber_release_past(
	struct kickmsg_subscriber *subscriber, uint32_t hold, uint64_t position);

/* How long its sleep may last, and what ends it; looks after the connection if it is time to. */
int64_t km_subscriber_rest(
	struct kickmsg_subscriber *subscriber, int64_t deadline_ns, uint64_t *ret_ends);
