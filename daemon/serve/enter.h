/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client comes into a topic that is there, as a member or to look, once that is decided
 * (agreement.h); and its answer. An endpoint of which its client never learnt, since the answer couldn't
 * be sent, is taken back.
 */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/member.h"

/* The new member, written down and not yet answered; or null: the request was refused. */
struct km_member *km_enter(const struct km_wanted *wanted, struct km_topic *topic);
void km_enter_answer(const struct km_wanted *wanted, struct km_member *member);

/* An observer isn't a member: it gets the memory read only, and nobody remembers it. */
void km_enter_observe(const struct km_wanted *wanted, struct km_topic *topic);

/* The session's living member of that handle, or that has come of the wait of that name; or null. */
struct km_member *km_enter_find(struct km_session *session, uint64_t handle);

/* The answer to its request, once more. */
void km_enter_answer_again(
	struct km_session *session, const struct km_msg_attach *request, struct km_member *member);
