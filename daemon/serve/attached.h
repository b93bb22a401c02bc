/* SPDX-License-Identifier: Apache-2.0 */
/* ATTACHED: the answer to ADVERTISE and SUBSCRIBE, with the topic's descriptors. */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/member.h"

/* The answer for a new member, or for one whose client may not have had it. The segment with the
 * member's record comes along if the client says that it lacks the segment. Returns 0, or a
 * negative errno when the answer didn't get out; then the session has got a refusal, if it can. */
int km_attached_send(const struct km_wanted *wanted, const struct km_member *member);

/* The answer for an observer, from position `start` on. */
int km_attached_send_observer(
	const struct km_wanted *wanted, const struct km_topic *topic, uint64_t start);
