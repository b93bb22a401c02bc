/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who serves which request: for each one of KM_WIRE_REQUESTS (wire.h) a function
 *
 *	void km_serve_MEMBER(struct km_session *session, const struct TYPE *request);
 *
 * in the file of this folder that is named for it. The request is well formed. The session has its answer
 * afterwards, or waits for it (question.h); DETACH has none.
 */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

#define KM_SERVES(number, NAME, member, type)                                                      \
	void km_serve_##member(struct km_session *session, const struct type *request);
KM_WIRE_REQUESTS(KM_SERVES)
