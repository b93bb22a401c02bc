/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A success may change errno, says the standard, and most calls never do. Here each one does: what the
 * library calls is linked to these (--wrap, tests/meson.build), so that a call of the library that
 * forgets to put errno back is seen on every path.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/guest/guest.h"

#define DISTURBED(type, name, parameters, arguments)                                               \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		type r = __real_##name arguments;                                                  \
                                                                                                   \
		if (r != (type)-1)                                                                 \
			errno = GUEST_DISTURBED;                                                   \
		return r;                                                                          \
	}

DISTURBED(void *, calloc, (size_t count, size_t size), (count, size))
DISTURBED(void *, malloc, (size_t size), (size))
DISTURBED(void *, realloc, (void *old, size_t size), (old, size))
DISTURBED(int, close, (int fd), (fd))
DISTURBED(int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
DISTURBED(int, epoll_create1, (int flags), (flags))
DISTURBED(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event),
	(epoll, op, fd, event))
DISTURBED(int, fstat64, (int fd, struct stat64 *ret), (fd, ret))
DISTURBED(int, madvise, (void *memory, size_t size, int advice), (memory, size, advice))
DISTURBED(void *, mmap64, (void *at, size_t size, int prot, int flags, int fd, off64_t offset),
	(at, size, prot, flags, fd, offset))
DISTURBED(int, munmap, (void *memory, size_t size), (memory, size))
DISTURBED(int, ppoll,
	(struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
	(fds, count, timeout, mask))
DISTURBED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
DISTURBED(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
DISTURBED(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
	(fd, level, option, value, size))
DISTURBED(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
DISTURBED(int, timerfd_create, (int clock, int flags), (clock, flags))
DISTURBED(int, timerfd_settime,
	(int fd, int flags, const struct itimerspec *timer, struct itimerspec *old),
	(fd, flags, timer, old))
DISTURBED(int, clock_nanosleep,
	(clockid_t clock, int flags, const struct timespec *until, struct timespec *left),
	(clock, flags, until, left))

/* The futex, of six arguments. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list more;

	va_start(more, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
	long r = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r != -1)
		errno = GUEST_DISTURBED;
	return r;
}

/* F_SETFL, F_GET_SEALS and F_DUPFD_CLOEXEC. */
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	int r = __real_fcntl64(fd, command, va_arg(more, long));
	va_end(more);
	if (r != -1)
		errno = GUEST_DISTURBED;
	return r;
}
