/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the guest's tour that is about services (kickmsg-service.h). */
#pragma once

#include <stdint.h>

struct kickmsg_client;

/* Returns 0, or the line of the call that went wrong. */
int guest_visit_services(struct kickmsg_client *client, uint32_t transport);
