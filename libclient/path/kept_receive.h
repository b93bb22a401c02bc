/* SPDX-License-Identifier: Apache-2.0 */
/* A newcomer's messages from the kept ring (common/ring/kept.h). */
#pragma once

#include "libclient/handle/handle.h"

/* The next message of its history. Errors: -ENODATA there is none any more, and the usual path is the
 * subscriber's from here on; -ESTALE. */
int km_kept_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);

/* A late cell with `number` was taken from the subscriber's ring at `position`. Takes the message that it
 * stands for, or counts it as lost. Errors: -ENOENT there is none for this subscriber; -ESTALE. */
int km_kept_take_late(struct kickmsg_subscriber *subscriber, struct km_hold *hold,
	uint64_t position, uint32_t number, uint32_t *ret_slot);

/* A late cell was taken as for km_kept_take_late(), and its message is to be lost. */
void km_kept_lose_late(
	struct km_place *place, struct km_hold *hold, uint64_t position, uint32_t number);

/* Loses the oldest messages of its history, so that `most` are left. */
void km_kept_skip(struct kickmsg_subscriber *subscriber, uint64_t most);
