/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a broker (LD_PRELOAD), it makes the kernel an older one: SO_PEERPIDFD fails with the
 * number in PEERPIDFD_ERROR. ENOPROTOOPT: the kernel doesn't know it (before Linux 6.5). ESRCH: of a
 * process that is gone (before Linux 6.16).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PEERPIDFD 77

__attribute__((visibility("default"))) int getsockopt(
	int fd, int level, int name, void *value, socklen_t *size)
{
	const char *error = getenv("PEERPIDFD_ERROR");

	if (level == SOL_SOCKET && name == PEERPIDFD && error) {
		errno = atoi(error);
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}
