/* SPDX-License-Identifier: Apache-2.0 */
/* The part that all calls share that look at topics. */
#pragma once

#include "common/protocol/wire.h"
#include "libclient/client/connection.h"

void km_health_read(const struct km_health *health, struct kickmsg_topic_diagnosis *ret);

/* A caller's cursor behind the last entry. */
#define KM_LOOK_END UINT64_MAX

/* Asks for one page of DIAGNOSE of the topic that km_request_topic() has named. Errors: as
 * kickmsg_topic_diagnose(). */
int km_look_diagnose(struct kickmsg_client *client, const struct km_msg_topic *names,
	uint64_t cursor, union km_msg *ret);
