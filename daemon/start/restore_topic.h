/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics and members as the broker before this one left them. A topic's shape is what the
 * state says; a header that says otherwise is mended at the next look (header.h). The word of live
 * rings is written anew from the members: the broker before may have ended between a ring's opening
 * and writing that down.
 */
#pragma once

#include "daemon/run/broker.h"

struct km_kept_member;
struct km_kept_topic;

/* Takes back one record, at its place in the state. A record that can't be taken back is dropped
 * from the state and logged; a member that is lost takes its topic with it. */
struct km_topic *km_restore_topic(
	struct km_broker *broker, uint32_t place, const struct km_kept_topic *kept);
void km_restore_member(struct km_broker *broker, struct km_session *session, struct km_topic *topic,
	uint32_t place, const struct km_kept_member *kept);
