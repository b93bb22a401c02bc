/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send() and kickmsg_publish() with a shared ring that may have reliable subscribers, with or
 * without timestamps. Errors: also -ENOBUFS, as in reliable.h. */
#pragma once

#include "libclient/handle/handle.h"

ssize_t km_reliable_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_reliable_shared_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
