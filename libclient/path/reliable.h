/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics that may have reliable subscribers (common/shared/room.h): the publishers of such a topic, and the
 * reliable ones of its subscribers. All others have the paths of topics without. Publishers of a shared ring
 * are in reliable_shared.h.
 */
#pragma once

#include "libclient/handle/handle.h"

/* kickmsg_send() and kickmsg_publish() with private rings, with or without timestamps. Errors: also
 * -ENOBUFS: a message would push one out of a reliable subscriber's ring. Nothing was sent to anybody;
 * a loan is still lent. */
ssize_t km_reliable_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_reliable_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);

/* kickmsg_send_wait() in all cases. */
ssize_t km_reliable_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns);

/* A publisher found no room; `live` is the word by which it looked. Counts that, and tells the broker, which
 * then looks how long a subscriber stands still. Without a broker the client begins to look for the next
 * one. Returns -ENOBUFS. */
int km_reliable_refuse(struct kickmsg_publisher *publisher, uint64_t live);

/* A publisher without room is about to sleep by other means: tells the broker, and arms the descriptor if there
 * is one. Returns when it is to be called again. */
int64_t km_reliable_rest(struct kickmsg_publisher *publisher);

/* kickmsg_try_receive() and its like of a reliable subscriber. Errors: also -ENOLINK, once: it is an ordinary
 * one from now on. */
int km_reliable_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
ssize_t km_reliable_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
int km_reliable_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count);
/* One try of kickmsg_receive_into(). Errors: also -ERESTART: it has gone to another region. */
int km_reliable_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret);
