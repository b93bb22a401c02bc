/* SPDX-License-Identifier: Apache-2.0 */
/* Regions whose memory makes no sense. */
#pragma once

#include "daemon/run/broker.h"

/*
 * Gives the region up. Newcomers don't find it, its endpoints get -ESTALE (also those that sleep),
 * the reason is logged, and the name is free for a fresh topic. The topic is freed when its last
 * endpoint is gone. Most of its memory goes some seconds after the mark (ending.h).
 */
void km_topic_quarantine(struct km_topic *topic, const char *reason);

/* Marks the region once more: a client that spoilt the memory may spoil the mark too. */
void km_topic_keep_quarantined(struct km_topic *topic);
