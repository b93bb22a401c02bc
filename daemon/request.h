/* SPDX-License-Identifier: Apache-2.0 */
/* From a request's number to who serves it. */
#pragma once

#include "broker.h"

/* Serves one well-formed request; the session has its answer afterwards. */
void km_request_serve(struct km_session *session, const union km_msg *message);
