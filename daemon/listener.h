/* SPDX-License-Identifier: Apache-2.0 */
/* The socket where clients come in. */
#pragma once

#include "broker.h"

/*
 * Listens where the config says, or takes the socket that systemd made. Errors are logged:
 * -EADDRINUSE another broker is there; others of the system calls.
 */
int km_listener_new(struct km_broker *broker, struct km_listener **ret);

/* Stops, and removes the socket that it made. Takes a null pointer. */
void km_listener_free(struct km_listener *listener);

/* Takes the peer of a new connection in; closes `socket` if that can't be. session.c */
void km_session_accept(struct km_broker *broker, int socket);
