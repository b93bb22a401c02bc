/* SPDX-License-Identifier: Apache-2.0 */
/* ADVERTISE and SUBSCRIBE, once more. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

/* Sends the answer to what the broker before this one did last for the session. */
void km_attach_answer_again(struct km_session *session, const struct km_msg_attach *request);
