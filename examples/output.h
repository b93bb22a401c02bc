/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples print: at once, also into a pipe, and never lost in silence. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>

static inline void output_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Returns `status`, or 1 where not all that was printed has got out. */
static inline int output_end(const char *program, int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return status;
	fprintf(stderr, "%s: not all of the output could be written%s%s\n", program,
		errno ? ": " : "", errno ? strerror(errno) : "");
	return status ? status : 1;
}
