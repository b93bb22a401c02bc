/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers' beginnings. */
#pragma once

#include "libclient/handle/handle.h"

/* Attaches by a request that is filled in but for its op. */
int km_publisher_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	struct kickmsg_publisher **ret);
