/* SPDX-License-Identifier: Apache-2.0 */
/* INFO, CLIENTS, SCHEMA and CLAIM: all about a topic but its numbers. Every client may ask, as
 * every client may list the topics. */
#pragma once

#include "daemon/run/broker.h"

/* Has the session an endpoint at the topic? */
bool km_info_has_endpoint(const struct km_session *session, const struct km_topic *topic);
