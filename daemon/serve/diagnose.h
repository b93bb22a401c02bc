/* SPDX-License-Identifier: Apache-2.0 */
/* DIAGNOSE, for clients that have endpoints at the topic, and for users that may administer it. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

/* The topic that an operator names, also for REPAIR. Null: the request was refused, for want of a
 * right or of the topic. */
struct km_topic *km_diagnose_find(struct km_session *session, const struct km_msg_topic *names,
	const char *verb, bool attached_may);
