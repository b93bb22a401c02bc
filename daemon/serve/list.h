/* SPDX-License-Identifier: Apache-2.0 */
/* LIST: all topics, in the order in which they were made, a page a request. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/run/broker.h"

/* A topic as LIST and INFO tell it. */
void km_list_describe(const struct km_topic *topic, struct km_list_entry *ret);

/* The first topic whose id is beyond the cursor, or null. Quick where the last LIST ended there. */
struct km_topic *km_list_first_after(struct km_broker *broker, uint64_t cursor);
