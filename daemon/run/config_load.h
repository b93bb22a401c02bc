/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one config file. */
#pragma once

#include "daemon/run/config.h"

/*
 * Reads a file over what `config` has. On an error ret_text says what is wrong, with file and line.
 * Errors: -EINVAL a line that can't be; others of open(2) and read(2).
 */
int km_config_load(struct km_config *config, const char *path, char *ret_text, size_t size);
