/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program may run without descriptors 0 to 2. If a descriptor of ours took one of these places,
 * that descriptor would get the words that the program, or a library of it, writes to stderr.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Moves a fresh descriptor (close-on-exec) above 2. Of -1 with its errno the result is -1 and that
 * errno. */
static inline int km_fd_above_stdio(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = errno;
	close(fd);
	errno = error;
	return high;
}
