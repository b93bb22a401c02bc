/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor's io_uring: see uring.h. */
#include "libclient/watch/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "common/cleanup.h"
#include "common/ring/futex.h"
#include "libclient/watch/ring.h"

/* For kernels that may be newer than the headers. */
#define SETUP_TASKRUN_FLAG (1u << 9)
#define SQ_TASKRUN         (1u << 2)
#define ENTRIES            2

/* Tags of what is in the ring. */
#define OF_DRAIN 0u
#define OF_WAIT  1u

/*
 * Orders, with the kernel
 *   D5 flags of the ring        acquire   the kernel says that there is work before it signals the
 *                                         eventfd
 *   D10 flags of completions    seq_cst   the eventfd is on again before the look at D5: the kernel
 *                                         queues work, and looks at D10 then
 */

/* The ring signals the eventfd, which is also the ring's only file: a request that reads it needs no
 * look at the process' descriptors. */
static int register_eventfd(const struct km_uring *uring, int eventfd)
{
	if (km_ring_register(uring, IORING_REGISTER_EVENTFD, &eventfd, 1) < 0 ||
		km_ring_register(uring, IORING_REGISTER_FILES, &eventfd, 1) < 0)
		return -errno;
	return 0;
}

int km_uring_new(int eventfd, struct km_uring **ret)
{
	struct km_uring *uring;
	int r = km_ring_make(ENTRIES, SETUP_TASKRUN_FLAG, &uring);

	if (r < 0)
		return r;
	r = register_eventfd(uring, eventfd);
	if (r < 0) {
		km_ring_unmake(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

bool km_uring_free(struct km_uring *uring)
{
	if (!uring)
		return true;
	bool silent = uring->hidden ||
		      km_ring_register(uring, IORING_UNREGISTER_EVENTFD, NULL, 0) == 0 ||
		      uring->waits == 0 || km_ring_has_completions(uring);
	km_ring_unmake(uring);
	return silent;
}

void km_uring_disown(const struct km_uring *uring)
{
	if (uring)
		km_close(uring->fd);
}

/* Takes the completions in that the kernel has posted. */
static void take_in(struct km_uring *uring)
{
	uint64_t tag;

	while (km_ring_next(uring, &tag))
		uring->waits -= tag == OF_WAIT && uring->waits > 0;
}

int km_uring_reap(struct km_uring *uring)
{
	/* the ring's work is done by this call, not before */
	long r = km_ring_enter(uring, 0, 0, IORING_ENTER_GETEVENTS, KM_WAIT_FOREVER);

	if (r == 0)
		take_in(uring);
	return (int)r;
}

bool km_uring_waits(const struct km_uring *uring)
{
	return uring->waits > 0;
}

bool km_uring_is_completed(const struct km_uring *uring)
{
	return km_load(D5, acquire, km_ring_at(uring, uring->params.sq_off.flags)) & SQ_TASKRUN ||
	       km_ring_has_completions(uring);
}

/* The eventfd is read in the call that waits, so it must say nothing of what the call takes in. */
static void silence(struct km_uring *uring, uint32_t flags)
{
	km_store(D10, seq_cst, km_ring_at(uring, uring->params.cq_off.flags), flags);
}

int km_uring_wait(struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected)
{
	const bool goes_on = km_uring_waits(uring) && !km_uring_is_completed(uring);
	const unsigned count = goes_on ? 1 : 2;
	const struct io_uring_sqe wait = km_ring_wait_at(word, expected, OF_WAIT), drain = {
		.opcode = IORING_OP_READ,
		.flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE,
		.fd = 0,
		.addr = (uintptr_t)&uring->drained,
		.len = sizeof uring->drained,
		.rw_flags = RWF_NOWAIT,
		.user_data = OF_DRAIN,
	};

	km_ring_push(uring, &drain);
	if (!goes_on)
		km_ring_push(uring, &wait);
	silence(uring, IORING_CQ_EVENTFD_DISABLED);
	/* the kernel takes the new wait before it does the ring's work, which ends the old one */
	long r = km_ring_enter(uring, count, 0, IORING_ENTER_GETEVENTS, KM_WAIT_FOREVER);
	silence(uring, 0);
	if (r != count)
		return r < 0 ? (int)r : -EIO;
	uring->waits += !goes_on;
#ifndef __x86_64__
	/* Elsewhere the kernel's store of D5 may come behind its look at D10. Its queue doesn't. */
	return km_uring_reap(uring);
#else
	take_in(uring);
	return 0;
#endif
}
