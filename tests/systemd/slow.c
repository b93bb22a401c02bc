/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow machine, to be preloaded: mapping shared memory takes SLOW_USEC microseconds more. The
 * program itself is the installed one, and the slowness is the same wherever the test runs. A CPU
 * quota isn't to be had in every container, and the loader would feel it too.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void take_time(void)
{
	const char *text = getenv("SLOW_USEC");
	unsigned long usec = text ? strtoul(text, NULL, 10) : 0;
	struct timespec left = { (time_t)(usec / 1000000), (long)(usec % 1000000) * 1000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* This file is compiled as the broker is, so that both use the same one of mmap() and mmap64(). */
__attribute__((visibility("default"))) void *mmap(
	void *place, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (flags & MAP_SHARED && fd >= 0)
		take_time();
	return (void *)syscall(SYS_mmap, place, size, prot, flags, fd, offset);
}
