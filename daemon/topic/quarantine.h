/* SPDX-License-Identifier: Apache-2.0 */
/* Regions whose memory makes no sense. */
#pragma once

#include "daemon/run/broker.h"

/*
 * Gives the region up: newcomers don't find it, its endpoints get -ESTALE (also those that
 * sleep), the reason is logged, and the name is free for a fresh one. It is freed when its last
 * endpoint is gone; most of its memory goes some seconds after (ending.h).
 */
void km_topic_quarantine(struct km_topic *topic, const char *reason);

/* Says it again: a client that spoilt the memory may spoil the mark too. */
void km_topic_keep_quarantined(struct km_topic *topic);
