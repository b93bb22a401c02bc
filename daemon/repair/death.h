/* SPDX-License-Identifier: Apache-2.0 */
/* Finding out which clients are dead. */
#pragma once

#include "daemon/run/broker.h"

/*
 * Looks whether the session's process is gone: its pidfd says so, or nothing maps its segments any
 * more. If so its members are dead, in turns, and what they left is repaired where the config says
 * so. Returns whether it is dead.
 */
bool km_death_check(struct km_session *session);

/* For a session that has hung up: checks now, and again soon as long as the process lives on. */
void km_death_probe(struct km_session *session);

void km_death_on_pidfd(evutil_socket_t fd, short what, void *session);
void km_death_on_probe(evutil_socket_t fd, short what, void *session);
