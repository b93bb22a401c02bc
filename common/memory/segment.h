/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory segments: memfds of a fixed size that can't shrink under a mapping.
 *
 * The broker makes them, sealed (SHRINK, GROW, SEAL), of mode 0600, with all pages reserved, so a
 * process that maps one never meets a SIGBUS. A subscriber gets the payload through a description
 * that was opened read-only. A process of another uid can't turn that into a writable one, by
 * mprotect, by a second mmap or through /proc. The file's mode lets only the broker's own uid open
 * it.
 *
 * Mappings are not inherited by fork (MADV_DONTFORK).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A new segment whose pages are all there, and zero. `name` is what /proc/PID/maps shows after
 * "memfd:". *ret_fd is the caller's (close-on-exec). Errors: -EINVAL size 0 or name too long; -ENOMEM
 * not so much memory; -EMFILE, -ENFILE. Blocks while the kernel makes the pages: some 1 us for 4 KiB. */
int km_segment_create(const char *name, uint64_t size, int *ret_fd);

/* km_segment_create() in pieces: makes a segment without pages, and reserves the pages of bytes
 * `from` to `from + size`. Nobody is given a segment before it has all its pages. */
int km_segment_begin(const char *name, uint64_t size, int *ret_fd);
int km_segment_reserve(int fd, uint64_t from, uint64_t size);

/* A second open file description of the same segment, with O_RDONLY or O_RDWR as `flags`. Errors:
 * those of open(2). */
int km_segment_reopen(int fd, int flags, int *ret_fd);

/* Is `fd` a memfd of at least `size` bytes that can't shrink? Errors: -EPROTO no. */
int km_segment_check(int fd, uint64_t size);

/* Checks as km_segment_check() does, and maps the memfd. `prot` as mmap(2). Errors: -EPROTO it
 * can't be such a segment; -ENOMEM; -EACCES. */
int km_segment_map(int fd, uint64_t size, int prot, void **ret);

/*
 * km_segment_map() for a process that is to use all of the segment. Of a segment of up to
 * KM_SEGMENT_RESIDENT bytes each page is mapped now, so that no message meets a page fault. The
 * mapping takes some 0.1 to 0.25 us for each 4 KiB, while a new subscriber's ring fills already:
 * hence the limit.
 */
#define KM_SEGMENT_RESIDENT (UINT64_C(8) << 20)
int km_segment_map_resident(int fd, uint64_t size, int prot, void **ret);

/*
 * Gives the pages of bytes `from` to `size` back to the system, also while others have the segment
 * mapped or a descriptor of it. They read as zeros from then on. A process that touches them again
 * gets new pages, which the kernel counts for that process as memory of its own. `from` is whole
 * pages.
 */
void km_segment_empty(int fd, uint64_t from, uint64_t size);

/* Takes a null pointer. */
void km_segment_unmap(void *memory, uint64_t size);

/* Locks the open file description `fd`, shared or exclusive; never waits. A mapping made through
 * the description keeps the lock after every descriptor of it is closed.
 * Errors: -EWOULDBLOCK somebody else has it. */
int km_segment_lock(int fd, int exclusive);
