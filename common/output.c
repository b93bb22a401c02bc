/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output: see output.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/output.h"

void km_output_begin(void)
{
	int fd;

	do
		/* Can neither be read nor written, as if it were closed. */
		fd = open("/", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int km_output_end(const char *program, int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) != 0)
		failed = 1;
	if (!failed)
		return status;
	fprintf(stderr, "%s: not all of the output could be written%s%s\n", program,
		errno ? ": " : "", errno ? strerror(errno) : "");
	return status ? status : 1;
}
