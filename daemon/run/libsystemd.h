/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsystemd, loaded when something of it is needed for the first time: it and what it needs would
 * be more than a third of an idle broker's memory, and without a service manager nobody needs it.
 */
#pragma once

/* A function of it by name; null (which is logged once): it isn't there, or the broker was built
 * without it. */
void *km_libsystemd_function(const char *name);
