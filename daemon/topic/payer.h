/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payer of a topic: the user on whose account it and its bytes count. That is its owner, as
 * long as newcomers find the topic. A topic that was unlinked or quarantined counts for its owner
 * while the owner's processes take part. After that it counts for the user that has been there
 * longest. So those who stay pay, and no mere subscriber can use up the owner's limits.
 */
#pragma once

#include "daemon/run/broker.h"

/* Counts the topic and its `bytes` on the account of its payer. */
void km_payer_charge(struct km_topic *topic);
void km_payer_discharge(struct km_topic *topic);

/* Finds who pays from here on. Called when a member has gone or the name was taken away. */
void km_payer_settle(struct km_topic *topic);
