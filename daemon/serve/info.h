/* SPDX-License-Identifier: Apache-2.0 */
/* INFO, CLIENTS, SCHEMA and CLAIM: what there is to know of a topic but its numbers. For every client:
 * the list of topics is, too. */
#pragma once

#include "daemon/run/broker.h"

/* Has the session a publisher or subscriber of the topic? */
bool km_info_has_endpoint(const struct km_session *session, const struct km_topic *topic);
