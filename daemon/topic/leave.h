/* SPDX-License-Identifier: Apache-2.0 */
/* How a publisher or subscriber goes from a topic: broker.h has the states. */
#pragma once

#include "daemon/run/broker.h"

/* The member's client gave the endpoint back. */
void km_leave_detach(struct km_member *member);

/* The member's process is dead, or never knew of the endpoint. */
void km_leave_die(struct km_member *member);

/* Frees a member of which nothing in the region speaks any more: its id or ring and its record may
 * be used again. The topic has its numbers now. When the caller has settled all that it settles at
 * once, it has to keep the topic (keep.h). */
void km_leave_settle(struct km_member *member);

/* Forgets the member and touches no shared memory: for the broker's end. */
void km_leave_free(struct km_member *member);
