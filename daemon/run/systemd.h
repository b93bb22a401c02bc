/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, where there is one, is told how things are. libsystemd is loaded only then:
 * it and what it needs would be more than a third of an idle broker's memory.
 */
#pragma once

#include <stdint.h>

#include "daemon/run/broker.h"

/* Says e.g. "READY=1" to the manager, if there is one. */
void km_systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Begins to say, from the event loop itself, that the loop turns (WATCHDOG=1, twice in the time
 * that the manager allows). A broker that is stuck is ended and begun anew. Without a manager that
 * asks for it nothing is said. Errors: -ENOMEM.
 */
int km_systemd_watch(struct km_broker *broker);

/* Tells what the broker serves, in one line, when that has changed since it was last told. */
void km_systemd_status(struct km_broker *broker);
