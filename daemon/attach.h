/* SPDX-License-Identifier: Apache-2.0 */
/* ADVERTISE, SUBSCRIBE and DETACH. The session gets its answer. */
#pragma once

#include "broker.h"

void km_attach_advertise(struct km_session *session, const struct km_msg_attach *request);
void km_attach_subscribe(struct km_session *session, const struct km_msg_attach *request);
/* Sends the answer to what the broker before this one did last for the session. */
void km_attach_answer_again(struct km_session *session, const struct km_msg_attach *request);
void km_attach_detach(struct km_session *session, const struct km_msg_detach *request);
