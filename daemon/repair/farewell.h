/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DETACH: a client gives an endpoint back. It has no answer, and a client may be gone before the
 * broker has read it; then it has left in good order all the same.
 */
#pragma once

#include "daemon/run/broker.h"

void km_farewell_serve(struct km_session *session, const struct km_msg_detach *request);

/* Takes the farewells that still wait in the connection of a client that is gone. Its other requests
 * are dropped: nobody hears the answers. */
void km_farewell_hear_last(struct km_session *session);
