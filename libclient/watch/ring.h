/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An io_uring by raw system calls, for the files that make something of it: uring.c and many.c. One
 * thread submits and takes completions; the kernel defers the ring's work to its calls.
 *
 * Orders, with the kernel
 *   D4 tail, head of the ring   acquire / release   as io_uring(7) has it
 *
 * Orders, of one process' threads
 *   D11 the last number   relaxed   each thread takes another one, and nothing depends on which
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/memory/atomic.h"

struct km_uring {
	int fd;          /* of a hidden ring: its place among its thread's */
	bool hidden;     /* it has no descriptor */
	uint64_t thread; /* of a hidden ring: km_ring_this_thread() */
	unsigned waits;  /* in the kernel, of one descriptor's ring */
	unsigned pushed; /* not yet submitted, of a ring with many waits */

	uint64_t drained; /* what was read from the ring's eventfd */
	void *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

static inline _Atomic uint32_t *km_ring_at(const struct km_uring *uring, uint32_t offset)
{
	return (void *)((unsigned char *)uring->rings + offset);
}

/* A wait that ended as it began, or with its thread, has posted its completion. */
static inline bool km_ring_has_completions(const struct km_uring *uring)
{
	return km_load(D4, acquire, km_ring_at(uring, uring->params.cq_off.tail)) !=
	       km_load(D4, acquire, km_ring_at(uring, uring->params.cq_off.head));
}

/* Makes a ring with so many entries, whose set-up has `flags` beside those that all have. Errors:
 * those of km_uring_new(). */
int km_ring_make(unsigned entries, unsigned flags, struct km_uring **ret);
/* Makes one without a descriptor, of this thread. */
int km_ring_make_hidden(unsigned entries, unsigned completions, struct km_uring **ret);
/* Takes its memory and its descriptor away, and frees it. */
void km_ring_unmake(struct km_uring *uring);

/* The two system calls. */
long km_ring_register(const struct km_uring *uring, unsigned what, void *argument, unsigned count);
/* Waits for `completions` until the deadline. Returns how many were submitted, or an error. */
long km_ring_enter(const struct km_uring *uring, unsigned submit, unsigned completions,
	unsigned flags, int64_t deadline_ns);

void km_ring_push(struct km_uring *uring, const struct io_uring_sqe *sqe);
struct io_uring_sqe km_ring_wait_at(const _Atomic uint32_t *word, uint32_t expected, uint64_t tag);

bool km_ring_next(struct km_uring *uring, uint64_t *ret_tag);

/* Is a hidden ring this thread's? */
bool km_ring_is_mine(const struct km_uring *uring);
/* A number that no other thread of this process has had. */
uint64_t km_ring_this_thread(void);
