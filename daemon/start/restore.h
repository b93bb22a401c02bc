/* SPDX-License-Identifier: Apache-2.0 */
/* A broker's start from what the one before it left. */
#pragma once

#include "daemon/keep/keep.h"

/*
 * Takes back sessions, topics and members from the manager's store, reconciles what has died in
 * between, and closes descriptors that belong to nobody. A thing that can't be taken back is given
 * up and logged. In any case the broker can serve afterwards.
 */
void km_restore(struct km_broker *broker);
