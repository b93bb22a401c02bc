/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send(), kickmsg_send_wait() and kickmsg_publish() with a shared ring that may have reliable
 * subscribers. Errors: also -ENOBUFS, as in reliable.h. */
#pragma once

#include "libclient/handle/handle.h"

/* Without timestamps. */
ssize_t km_reliable_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
ssize_t km_reliable_shared_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns);
/* With or without timestamps. */
ssize_t km_reliable_shared_send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_reliable_shared_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
