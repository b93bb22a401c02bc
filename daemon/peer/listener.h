/* SPDX-License-Identifier: Apache-2.0 */
/* The socket where clients come in. */
#pragma once

#include "daemon/run/broker.h"

/*
 * Listens where the config says, or takes the socket that systemd made. Errors are logged:
 * -EADDRINUSE another broker is there; others of the system calls.
 */
int km_listener_new(struct km_broker *broker, struct km_listener **ret);

/* Did the service manager make the socket? */
bool km_listener_is_managers(const struct km_listener *listener);

/* Stops, and removes the socket that it made. Takes a null pointer. */
void km_listener_free(struct km_listener *listener);
