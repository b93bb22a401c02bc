/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager offers, where there is one: the listening socket, and someone to tell how
 * things are. libsystemd is loaded only then, and only for the call: it and what it needs would be
 * more than a third of an idle broker's memory.
 */
#pragma once

/* The socket that the manager made: 1 and *ret_fd, or 0: there is none. Errors: -EINVAL it is not
 * one listening SOCK_SEQPACKET socket (logged). */
int km_systemd_listen_fd(int *ret_fd);

/* Says e.g. "READY=1" to the manager, if there is one. */
void km_systemd_notify(const char *state);
