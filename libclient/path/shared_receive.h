/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_try_receive(), kickmsg_try_receive_copy(), kickmsg_subscriber_lost() and the sleep of
 * kickmsg_receive() with a shared ring. */
#pragma once

#include "common/ring/waiter.h"
#include "libclient/handle/handle.h"

int km_shared_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
/* Takes up to `count` messages, as km_rings_receive_many(), without an error. */
int km_shared_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count);
ssize_t km_shared_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
/* Takes up to `count` messages in a topic with timestamps. */
int km_shared_receive_many_timed(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count);
int km_shared_receive_timed(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
ssize_t km_shared_receive_copy_timed(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
/* One try of kickmsg_receive_into(), with or without timestamps. Errors: also -ERESTART: the
 * subscriber has gone to another region. */
int km_shared_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret);
/* Loses all but the newest `depth` messages. */
void km_shared_skip(struct kickmsg_subscriber *subscriber, uint32_t depth);
/* Counts the messages that are lost here, and the messages that wait, as of now. */
void km_shared_count(
	const struct kickmsg_subscriber *subscriber, uint64_t *ret_lost, uint64_t *ret_waiting);
int km_shared_sleep(const struct km_place *place, const struct km_sleep *sleep);
