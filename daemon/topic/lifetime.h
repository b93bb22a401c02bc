/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long topics live.
 *
 *   in use --last member settled--> empty --linger_ns--> freed
 *     ^                               |
 *     +------------attach-------------+     persistent: empty for good, until unlinked
 *
 * Unlinked or quarantined: without a name, freed with the last member (ending.h).
 */
#pragma once

#include "daemon/run/broker.h"

/* Begins the life of a topic that has its memory, id and names among the broker's. */
void km_lifetime_begin(struct km_topic *topic);

/* The topic lost its last member, or never had one: the next sweep looks whether it may go. */
void km_lifetime_look(struct km_topic *topic);

/* A member came into the topic. */
void km_lifetime_use(struct km_topic *topic);

/* Would the topic stay without members? */
bool km_lifetime_keeps(const struct km_topic *topic);
