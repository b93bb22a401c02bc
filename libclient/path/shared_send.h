/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send(), kickmsg_loan(), kickmsg_publish() and kickmsg_publisher_reached() with a shared ring. */
#pragma once

#include <sys/uio.h>

#include "libclient/handle/handle.h"

ssize_t km_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
/* Sends many, as km_rings_send_many(); a ring that all share never fails for some alone. */
int km_shared_send_many(struct kickmsg_publisher *publisher, const struct iovec *messages,
	uint32_t count, bool *ret_stale);
int km_shared_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload);
int km_shared_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
/* These send and publish in a topic with timestamps. */
ssize_t km_shared_send_timed(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_shared_publish_timed(struct kickmsg_publisher *publisher, void *payload, size_t len);
/* Claims a slot. Errors: -EMSGSIZE; those of km_publisher_find_no_slot(). */
int km_shared_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot);
/* Rings the bell, whose word was `seen`, behind a message of `len` bytes. Returns that. */
ssize_t km_shared_wake(struct kickmsg_publisher *publisher, uint32_t seen, size_t len);
uint32_t km_shared_reach(const struct kickmsg_publisher *publisher);
