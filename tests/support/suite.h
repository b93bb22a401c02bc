/* SPDX-License-Identifier: Apache-2.0 */
/* The end of main() of a test program that is made with Check. */
#pragma once

#include <check.h>
#include <stdlib.h>

/* Runs the suite and frees it. CK_VERBOSITY says how much is printed. Returns the exit status. */
static inline int test_suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
