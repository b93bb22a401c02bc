/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client comes into a topic that is there, as a member or to look, once that is decided
 * (agreement.h); and the answer. Where the answer can't be sent, the endpoint is taken back, since
 * its client never learnt of it.
 */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/member.h"

/* Makes the new member, written down and not yet answered. Null: the request was refused. */
struct km_member *km_enter(const struct km_wanted *wanted, struct km_topic *topic);
void km_enter_answer(const struct km_wanted *wanted, struct km_member *member);

/* Serves an observer. It isn't a member: it gets the memory read only, and nobody remembers it. */
void km_enter_observe(const struct km_wanted *wanted, struct km_topic *topic);

/* The session's living member of that handle, or the member that has come of the wait of that
 * number; or null. */
struct km_member *km_enter_find(struct km_session *session, uint64_t handle);

/* Sends the answer to the member's request once more. */
void km_enter_answer_again(
	struct km_session *session, const struct km_msg_attach *request, struct km_member *member);
