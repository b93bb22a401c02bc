/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of kickmsgd. */
#pragma once

#include "daemon/run/config.h"

enum km_options_result { KM_OPTIONS_RUN, KM_OPTIONS_DONE, KM_OPTIONS_WRONG, KM_OPTIONS_FAILED };

/*
 * Fills *ret from defaults, config files and the other options; *ret_source is for doing that
 * again. DONE: the text of --help, --version or --check-config was printed. WRONG and FAILED: the
 * reason was printed on stderr, or logged.
 */
enum km_options_result km_options_parse(
	int argc, char **argv, struct km_config_source *ret_source, struct km_config *ret);
