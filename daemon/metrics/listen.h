/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that metrics are served at. */
#pragma once

#include <sys/types.h>

#include "daemon/run/config.h"

/* Makes the listening socket. A Unix socket that nobody listens at any more is replaced. Errors:
 * -EADDRINUSE, and those of socket(2), bind(2). */
int km_metrics_bind(const struct km_config_metrics *config, int *ret);

/* Removes the file of a Unix socket. */
void km_metrics_unbind(const struct km_config_metrics *config);
