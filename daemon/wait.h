/* SPDX-License-Identifier: Apache-2.0 */
/* WAIT: who wants to hear when a topic comes to exist gets one EVENT then. */
#pragma once

#include "broker.h"

void km_wait_serve(struct km_session *session, const struct km_msg_topic *request);

/* Tells all who wait for this topic. */
void km_wait_tell(const struct km_topic *topic);

/* The session hears nothing any more. */
void km_wait_forget(struct km_session *session);
