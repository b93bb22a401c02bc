/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_send(), kickmsg_loan() and kickmsg_publish() with private rings. */
#pragma once

#include "libclient/handle/handle.h"

ssize_t km_rings_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_rings_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload);
int km_rings_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);
