/* SPDX-License-Identifier: Apache-2.0 */
/* How a publisher or subscriber goes from a topic: broker.h has the states. */
#pragma once

#include "daemon/run/broker.h"

/* Its client gave it back. */
void km_leave_detach(struct km_member *member);

/* Its process is dead, or never knew of it. */
void km_leave_die(struct km_member *member);

/* Nothing in the region speaks of it any more: its id or ring and its record may be used again.
 * Frees it. The caller keeps the topic (keep.h), which has its numbers now, when it has settled all
 * that it settles at once. */
void km_leave_settle(struct km_member *member);

/* Forgets it and touches no shared memory: for the broker's end. */
void km_leave_free(struct km_member *member);
