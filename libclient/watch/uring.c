/* SPDX-License-Identifier: Apache-2.0 */
/* A FUTEX_WAIT of io_uring: see uring.h. */
#include "libclient/watch/uring.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/memory/atomic.h"

/* For kernels that may be newer than the headers. */
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define SETUP_TASKRUN_FLAG  (1u << 9)
#define SQ_TASKRUN          (1u << 2)
#define OP_FUTEX_WAIT       51
#define FUTEX2_U32          2
#define ENTRIES             2
#define ENTRIES_OF_MANY     128

/* Tags in a descriptor's ring. */
#define OF_DRAIN 0u
#define OF_WAIT  1u

/*
 * Orders, with the kernel
 *   D4 tail, head of the ring   acquire / release   as io_uring(7) has it
 *   D5 flags of the ring        acquire             the kernel says that there is work before it
 *                                                   signals the eventfd
 *   D10 flags of completions    seq_cst             the eventfd is on again before the look at D5:
 *                                                   the kernel queues work, and looks at D10 then
 */
struct km_uring {
	int fd;
	unsigned waits;   /* in the kernel, of one descriptor's ring */
	unsigned pushed;  /* not yet submitted, of a thread's ring */
	uint64_t drained; /* what was read from the ring's eventfd */
	void *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

static _Atomic uint32_t *at(const struct km_uring *uring, uint32_t offset)
{
	return (void *)((unsigned char *)uring->rings + offset);
}

static long enter(const struct km_uring *uring, unsigned submit, unsigned flags)
{
	long r = syscall(SYS_io_uring_enter, uring->fd, submit, 0, flags, NULL, 0);

	return r < 0 ? -errno : r;
}

/* A wait that ended as it began, or with its thread, has posted its completion. */
static bool has_completions(const struct km_uring *uring)
{
	return km_load(D4, acquire, at(uring, uring->params.cq_off.tail)) !=
	       km_load(D4, acquire, at(uring, uring->params.cq_off.head));
}

static bool knows_futex(int fd)
{
	enum {
		SIZE = sizeof(struct io_uring_probe) +
		       (OP_FUTEX_WAIT + 1) * sizeof(struct io_uring_probe_op)
	};
	_Alignas(struct io_uring_probe) unsigned char memory[SIZE] = { 0 };
	const struct io_uring_probe *probe = (void *)memory;

	return syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, memory,
		       OP_FUTEX_WAIT + 1) == 0 &&
	       probe->last_op >= OP_FUTEX_WAIT &&
	       probe->ops[OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED;
}

static int map(struct km_uring *uring)
{
	const struct io_uring_params *p = &uring->params;
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	const int access = PROT_READ | PROT_WRITE;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -EOPNOTSUPP;
	uring->rings_size = sq > cq ? sq : cq;
	uring->rings = mmap(
		NULL, uring->rings_size, access, MAP_SHARED, uring->fd, IORING_OFF_SQ_RING);
	if (uring->rings == MAP_FAILED) {
		uring->rings = NULL;
		return -errno;
	}
	uring->sqes = mmap(NULL, p->sq_entries * sizeof *uring->sqes, access, MAP_SHARED, uring->fd,
		IORING_OFF_SQES);
	if (uring->sqes == MAP_FAILED) {
		uring->sqes = NULL;
		return -errno;
	}
	/* a child of fork may use neither mapping */
	madvise(uring->rings, uring->rings_size, MADV_DONTFORK);
	madvise(uring->sqes, p->sq_entries * sizeof *uring->sqes, MADV_DONTFORK);
	return 0;
}

/* The ring signals the eventfd, which is also the ring's only file: a request that reads it needs no
 * look at the process' descriptors. */
static int register_eventfd(int fd, int eventfd)
{
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &eventfd, 1) < 0 ||
		syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, &eventfd, 1) < 0)
		return -errno;
	return 0;
}

/* Makes a ring. `eventfd` may be -1. */
static int make(unsigned entries, unsigned flags, int eventfd, struct km_uring **ret)
{
	struct km_uring *uring = calloc(1, sizeof *uring);
	int r = 0;

	if (!uring)
		return -ENOMEM;
	uring->params.flags = SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | flags;
	uring->fd = km_fd_above_stdio((int)syscall(SYS_io_uring_setup, entries, &uring->params));
	if (uring->fd < 0)
		r = errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EOPNOTSUPP;
	else if (!knows_futex(uring->fd))
		r = -EOPNOTSUPP;
	else
		r = map(uring);
	if (r == 0 && eventfd >= 0)
		r = register_eventfd(uring->fd, eventfd);
	if (r < 0) {
		km_uring_free(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

int km_uring_new(int eventfd, struct km_uring **ret)
{
	return make(ENTRIES, SETUP_TASKRUN_FLAG, eventfd, ret);
}

bool km_uring_free(struct km_uring *uring)
{
	if (!uring)
		return true;
	bool silent = syscall(SYS_io_uring_register, uring->fd, IORING_UNREGISTER_EVENTFD, NULL,
			      0) == 0;
	if (uring->rings) {
		silent = silent || uring->waits == 0 || has_completions(uring);
		munmap(uring->rings, uring->rings_size);
	}
	if (uring->sqes)
		munmap(uring->sqes, uring->params.sq_entries * sizeof *uring->sqes);
	km_close(uring->fd);
	free(uring);
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

	while (km_uring_next(uring, &tag))
		uring->waits -= tag == OF_WAIT && uring->waits > 0;
}

int km_uring_reap(struct km_uring *uring)
{
	/* the ring's work is done by this call, not before */
	long r = enter(uring, 0, IORING_ENTER_GETEVENTS);

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
	return km_load(D5, acquire, at(uring, uring->params.sq_off.flags)) & SQ_TASKRUN ||
	       has_completions(uring);
}

static void push(struct km_uring *uring, const struct io_uring_sqe *sqe)
{
	const struct io_uring_params *p = &uring->params;
	_Atomic uint32_t *tail = at(uring, p->sq_off.tail);
	uint32_t place = km_load(D4, acquire, tail), index = place & (p->sq_entries - 1);

	uring->sqes[index] = *sqe;
	*((uint32_t *)(void *)at(uring, p->sq_off.array) + index) = index;
	km_store(D4, release, tail, place + 1);
}

static struct io_uring_sqe wait_at(const _Atomic uint32_t *word, uint32_t expected, uint64_t tag)
{
	return (struct io_uring_sqe){
		.opcode = OP_FUTEX_WAIT,
		.fd = FUTEX2_U32, /* shared between processes */
		.addr = (uintptr_t)word,
		.off = expected,
		.addr3 = FUTEX_BITSET_MATCH_ANY,
		.user_data = tag,
	};
}

/* The eventfd is read in the call that waits, so it must say nothing of what the call takes in. */
static void silence(struct km_uring *uring, uint32_t flags)
{
	km_store(D10, seq_cst, at(uring, uring->params.cq_off.flags), flags);
}

int km_uring_wait(struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected)
{
	const bool goes_on = km_uring_waits(uring) && !km_uring_is_completed(uring);
	const unsigned count = goes_on ? 1 : 2;
	const struct io_uring_sqe wait = wait_at(word, expected, OF_WAIT), drain = {
		.opcode = IORING_OP_READ,
		.flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE,
		.fd = 0,
		.addr = (uintptr_t)&uring->drained,
		.len = sizeof uring->drained,
		.rw_flags = RWF_NOWAIT,
		.user_data = OF_DRAIN,
	};

	push(uring, &drain);
	if (!goes_on)
		push(uring, &wait);
	silence(uring, IORING_CQ_EVENTFD_DISABLED);
	/* the kernel takes the new wait before it does the ring's work, which ends the old one */
	long r = enter(uring, count, IORING_ENTER_GETEVENTS);
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

/* --- a thread's ---------------------------------------------------------------------------------- */

int km_uring_new_of_thread(struct km_uring **ret)
{
	return make(ENTRIES_OF_MANY, IORING_SETUP_R_DISABLED, -1, ret);
}

int km_uring_take_over(const struct km_uring *uring)
{
	long r = syscall(SYS_io_uring_register, uring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	return r < 0 ? -errno : 0;
}

/* Submits what was pushed. The kernel may leave some of it for the next time. */
static int submit(struct km_uring *uring, unsigned completions)
{
	unsigned flags = completions > 0 ? IORING_ENTER_GETEVENTS : 0;
	long r = syscall(SYS_io_uring_enter, uring->fd, uring->pushed, completions, flags, NULL, 0);

	if (r < 0)
		return -errno;
	uring->pushed -= (unsigned)r < uring->pushed ? (unsigned)r : uring->pushed;
	return 0;
}

static int push_one(struct km_uring *uring, const struct io_uring_sqe *sqe)
{
	int r = uring->pushed == uring->params.sq_entries ? submit(uring, 0) : 0;

	if (r == 0 && uring->pushed == uring->params.sq_entries)
		r = -EBUSY;
	if (r < 0)
		return r;
	push(uring, sqe);
	uring->pushed++;
	return 0;
}

int km_uring_push_wait(
	struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected, uint64_t tag)
{
	const struct io_uring_sqe sqe = wait_at(word, expected, tag);

	return push_one(uring, &sqe);
}

int km_uring_push_cancel(struct km_uring *uring, uint64_t tag)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_ASYNC_CANCEL, .addr = tag };

	return push_one(uring, &sqe);
}

int km_uring_sleep(struct km_uring *uring)
{
	return has_completions(uring) && uring->pushed == 0 ? 0 : submit(uring, 1);
}

bool km_uring_next(struct km_uring *uring, uint64_t *ret_tag)
{
	const struct io_uring_params *p = &uring->params;
	_Atomic uint32_t *head = at(uring, p->cq_off.head);
	uint32_t place = km_load(D4, acquire, head);

	if (!has_completions(uring))
		return false;
	const struct io_uring_cqe *cqes = (void *)at(uring, p->cq_off.cqes);
	*ret_tag = cqes[place & (p->cq_entries - 1)].user_data;
	km_store(D4, release, head, place + 1);
	return true;
}
