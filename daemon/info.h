/* SPDX-License-Identifier: Apache-2.0 */
/* INFO, STATS, PEOPLE, SCHEMA and CLAIM: what there is to know of a topic. For every client: the
 * list of topics is, too. The session gets its answer. */
#pragma once

#include "broker.h"

void km_info_serve(struct km_session *session, const struct km_msg_topic *request);
void km_info_people(struct km_session *session, const struct km_msg_topic *request);
void km_info_schema(struct km_session *session, const struct km_msg_topic *request);
void km_info_claim(struct km_session *session, const struct km_msg_claim *request);
/* stats.c */
void km_stats_serve(struct km_session *session, const struct km_msg_topic *request);

/* Has the session a publisher or subscriber of the topic? */
bool km_info_participates(const struct km_session *session, const struct km_topic *topic);
