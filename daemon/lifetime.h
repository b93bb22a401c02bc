/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long topics live.
 *
 *   in use --last member settled--> empty --linger_ns--> freed
 *     ^                               |
 *     +------------attach-------------+     persistent: empty for good, until unlinked
 *
 * Unlinked or quarantined: without a name, freed with the last member.
 */
#pragma once

#include "broker.h"

/* It lost its last member, or never had one: the next sweep looks whether it may go. */
void km_lifetime_look(struct km_topic *topic);

/* Somebody came in. */
void km_lifetime_use(struct km_topic *topic);

/* Would it stay without members? */
bool km_lifetime_keeps(const struct km_topic *topic);

/* Frees the topics that have nothing to stay for. */
void km_lifetime_sweep(struct km_broker *broker);

/* It is being freed. */
void km_lifetime_end(struct km_topic *topic);

/* UNLINK. The session gets its answer. */
void km_lifetime_unlink(struct km_session *session, const struct km_msg_topic *request);
