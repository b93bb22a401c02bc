/* SPDX-License-Identifier: Apache-2.0 */
/* The periodic look at sessions and regions. */
#pragma once

#include "daemon/run/broker.h"

void km_health_on_tick(evutil_socket_t fd, short what, void *broker);
