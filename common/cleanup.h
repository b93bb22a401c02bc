/* SPDX-License-Identifier: Apache-2.0 */
/* Owners that clean up after themselves: a local that owns something says so where it is declared.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Closes and forgets a descriptor. */
static inline int km_close(int fd)
{
	if (fd >= 0)
		close(fd);
	return -1;
}

static inline void km_closep(int *fd)
{
	*fd = km_close(*fd);
}

static inline void km_freep(void *p)
{
	free(*(void **)p);
}

/* Hands over what a cleanup variable owns. */
#define km_steal_fd(fd)                                                                            \
	({                                                                                         \
		int stolen_ = (fd);                                                                \
		(fd) = -1;                                                                         \
		stolen_;                                                                           \
	})

#define km_steal_ptr(p)                                                                            \
	({                                                                                         \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	})

/* A function that begins with this leaves errno to its caller as it was. */
#define KM_KEEP_ERRNO                                                                              \
	_cleanup_(km_put_errno) __attribute__((unused)) const int caller_errno_ = errno

static inline void km_put_errno(const int *errno_before)
{
	errno = *errno_before;
}
