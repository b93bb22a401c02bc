/* SPDX-License-Identifier: Apache-2.0 */
/* An io_uring by raw system calls: see ring.h. */
#include "libclient/watch/ring.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/ring/futex.h"

/* For kernels that may be newer than the headers. */
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define SETUP_NO_MMAP       (1u << 14)
#define SETUP_NO_DESCRIPTOR (1u << 15)
#define REGISTER_HIDDEN     (1u << 31)
#define OP_FUTEX_WAIT       51
#define FUTEX2_U32          2

#define NS_PER_S            INT64_C(1000000000)

/* --- system calls ----------------------------------------------------------------------------------- */

long km_ring_register(const struct km_uring *uring, unsigned what, void *argument, unsigned count)
{
	if (uring->hidden)
		what |= REGISTER_HIDDEN;
	return syscall(SYS_io_uring_register, uring->fd, what, argument, count);
}

long km_ring_enter(const struct km_uring *uring, unsigned submit, unsigned completions,
	unsigned flags, int64_t deadline_ns)
{
	struct __kernel_timespec left;
	struct io_uring_getevents_arg until = { .ts = (uintptr_t)&left };
	size_t size = 0;

	if (uring->hidden)
		flags |= IORING_ENTER_REGISTERED_RING;
	if (deadline_ns != KM_WAIT_FOREVER) {
		int64_t ns = deadline_ns - km_clock_ns();

		ns = ns > 0 ? ns : 0;
		left = (struct __kernel_timespec){ ns / NS_PER_S, ns % NS_PER_S };
		flags |= IORING_ENTER_EXT_ARG;
		size = sizeof until;
	}
	long r = syscall(SYS_io_uring_enter, uring->fd, submit, completions, flags,
		size > 0 ? &until : NULL, size);
	return r < 0 ? -errno : r;
}

/* --- made and unmade -------------------------------------------------------------------------------- */

static bool knows_futex(const struct km_uring *uring)
{
	enum {
		SIZE = sizeof(struct io_uring_probe) +
		       (OP_FUTEX_WAIT + 1) * sizeof(struct io_uring_probe_op)
	};
	_Alignas(struct io_uring_probe) unsigned char memory[SIZE] = { 0 };
	const struct io_uring_probe *probe = (void *)memory;

	return km_ring_register(uring, IORING_REGISTER_PROBE, memory, OP_FUTEX_WAIT + 1) == 0 &&
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

static int set_up(struct km_uring *uring, unsigned entries, unsigned flags)
{
	uring->params.flags = SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | flags;
	uring->fd = (int)syscall(SYS_io_uring_setup, entries, &uring->params);
	if (uring->fd >= 0)
		return 0;
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EOPNOTSUPP;
}

int km_ring_make(unsigned entries, unsigned flags, struct km_uring **ret)
{
	struct km_uring *uring = calloc(1, sizeof *uring);

	if (!uring)
		return -ENOMEM;
	int r = set_up(uring, entries, flags);
	if (r == 0 && (uring->fd = km_fd_above_stdio(uring->fd)) < 0)
		r = -errno;
	if (r == 0)
		r = knows_futex(uring) ? map(uring) : -EOPNOTSUPP;
	if (r < 0) {
		km_ring_unmake(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

/* The kernel takes a page for the rings, and one for what is submitted. */
static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int km_ring_make_hidden(unsigned entries, unsigned completions, struct km_uring **ret)
{
	struct km_uring *uring = calloc(1, sizeof *uring);

	if (!uring)
		return -ENOMEM;
	uring->hidden = true;
	uring->fd = -1;
	uring->thread = km_ring_this_thread();
	void *memory = mmap(NULL, 2 * page(), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		free(uring);
		return -ENOMEM;
	}
	uring->rings = memory;
	uring->sqes = (void *)((unsigned char *)memory + page());
	/* a child of fork finds zeros */
	int r = madvise(memory, 2 * page(), MADV_WIPEONFORK) == 0 ? 0 : -EOPNOTSUPP;
	/* in newer headers these two are called user_addr */
	uring->params.cq_off.resv2 = (uintptr_t)uring->rings;
	uring->params.sq_off.resv2 = (uintptr_t)uring->sqes;
	uring->params.cq_entries = completions;
	if (r == 0)
		r = set_up(
			uring, entries, SETUP_NO_MMAP | SETUP_NO_DESCRIPTOR | IORING_SETUP_CQSIZE);
	if (r == 0 && !knows_futex(uring))
		r = -EOPNOTSUPP;
	if (r < 0) {
		km_ring_unmake(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

static void unmake_hidden(struct km_uring *uring)
{
	struct io_uring_rsrc_update which = { .offset = (uint32_t)uring->fd };

	if (uring->fd >= 0 && km_ring_is_mine(uring))
		km_ring_register(uring, IORING_UNREGISTER_RING_FDS, &which, 1);
	munmap(uring->rings, 2 * page()); /* the kernel has pinned it */
}

void km_ring_unmake(struct km_uring *uring)
{
	if (uring->hidden) {
		unmake_hidden(uring);
	} else {
		if (uring->rings)
			munmap(uring->rings, uring->rings_size);
		if (uring->sqes)
			munmap(uring->sqes, uring->params.sq_entries * sizeof *uring->sqes);
		km_close(uring->fd);
	}
	free(uring);
}

/* --- whose -------------------------------------------------------------------------------------------- */

uint64_t km_ring_this_thread(void)
{
	static _Atomic uint64_t last;
	static _Thread_local uint64_t number;

	if (number == 0)
		number = km_add(D11, relaxed, &last, 1) + 1;
	return number;
}

bool km_ring_is_mine(const struct km_uring *uring)
{
	return uring->thread == km_ring_this_thread() &&
	       km_load(D4, acquire, km_ring_at(uring, uring->params.sq_off.ring_entries)) != 0;
}

/* --- entries ------------------------------------------------------------------------------------------ */

void km_ring_push(struct km_uring *uring, const struct io_uring_sqe *sqe)
{
	const struct io_uring_params *p = &uring->params;
	_Atomic uint32_t *tail = km_ring_at(uring, p->sq_off.tail);
	uint32_t place = km_load(D4, acquire, tail), index = place & (p->sq_entries - 1);

	uring->sqes[index] = *sqe;
	*((uint32_t *)(void *)km_ring_at(uring, p->sq_off.array) + index) = index;
	km_store(D4, release, tail, place + 1);
}

struct io_uring_sqe km_ring_wait_at(const _Atomic uint32_t *word, uint32_t expected, uint64_t tag)
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

bool km_ring_next(struct km_uring *uring, uint64_t *ret_tag)
{
	const struct io_uring_params *p = &uring->params;
	_Atomic uint32_t *head = km_ring_at(uring, p->cq_off.head);
	uint32_t place = km_load(D4, acquire, head);

	if (!km_ring_has_completions(uring))
		return false;
	const struct io_uring_cqe *cqes = (void *)km_ring_at(uring, p->cq_off.cqes);
	*ret_tag = cqes[place & (p->cq_entries - 1)].user_data;
	km_store(D4, release, head, place + 1);
	return true;
}
