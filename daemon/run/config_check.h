/* SPDX-License-Identifier: Apache-2.0 */
/* `kickmsgd --check-config` and `--reload`: what the broker would read, before it does. */
#pragma once

#include "daemon/run/config.h"

/*
 * Prints the files, the rules, and OK or (on standard error) what is wrong. `user` is a name or a number, or
 * null: for root the service's user if there is one, so that a file which the service can't read is found.
 * Returns 0 or a negative errno.
 */
int km_check_config(const struct km_config_source *source, const char *user);

/*
 * Checks, says what is wrong, and in any case tells the broker `pid` to read its config again. A
 * broker that finds the config wrong keeps the one that it has, and its log and status say so too.
 * Returns 0 or a negative errno.
 */
int km_check_reload(const struct km_config_source *source, pid_t pid);
