/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that can't start, under a manager that begins it anew again and again. */
#pragma once

#include "daemon/run/config.h"

/*
 * Waits before this process ends, the longer the more often the manager has begun it anew: nothing at first,
 * so that the user who starts it hears of the failure at once, then up to 10 s. `source` is a config that couldn't be
 * read, or null: something else is wrong. Returns true as soon as that config can be read. `text` is what is
 * wrong: the manager's status of the service says it meanwhile.
 */
bool km_back_off(const struct km_config_source *source, const char *text);
