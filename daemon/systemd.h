/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, where there is one, is told how things are. libsystemd is loaded only then, and only for the call: it and what it needs would be
 * more than a third of an idle broker's memory.
 */
#pragma once

/* Says e.g. "READY=1" to the manager, if there is one. */
void km_systemd_notify(const char *state);
