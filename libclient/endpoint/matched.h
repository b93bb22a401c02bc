/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a handle: see matched.c. */
#pragma once

#include "libclient/handle/handle.h"

/* The broker says that topics have changed: tells, for each handle, what changed there. Needs the
 * client's lock. */
void km_matched_look(struct kickmsg_client *client);
