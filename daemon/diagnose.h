/* SPDX-License-Identifier: Apache-2.0 */
/* DIAGNOSE, for participants and who may administer the topic, and REPAIR, for the latter. The
 * session gets its answer. */
#pragma once

#include "broker.h"

void km_diagnose_serve(struct km_session *session, const struct km_msg_diagnose *request);
/* repair.c */
void km_repair_serve(struct km_session *session, const struct km_msg_repair *request);

/* The topic that an operator means; null when it got a refusal: no right, or no such topic. */
struct km_topic *km_diagnose_find(struct km_session *session, const struct km_msg_topic *names,
	const char *verb, bool participants_may);
