/* SPDX-License-Identifier: Apache-2.0 */
/* Memory segments: see segment.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>

#include "common/cleanup.h"
#include "common/memory/layout.h"
#include "common/memory/segment.h"

#define ZEROS_AT_ONCE 64      /* pages */
#define PIECE         0x10000 /* bytes */
#define NEEDED_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int memfd_open(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3, or a bad name */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* Pages are reserved now: shortage is an error here and never a signal later. They are written, since
 * what fallocate() reserves is cleared only when it is first touched: each page by a fault of its own,
 * in a process that waits for it. */
int km_segment_reserve(int fd, uint64_t from, uint64_t size)
{
	static const unsigned char zeros[KM_PAGE_SIZE];
	struct iovec pages[ZEROS_AT_ONCE];
	const uint64_t end = from + size;

	while (from < end) {
		int count = 0;

		for (uint64_t at = from; at < end && count < ZEROS_AT_ONCE; count++) {
			uint64_t part = end - at < sizeof zeros ? end - at : sizeof zeros;

			pages[count].iov_base = (void *)(uintptr_t)zeros;
			pages[count].iov_len = part;
			at += part;
		}
		ssize_t n = pwritev(fd, pages, count, (off_t)from);
		if (n == 0)
			return -EIO; /* no file does so */
		if (n > 0)
			from += (uint64_t)n;
		else if (errno != EINTR)
			return errno == ENOSPC || errno == EFBIG ? -ENOMEM : -errno;
	}
	return 0;
}

/* The kernel reserves a memfd page by page, and says no only when nothing is left to kill. So a
 * size that can never be had is refused before. The broker judges what can be had now
 * (daemon/run/account.c). */
static bool is_more_than_the_machine_has(uint64_t size)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 && size / info.mem_unit > info.totalram + info.totalswap;
}

int km_segment_begin(const char *name, uint64_t size, int *ret_fd)
{
	if (size == 0)
		return -EINVAL;
	if (size > INT64_MAX || is_more_than_the_machine_has(size))
		return -ENOMEM;

	_cleanup_(km_closep) int fd = memfd_open(name);
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		return errno == EFBIG || errno == EINVAL ? -ENOMEM : -errno;
	if (fcntl(fd, F_ADD_SEALS, NEEDED_SEALS) < 0)
		return -errno;
	*ret_fd = km_steal_fd(fd);
	return 0;
}

int km_segment_create(const char *name, uint64_t size, int *ret_fd)
{
	_cleanup_(km_closep) int fd = -1;
	int r = km_segment_begin(name, size, &fd);

	if (r == 0)
		r = km_segment_reserve(fd, 0, size);
	if (r == 0)
		*ret_fd = km_steal_fd(fd);
	return r;
}

int km_segment_reopen(int fd, int flags, int *ret_fd)
{
	char path[sizeof "/proc/self/fd/-2147483648"];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int copy = open(path, flags | O_CLOEXEC | O_NOCTTY);
	if (copy < 0)
		return -errno;
	*ret_fd = copy;
	return 0;
}

int km_segment_check(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* a file that isn't a memfd has no seals */
	int seals = fcntl(fd, F_GET_SEALS);
	if (size == 0 || st.st_size < 0 || (uint64_t)st.st_size < size || seals < 0 ||
		!(seals & F_SEAL_SHRINK))
		return -EPROTO;
	return 0;
}

int km_segment_map(int fd, uint64_t size, int prot, void **ret)
{
	int r = km_segment_check(fd, size);

	if (r < 0)
		return r;
	void *memory = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	/* EAGAIN: a process that locks all that it maps may lock no more */
	if (memory == MAP_FAILED)
		return errno == EAGAIN ? -ENOMEM : -errno;
	if (madvise(memory, size, MADV_DONTFORK) < 0) {
		r = -errno;
		munmap(memory, size);
		return r;
	}
	*ret = memory;
	return 0;
}

/* Looks at one page of each aligned piece that a fault maps whole: 64 KiB is the kernel's default. The
 * last page may be in a piece of its own. A page that stays unmapped is mapped by a fault later. Of a
 * shared mapping the pages that are looked at are mapped writable where they may be. MAP_POPULATE
 * would also ask for each page by itself, which takes as long again. */
static void look_at_each_piece(const void *memory, uint64_t size)
{
	const volatile unsigned char *bytes = memory;

	for (uint64_t at = 0; at < size; at += PIECE)
		(void)bytes[at];
	(void)bytes[size - 1];
}

int km_segment_map_resident(int fd, uint64_t size, int prot, void **ret)
{
	void *memory;
	int r = km_segment_map(fd, size, prot, &memory);

	if (r < 0)
		return r;
	if (size <= KM_SEGMENT_RESIDENT)
		look_at_each_piece(memory, size);
	*ret = memory;
	return 0;
}

void km_segment_empty(int fd, uint64_t from, uint64_t size)
{
	int r;

	/* a part of a page would only be zeroed */
	size = (size + KM_PAGE_SIZE - 1) / KM_PAGE_SIZE * KM_PAGE_SIZE;
	/* without F_SEAL_WRITE on the memfd nothing but a signal stops this call */
	do
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			(off_t)(size - from));
	while (size > from && r < 0 && errno == EINTR);
}

void km_segment_unmap(void *memory, uint64_t size)
{
	if (memory)
		munmap(memory, size);
}

int km_segment_lock(int fd, int exclusive)
{
	if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
		return -errno;
	return 0;
}
