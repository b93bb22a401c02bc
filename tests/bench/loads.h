/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows there are. */
#pragma once

#include "bench.h"

/* Runs the sets that have a load which begins with one of `rows` (comma-separated; null: all). Returns
 * how many there were. */
unsigned loads_run_sets(struct bench *bench, const char *rows);

/* True when `load` is asked for. */
bool loads_chosen(const char *load, const char *rows);

/* Prints the loads of all sets, one a line. */
void loads_list_sets(void);
