/* SPDX-License-Identifier: Apache-2.0 */
/* The main() of programs that are a table of cases. */
#pragma once

#include "tests/support/stress/stress.h"

/*
 * [--seed N] [--list] [--no-broker] [NAME...]: runs the cases whose names begin with one of those
 * given (all by default) against one private broker
 * with this config file (null: none). --no-broker leaves out those that need one.
 * Returns what main() returns.
 */
int stress_main(int argc, char **argv, const struct stress_case *cases, size_t count,
	const char *broker_config);
