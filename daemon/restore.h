/* SPDX-License-Identifier: Apache-2.0 */
/* A broker's start from what the one before it left. */
#pragma once

#include "keep.h"

/*
 * Takes back sessions, topics and members from the manager's store, reconciles what has died in
 * between, and closes what belongs to nobody. What can't be taken back is given up and said. In any
 * case the broker can serve afterwards.
 */
void km_restore(struct km_broker *broker);

/* Why something can't be taken back, in words. */
const char *km_restore_reason(int error);

/* restore_topic.c: one record each, at its place in the state. What can't be taken back is dropped
 * from the state and logged; a member's loss is its topic's. */
struct km_topic *km_restore_topic(
	struct km_broker *broker, uint32_t place, const struct km_kept_topic *kept);
void km_restore_member(struct km_broker *broker, struct km_session *session, struct km_topic *topic,
	uint32_t place, const struct km_kept_member *kept);
