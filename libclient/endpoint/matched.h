/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a handle: see matched.c. */
#pragma once

#include "libclient/handle/handle.h"

/* For each handle, tells what has changed in its topic: the broker says that topics have. Needs the
 * client's lock. */
void km_matched_look(struct kickmsg_client *client);
