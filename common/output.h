/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output of all programs here. The output gets where it should, or the program says that
 * output was lost and ends with another status. Call km_output_begin() before anything else and
 * km_output_end() before the end.
 */
#pragma once

#include <stdio.h>

/* Descriptors 0 to 2 that aren't open become such as nothing can be read from or written to, so
 * that no file or socket of the program takes their place. */
void km_output_begin(void);

/* Writes what is left on standard output. Returns `status`. If anything printed is lost, says so on
 * standard error as "PROGRAM: ...", and returns 1 in the place of 0. */
int km_output_end(const char *program, int status);
