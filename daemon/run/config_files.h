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

/*
 * Reading the whole config in pieces, for a broker that serves meanwhile. km_config_read_begin() returns
 * null: no memory. km_config_read_some() returns 1: there is more; 0: *ret is the config, the caller's; and
 * errors as km_config_read(). km_config_read_end() frees a reading at any time; null is nothing.
 */
struct km_config_reading;
struct km_config_reading *km_config_read_begin(
	const struct km_config_source *source, km_config_file_fn *on_file);
int km_config_read_some(
	struct km_config_reading *reading, struct km_config *ret, char *ret_text, size_t size);
void km_config_read_end(struct km_config_reading *reading);
