/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that haven't said hello. They cost descriptors and nobody knows what they want, so
 * their time is bounded, and each user has a share. But a newcomer is always taken in. When there
 * are too many, the connection that has been silent for longest goes. So nobody can lock others out
 * by saying nothing, and a user that does it only loses its own connections.
 */
#pragma once

#include "daemon/run/broker.h"

#define KM_STRANGERS_OF_USER 64
#define KM_STRANGERS_IN_ALL  512
#define KM_HELLO_LIMIT_NS    INT64_C(5000000000)

/* Takes the peer of a new connection in; `socket` isn't the caller's any more. */
void km_stranger_accept(struct km_broker *broker, int socket);

/* Closes connections that have been silent for too long. */
void km_stranger_expire(struct km_broker *broker, int64_t now_ns);
