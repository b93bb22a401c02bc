/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output: see ctl.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

void ctl_output_begin(void)
{
	int fd;

	do
		/* Can neither be read nor written, as if it were closed. */
		fd = open("/", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int ctl_output_end(int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) != 0)
		failed = 1;
	if (!failed)
		return status;
	fprintf(stderr, "kickmsgctl: not all of the output could be written%s%s\n",
		errno ? ": " : "", errno ? strerror(errno) : "");
	return CTL_NO_OUTPUT;
}
