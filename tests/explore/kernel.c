/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's part in waiting by a descriptor or at several words: eventfds, io_uring's futex wait,
 * futex_waitv(2), the library's thread. All of it happens under one lock, the futex's. The product's
 * sources call these functions by the names of the real ones (amalgamate.py).
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "common/ring/futex.h"
#include "libclient/kickmsg.h"
#include "libclient/watch/uring.h"
#include "tests/explore/cast.h"

#define FIRST_FD 1000

static uint32_t *count_of(int fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + WORLD_MAX_EVENTFDS)
		ex_fail("explorer: descriptor %d", fd);
	return &world.eventfds[fd - FIRST_FD];
}

int world_eventfd(unsigned count, int flags)
{
	if (world.eventfd_count == WORLD_MAX_EVENTFDS)
		ex_fail("explorer: too many eventfds");
	world.eventfds[world.eventfd_count] = count;
	return FIRST_FD + (int)world.eventfd_count++;
}

ssize_t world_write(int fd, const void *from, size_t size)
{
	ex_kernel();
	*count_of(fd) += 1;
	if (ex.tracing && ex.current >= 0)
		ex_note("eventfd %d is readable", fd - FIRST_FD);
	return (ssize_t)size;
}

ssize_t world_read(int fd, void *to, size_t size)
{
	ex_kernel();
	bool was_readable = *count_of(fd) > 0;
	*count_of(fd) = 0;
	return was_readable ? (ssize_t)size : -1;
}

static bool is_readable(void *argument)
{
	return *(uint32_t *)argument > 0;
}

void world_poll(int fd)
{
	uint32_t *count = count_of(fd);

	ex_kernel();
	while (!is_readable(count)) {
		ex_wait(is_readable, count);
		ex_kernel();
	}
}

struct polled {
	struct pollfd *fds;
	nfds_t count;
};

static bool is_any_readable(void *argument)
{
	const struct polled *polled = argument;
	bool any = false;

	for (nfds_t i = 0; i < polled->count; i++) {
		bool readable = *count_of(polled->fds[i].fd) > 0;

		polled->fds[i].revents = readable ? POLLIN : 0;
		any |= readable;
	}
	return any;
}

/* A wait set only looks at its plain descriptor, and sleeps if others are in the set. */
int world_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct polled polled = { fds, count };

	ex_kernel();
	while (!is_any_readable(&polled) && count > 1) {
		ex_wait(is_any_readable, &polled);
		ex_kernel();
	}
	return is_any_readable(&polled);
}

long world_syscall(long number, ...)
{
	struct ex_futex words[EX_MAX_WORDS];
	va_list arguments;
	long r = 0;

	va_start(arguments, number);
	if (number == SYS_futex) {
		_Atomic uint32_t *word = va_arg(arguments, _Atomic uint32_t *);

		if (va_arg(arguments, int) == FUTEX_WAKE_PRIVATE)
			km_futex_wake(word);
	} else if (number == SYS_futex_waitv) {
		const struct futex_waitv *waiters = va_arg(arguments, const struct futex_waitv *);
		unsigned count = va_arg(arguments, unsigned);

		for (unsigned i = 0; i < count && i < EX_MAX_WORDS; i++)
			words[i] = (struct ex_futex){
				(const volatile void *)(uintptr_t)waiters[i].uaddr,
				(uint32_t)waiters[i].val
			};
		r = ex_futex_wait_any(words, count);
		errno = EAGAIN;
	}
	va_end(arguments);
	return r;
}

/* There is at most one such thread. An actor of its own runs it. */
int world_thread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	if (world.thread)
		ex_fail("explorer: two threads of the library");
	world.thread = body;
	world.thread_argument = argument;
	return 0;
}

int world_thread_join(pthread_t thread, void **ret)
{
	return 0;
}

/* A lock's first word says whether it is taken. Taking a free lock is no step: others see only
 * the steps that its owner takes meanwhile. */
static bool is_free(void *argument)
{
	return *(const uint32_t *)argument == 0;
}

int world_mutex_lock(pthread_mutex_t *mutex)
{
	if (ex.current < 0)
		return 0;
	while (!is_free(mutex)) {
		ex_wait(is_free, mutex);
		ex_kernel();
	}
	*(uint32_t *)mutex = 1;
	return 0;
}

int world_mutex_unlock(pthread_mutex_t *mutex)
{
	*(uint32_t *)mutex = 0;
	return 0;
}

/* Memory comes back with the next run, so an array of its full size is made once. */
void *world_reallocarray(void *memory, size_t count, size_t size)
{
	void *more = world_calloc(count, size);

	if (memory)
		ex_fail("explorer: an array that grows twice");
	return more;
}

char *world_getenv(const char *name)
{
	static char by_thread[] = "thread";

	return world.by_thread ? by_thread : NULL;
}

/* --- io_uring ---------------------------------------------------------------------------------------- */

struct km_uring {
	uint32_t index;
};

static struct world_uring *ring_of(const struct km_uring *uring)
{
	return &world.urings[uring->index];
}

int km_uring_new(int fd, struct km_uring **ret)
{
	if (world.uring_count == WORLD_MAX_EVENTFDS)
		ex_fail("explorer: too many rings");
	*ret = world_private(sizeof **ret);
	(*ret)->index = world.uring_count++;
	world.urings[(*ret)->index] = (struct world_uring){ .eventfd = (uint32_t)(fd - FIRST_FD) };
	return 0;
}

bool km_uring_free(struct km_uring *uring)
{
	if (uring)
		ring_of(uring)->waits = false;
	return true;
}

void km_uring_disown(const struct km_uring *uring)
{
}

bool km_uring_waits(const struct km_uring *uring)
{
	return ring_of(uring)->waits;
}

bool km_uring_is_completed(const struct km_uring *uring)
{
	ex_kernel();
	return ring_of(uring)->completed;
}

static void complete(struct world_uring *ring)
{
	ring->completed = true;
	world.eventfds[ring->eventfd] += !ring->silent;
}

/* The ring signals its eventfd once more while it takes in what is completed. */
int km_uring_reap(struct km_uring *uring)
{
	struct world_uring *ring = ring_of(uring);

	ex_kernel();
	if (!ring->completed)
		return 0;
	ring->waits = ring->completed = false;
	world.eventfds[ring->eventfd]++;
	return 0;
}

/* A wake in the middle of this call isn't told by the eventfd, but the ring keeps it. */
int km_uring_wait(struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected)
{
	struct world_uring *ring = ring_of(uring);
	const bool goes_on = km_uring_waits(uring) && !km_uring_is_completed(uring);

	ex_kernel();
	ring->silent = true;
	ex_kernel();
	world.eventfds[ring->eventfd] = 0;
	if (!goes_on) {
		ring->completed = false;
		ring->waits = true;
		ring->word = word;
		if (ex_kernel_differs(word, expected))
			complete(ring);
	}
	ex_kernel();
	ring->silent = false;
	return 0;
}

/* --- the ring of the library's thread ------------------------------------------------------------------ */

int km_uring_new_of_thread(struct km_uring **ret)
{
	*ret = world_private(sizeof **ret);
	return 0;
}

int km_uring_take_over(const struct km_uring *uring)
{
	return 0;
}

/* A wait set's. No scenario has one beside a thread. */
int km_uring_new_hidden(struct km_uring **ret)
{
	return km_uring_new_of_thread(ret);
}

bool km_uring_is_mine(const struct km_uring *uring)
{
	return true;
}

static int push(const volatile void *word, uint32_t expected, uint64_t tag)
{
	if (world.pushed_count == WORLD_MAX_WAITS)
		ex_fail("explorer: WORLD_MAX_WAITS is too small");
	world.pushed[world.pushed_count++] = (struct world_wait){ word, expected, tag };
	return 0;
}

int km_uring_push_wait(
	struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected, uint64_t tag)
{
	return push(word, expected, tag);
}

int km_uring_push_cancel(struct km_uring *uring, uint64_t tag)
{
	return push(NULL, 0, tag);
}

static void complete_tag(uint64_t tag)
{
	if (world.completed_count == WORLD_MAX_WAITS)
		ex_fail("explorer: WORLD_MAX_WAITS is too small");
	world.completed[world.completed_count++] = tag;
}

static void end_wait(uint32_t index)
{
	complete_tag(world.waits[index].tag);
	world.waits[index] = world.waits[--world.wait_count];
}

static void submit(const struct world_wait *pushed)
{
	if (pushed->word) {
		if (world.wait_count == WORLD_MAX_WAITS)
			ex_fail("explorer: WORLD_MAX_WAITS is too small");
		world.waits[world.wait_count++] = *pushed;
		if (ex_kernel_differs(pushed->word, pushed->expected))
			end_wait(world.wait_count - 1);
		return;
	}
	for (uint32_t i = world.wait_count; i-- > 0;)
		if (world.waits[i].tag == pushed->tag)
			end_wait(i);
	complete_tag(0);
}

/* The ring's thread is asleep at all words that wait, as in futex_waitv(2). */
int km_uring_sleep(struct km_uring *uring, int64_t deadline_ns)
{
	const volatile void *words[WORLD_MAX_WAITS];
	_Static_assert(WORLD_MAX_WAITS <= EX_MAX_WORDS, "");

	ex_kernel();
	for (uint32_t i = 0; i < world.pushed_count; i++)
		submit(&world.pushed[i]);
	world.pushed_count = 0;
	while (world.completed_count == 0) {
		for (uint32_t i = 0; i < world.wait_count; i++)
			words[i] = world.waits[i].word;
		ex_sleep(words, world.wait_count);
		ex_kernel();
	}
	return 0;
}

bool km_uring_next(struct km_uring *uring, uint64_t *ret_tag)
{
	if (world.completed_count == 0)
		return false;
	*ret_tag = world.completed[0];
	memmove(world.completed, world.completed + 1,
		--world.completed_count * sizeof world.completed[0]);
	return true;
}

void world_woken(const volatile void *word)
{
	for (uint32_t i = 0; i < world.uring_count; i++)
		if (world.urings[i].waits && !world.urings[i].completed &&
			world.urings[i].word == word)
			complete(&world.urings[i]);
	for (uint32_t i = world.wait_count; i-- > 0;)
		if (world.waits[i].word == word)
			end_wait(i);
}
