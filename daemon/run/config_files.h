/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the whole config: which files there are, and their order (config.h). */
#pragma once

#include "daemon/run/config.h"

/* A file that was read, or (`why` isn't null) one that lies there and wasn't. */
typedef void km_config_file_fn(const char *path, const char *why);

/*
 * Defaults, files, command line. `on_file`, if not null, is told of each file. *ret is
 * the caller's, to deinit. On an error ret_text says what is wrong, with file and line, and *ret is
 * not to be used.
 * Errors: -EINVAL; -ENOENT there is no `source->file`; others of open(2), read(2); -ENOMEM.
 */
int km_config_read(const struct km_config_source *source, struct km_config *ret,
	km_config_file_fn *on_file, char *ret_text, size_t size);
