/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers that wait for a topic. Their SUBSCRIBEs are kept, and served when the topic is made,
 * in the order in which they came. The topic's maker is answered after them, so none of them misses
 * a message.
 *
 *   SUBSCRIBE ---> kept ---------the topic is made--------> served: ATTACHED or ERROR
 *                   |  \
 *                   |   DETACH, or its client is gone ----> forgotten
 *                   WAITS
 *
 * Some are served at once, more of them in turns (turn.h). Until the last one is, the topic is `awaited`:
 * its maker's answer waits, and so do other clients that want to come in. That ends, since what comes
 * meanwhile isn't kept; it takes as long as it takes to attach them, some 50 us each. Each counts
 * as an endpoint against its client's and user's limits, which bound their number.
 *
 * A client that hasn't read an answer with descriptors, or whose user or all have too many unread
 * (hold.h), is answered once it has: the member is there all the same, and its ring takes messages.
 * Observers, which are no members, are refused then (-EDQUOT).
 *
 * The next broker has them from the state. Where a member has come of one, its answer is sent once
 * more. A wait that two brokers ended at is refused, and so is one whose record is spoilt: -EIO. The
 * library asks once more then.
 *
 * A topic may lose its name while its waits are served, by UNLINK or by damage. Those that are in stay in,
 * the others wait for the next topic of that name, and its maker is answered at once.
 */
#pragma once

#include "daemon/peer/session.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

/* Errors: -ENOMEM. */
int km_wait_init(struct km_broker *broker);
void km_wait_deinit(struct km_broker *broker);

/* Keeps the request, and answers WAITS; or refuses it. */
void km_wait_keep(const struct km_wanted *wanted, const struct km_msg_attach *request);

/* Answers WAITS once more, if the session has that wait. */
bool km_wait_answer_again(struct km_session *session, uint64_t id);

/* A topic was made: serves the waits for it. */
void km_wait_serve(const struct km_topic *topic);

/* Do waits for the topic still have to be served? */
bool km_wait_is_awaited(const struct km_topic *topic);

/* Serves the session's request once more when no wait for the topic is left. */
void km_wait_hold(struct km_session *session, struct km_topic *topic);

/* Ends the session's wait of that number; nobody is told. */
void km_wait_end(struct km_session *session, uint64_t id);
/* Ends so many of the session's waits at most; nobody is told. Returns whether there are more. */
bool km_wait_forget(struct km_session *session, unsigned most);

/* Takes over a wait that the broker before this one kept. */
void km_wait_restore(struct km_broker *broker, struct km_session *session, uint32_t place,
	const struct km_kept_wait *kept);
/* The waits are there, and the topics: serves the waits whose topics exist. */
void km_wait_catch_up(struct km_broker *broker);
