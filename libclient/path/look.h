/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a publisher that can't simply go on, with either transport: `live` isn't as it was,
 * or no slot is free. */
#pragma once

#include "libclient/handle/handle.h"

/* Looks around, since header->live isn't as it was at the last message. `slot`: with `len` bytes to
 * be sent, or KM_HAZARD_NONE. Returns 1: go on here; 0: the publisher has gone to another region,
 * and the slot's message as well; or an error of kickmsg_send(): the slot is free again. */
int km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len);

/* Looks around before a loan is published. Returns 1: go on here; 0: the publisher has gone to another region, and
 * the loan is still lent: begin anew; -ESTALE: the loan has ended. */
int km_publisher_look_before_loan(
	struct kickmsg_publisher *publisher, uint64_t live, struct km_loan *loan);

/* Looks around, since no slot was free. Returns -ERESTART: the publisher has gone to another
 * region, perhaps of another transport, so the public call is to begin anew; -EAGAIN; -ESTALE. */
int km_publisher_find_no_slot(struct kickmsg_publisher *publisher);

/* Publishes a loan that isn't of the present place, but of a past one. Errors: as
 * kickmsg_publish(). */
int km_publisher_publish_past(struct kickmsg_publisher *publisher, const void *payload, size_t len);
