/* SPDX-License-Identifier: Apache-2.0 */
/* Rings with many waits, of a thread of the library or of a wait set: see uring.h. */
#include <errno.h>

#include "common/ring/futex.h"
#include "libclient/watch/ring.h"
#include "libclient/watch/uring.h"

#define ENTRIES 128

/* So many that the memory of a hidden ring is a page each. */
#define HIDDEN_ENTRIES     32
#define HIDDEN_COMPLETIONS 128

int km_uring_new_of_thread(struct km_uring **ret)
{
	return km_ring_make(ENTRIES, IORING_SETUP_R_DISABLED, ret);
}

int km_uring_take_over(const struct km_uring *uring)
{
	long r = km_ring_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	return r < 0 ? -errno : 0;
}

int km_uring_new_hidden(struct km_uring **ret)
{
	return km_ring_make_hidden(HIDDEN_ENTRIES, HIDDEN_COMPLETIONS, ret);
}

bool km_uring_is_mine(const struct km_uring *uring)
{
	return km_ring_is_mine(uring);
}

/* Submits what was pushed. The kernel may leave some of it for the next time. */
static int submit(struct km_uring *uring, unsigned completions, int64_t deadline_ns)
{
	long r = km_ring_enter(uring, uring->pushed, completions,
		completions > 0 ? IORING_ENTER_GETEVENTS : 0, deadline_ns);

	if (r < 0)
		return (int)r;
	uring->pushed -= (unsigned)r < uring->pushed ? (unsigned)r : uring->pushed;
	return 0;
}

static int push_one(struct km_uring *uring, const struct io_uring_sqe *sqe)
{
	int r = uring->pushed == uring->params.sq_entries ? submit(uring, 0, KM_WAIT_FOREVER) : 0;

	if (r == 0 && uring->pushed == uring->params.sq_entries)
		r = -EBUSY;
	if (r < 0)
		return r;
	km_ring_push(uring, sqe);
	uring->pushed++;
	return 0;
}

int km_uring_push_wait(
	struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected, uint64_t tag)
{
	const struct io_uring_sqe sqe = km_ring_wait_at(word, expected, tag);

	return push_one(uring, &sqe);
}

int km_uring_push_cancel(struct km_uring *uring, uint64_t tag)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_ASYNC_CANCEL, .addr = tag };

	return push_one(uring, &sqe);
}

int km_uring_sleep(struct km_uring *uring, int64_t deadline_ns)
{
	if (km_ring_has_completions(uring) && uring->pushed == 0)
		return 0;
	int r = submit(uring, 1, deadline_ns);
	return r == -ETIME || r == -EINTR ? 0 : r;
}

bool km_uring_next(struct km_uring *uring, uint64_t *ret_tag)
{
	return km_ring_next(uring, ret_tag);
}
