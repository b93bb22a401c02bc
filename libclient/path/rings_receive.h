/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_try_receive(), kickmsg_try_receive_copy() and kickmsg_subscriber_lost() with a ring of
 * the subscriber's own. */
#pragma once

#include "libclient/handle/handle.h"

int km_rings_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
/* Receives like the calls without `anyhow`, also for a newcomer that has messages in the kept ring. */
int km_rings_receive_anyhow(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
ssize_t km_rings_copy_anyhow(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
/* Takes up to `count` of the messages that are there, without a look at anything else. Returns how
 * many: 0 also where km_rings_receive() has to look. Errors: -ESTALE. */
int km_rings_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count);
ssize_t km_rings_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
/* One try of kickmsg_receive_into(). Errors: also -ERESTART: the subscriber has gone to another
 * region. */
int km_rings_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret);
/* Loses all but the newest `depth` messages. */
void km_rings_skip(struct kickmsg_subscriber *subscriber, uint32_t depth);
/* Counts the messages that are lost here, and the messages that wait, as of now. */
uint64_t km_rings_lost(const struct kickmsg_subscriber *subscriber);
uint64_t km_rings_waiting(const struct kickmsg_subscriber *subscriber);
