/* SPDX-License-Identifier: Apache-2.0 */
/* The main() of programs that are a table of cases. */
#pragma once

#include "tests/support/stress/stress.h"

/*
 * Runs the cases whose names begin with one of those given (all by default) against one private
 * broker with this config file (null: none). The options: [--seed N] [--list] [--no-broker]
 * [NAME...]. --no-broker leaves out cases that need a broker. Returns what main() returns.
 */
int stress_main(int argc, char **argv, const struct stress_case *cases, size_t count,
	const char *broker_config);
