/* SPDX-License-Identifier: Apache-2.0 */
/* The periodic look at sessions and regions. */
#pragma once

#include "broker.h"

void km_health_on_tick(evutil_socket_t fd, short what, void *broker);

/*
 * Somebody has gone from the topic: looks at it again after 1, 4, 16 and 64 ms. A publisher that
 * was on its way with old targets may have delivered to the ring of the gone after it was drained;
 * most are done within a millisecond, and the tick finds the rest.
 */
void km_health_look_again(struct km_topic *topic);
void km_health_on_again(evutil_socket_t fd, short what, void *broker);
