/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests for descriptors wait while too many of those that were handed out haven't been taken
 * (peer/unread.h):
 *
 *   of a session   one answer: its next such request stays in the socket until the client has read
 *   in all         a quarter of RLIMIT_NOFILE, at most four for each client that may be there
 *   of a user      half of that
 *
 * A request that meets one of the last two waits for a second and is refused then.
 */
#pragma once

#include <stdbool.h>

#include "common/protocol/wire.h"

struct km_session;

/* Are too many unread in all, or of the session's user? The session's own answer doesn't count. */
bool km_hold_is_full(struct km_session *session);

/* True: the request isn't to be served now. It waits (session->held), or was refused. */
bool km_hold_check(struct km_session *session, const union km_msg *request);
