/* SPDX-License-Identifier: Apache-2.0 */
/* Handles in a child of fork: see client/inherit.h. */
#pragma once

#include "libclient/handle/handle.h"

/* Lets all of a client's handles lead to a little private region that was given up. */
void km_nowhere_lead(struct kickmsg_client *client);
