/* SPDX-License-Identifier: Apache-2.0 */
/* Regions whose memory makes no sense. */
#pragma once

#include "broker.h"

/*
 * Gives the region up: newcomers don't find it, its participants get -ESTALE (also those that
 * sleep), the reason is logged, and the name is free for a fresh one. It is freed when its last
 * participant is gone.
 */
void km_topic_quarantine(struct km_topic *topic, const char *reason);

/* Says it again: who spoilt the memory may spoil the mark too. */
void km_topic_keep_quarantined(struct km_topic *topic);
