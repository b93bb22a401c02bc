/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DETACH: a client gives an endpoint back. It has no answer, and a client may be gone before the
 * broker has read it; then it has left in good order all the same (parting.h).
 */
#pragma once

#include "daemon/run/broker.h"

/* One endpoint or wait. */
void km_farewell_serve(struct km_session *session, const struct km_msg_detach *request);

/* The member is live no more, if it was. */
void km_farewell_take_leave(struct km_member *member);
/* The session's member of that number, if there is one, is live no more. */
void km_farewell_take_leave_of(struct km_session *session, uint64_t handle);

/* Looks at the next request that waits in the connection of a client that is gone. False: there is
 * none. Requests other than DETACH are to be dropped: nobody hears the answers. */
bool km_farewell_peek(const struct km_session *session, union km_msg *ret);
