/* SPDX-License-Identifier: Apache-2.0 */
/* DIAGNOSE, for clients that have endpoints at the topic, and for users that may administer it. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

/* The topic that an operator means, also for REPAIR; null when it got a refusal: no right, or no such
 * topic. */
struct km_topic *km_diagnose_find(struct km_session *session, const struct km_msg_topic *names,
	const char *verb, bool attached_may);
