/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of kickmsgd. */
#pragma once

#include "config.h"

enum km_options_result { KM_OPTIONS_RUN, KM_OPTIONS_DONE, KM_OPTIONS_WRONG, KM_OPTIONS_BAD_CONFIG };

/*
 * Fills *ret from defaults, the file that --config names and the other options. DONE: --help or
 * --version was printed; WRONG and BAD_CONFIG: what is wrong was printed on stderr.
 */
enum km_options_result km_options_parse(int argc, char **argv, struct km_config *ret);
