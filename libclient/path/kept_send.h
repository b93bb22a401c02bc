/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send() and kickmsg_publish() with private rings and history. kickmsg_loan() is that of
 * rings_send.h. */
#pragma once

#include "libclient/handle/handle.h"

ssize_t km_kept_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_kept_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
