/* SPDX-License-Identifier: Apache-2.0 */
/* Where a client's broker is. */
#pragma once

#include <sys/un.h>

#include "libclient/kickmsg.h"

/* Finds the address of the broker's socket. Errors: -EINVAL, the last error of null says what. */
int km_client_address(const struct kickmsg_client_config *config, struct sockaddr_un *ret);
