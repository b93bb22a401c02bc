/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one config file, in pieces: a file may have thousands of rules. */
#pragma once

#include <stdio.h>

#include "daemon/run/config_keys.h"

/* A file that is being read. */
struct km_config_load {
	struct km_config *config;
	FILE *file; /* null: none is */
	const char *path;
	unsigned line;  /* that was read last */
	unsigned piece; /* lines of the piece at hand */
	enum km_config_section section;
	bool skips;          /* the keys of this section, which is wrong */
	bool is_read;        /* to its end */
	unsigned error_line; /* the first line that is wrong, or 0 */
	char error[640];
};

/* Opens a file that is to be read over what `config` has. On an error ret_text says what is wrong.
 * Errors: of open(2); -EINVAL; -ENOMEM. */
int km_config_load_begin(struct km_config_load *ret, struct km_config *config, const char *path,
	char *ret_text, size_t size);

/* Reads a few lines. Returns 1: there are more; 0: that was all, and the file is good. On an error
 * ret_text says what is wrong, with file and line. Errors: -EINVAL a line that can't be; of read(2);
 * -ENOMEM. */
int km_config_load_some(struct km_config_load *load, char *ret_text, size_t size);

/* Closes the file, wherever it is read to. */
void km_config_load_end(struct km_config_load *load);
