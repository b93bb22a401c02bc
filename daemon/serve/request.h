/* SPDX-License-Identifier: Apache-2.0 */
/* From a request's number to the function that serves it. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

/* Serves one well-formed request; the session has its answer afterwards. */
void km_request_serve(struct km_session *session, const union km_msg *message);
