/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a topic that cost no walk through its pool. */
#pragma once

#include "common/protocol/wire.h"

struct km_topic;

/* Sums up the topic's members, past ones included. A topic with more members than that is told
 * without its present ones (`complete` is 0). */
#define KM_NUMBERS_MEMBERS 1024
void km_numbers_describe(const struct km_topic *topic, struct km_topic_numbers *ret);
