/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a publisher that can't simply go on, with either transport: `live` isn't what it was,
 * or no slot is free. */
#pragma once

#include "libclient/handle/handle.h"

/* header->live isn't what it was at the last message. `slot`: with `len` bytes to be sent, or
 * KM_HAZARD_NONE. Returns 1: go on here; 0: it has gone to another region, and what was in the slot
 * as well; or an error of kickmsg_send(): the slot is free again. */
int km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len);

/* No slot was free. Returns -ERESTART: it has gone to another region, whose transport may be
 * another one, so the public call is to begin anew; -EAGAIN;
 * -ESTALE. */
int km_publisher_find_no_slot(struct kickmsg_publisher *publisher);

/* Publishes a loan that isn't of the present place, but of a past one. Errors: as
 * kickmsg_publish(). */
int km_publisher_publish_past(struct kickmsg_publisher *publisher, const void *payload, size_t len);
