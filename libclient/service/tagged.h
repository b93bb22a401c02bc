/* SPDX-License-Identifier: Apache-2.0 */
/* Sending in a topic with timestamps, where each message has a tag of its sender's in place of the time. */
#pragma once

#include "libclient/handle/handle.h"

/* The first sends as kickmsg_send() to a shared ring, and returns 0; the second publishes as
 * kickmsg_publish(). Both have the errors of those. */
int km_tagged_send(struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag);
int km_tagged_publish(struct kickmsg_publisher *publisher, void *payload, size_t len, uint64_t tag);
