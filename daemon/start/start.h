/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's beginning and end. */
#pragma once

#include "daemon/run/broker.h"
#include "daemon/run/handlers.h"

/* The handlers of all rooms of the broker. */
extern const struct km_handlers km_start_handlers;

/* Starts everything: loop, listener, signals, health. Errors are logged. Returns 0 or a negative
 * errno. */
int km_start_init(
	struct km_broker *broker, const struct km_config_source *source, struct km_config *config);
/* Serves until SIGTERM or SIGINT. */
int km_start_run(struct km_broker *broker);
void km_start_deinit(struct km_broker *broker);
