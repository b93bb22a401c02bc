/* SPDX-License-Identifier: Apache-2.0 */
/* The mechanism of a descriptor, and its owner's steps: see watch.h. */
#include "libclient/watch/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "libclient/watch/uring.h"

enum kickmsg_wait_mechanism km_watch_forced(void)
{
	const char *name = secure_getenv("KICKMSG_WAIT");

	if (name && strcmp(name, "uring") == 0)
		return KICKMSG_WAIT_URING;
	return name && strcmp(name, "thread") == 0 ? KICKMSG_WAIT_THREAD : 0;
}

int km_watch_new(struct km_watch **ret)
{
	struct km_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	watch->forced = km_watch_forced();
	pthread_mutex_init(&watch->lock, NULL);
	TAILQ_INIT(&watch->groups);
	*ret = watch;
	return 0;
}

void km_watch_free(struct km_watch *watch)
{
	if (!watch)
		return;
	km_watch_thread_free(watch);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

static bool has_many(const struct km_watch *watch)
{
	return km_load(D9, relaxed, &watch->count) > KM_WATCH_MANY;
}

static void add_to_count(struct km_watch *watch, unsigned more)
{
	km_store(D9, relaxed, &watch->count, km_load(D9, relaxed, &watch->count) + more);
}

static int begin(struct km_watch *watch, struct km_watched *watched)
{
	bool may_ring = watch->forced != KICKMSG_WAIT_THREAD &&
			watch->mechanism != KICKMSG_WAIT_THREAD && watch->rings < KM_WATCH_RINGS &&
			!has_many(watch);
	int r = may_ring ? km_uring_new(watched->fd, &watched->uring) : -EOPNOTSUPP;

	if (r == 0) {
		watched->by_ring = true;
		watch->rings++;
	} else if (r == -EOPNOTSUPP &&
		   (watch->forced != KICKMSG_WAIT_URING || watch->mechanism != 0)) {
		r = km_watch_thread_add(watch, watched);
	}
	if (r == 0 && watch->mechanism == 0)
		watch->mechanism = watched->by_ring ? KICKMSG_WAIT_URING : KICKMSG_WAIT_THREAD;
	return r;
}

int km_watch_begin(struct km_watch *watch, struct km_watched *watched, _Atomic uint32_t *word)
{
	if (!word) {
		int r = km_watch_timer_begin(watched);

		watched->watch = r < 0 ? NULL : watch;
		return r;
	}
	watched->fd = km_fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (watched->fd < 0)
		return -errno;
	watched->word = word;
	pthread_mutex_lock(&watch->lock);
	int r = begin(watch, watched);
	add_to_count(watch, r == 0);
	pthread_mutex_unlock(&watch->lock);
	if (r < 0)
		watched->fd = km_close(watched->fd);
	else
		watched->watch = watch;
	return r;
}

static void give_ring_up(struct km_watched *watched)
{
	km_uring_free(km_steal_ptr(watched->uring));
	watched->by_ring = false;
	watched->watch->rings--;
}

void km_watch_end(struct km_watched *watched)
{
	if (!watched->watch)
		return;
	pthread_mutex_lock(&watched->watch->lock);
	add_to_count(watched->watch, watched->by_timer ? 0 : -1u);
	if (watched->by_ring)
		give_ring_up(watched);
	else if (watched->group)
		km_watch_thread_remove(watched);
	pthread_mutex_unlock(&watched->watch->lock);
	km_close(watched->fd);
}

void km_watch_disown(struct km_watched *watched)
{
	if (!watched->watch)
		return;
	km_close(watched->fd);
	if (watched->by_ring)
		km_uring_disown(watched->uring);
}

/* Gives the ring up, which is another thread's, or waits for another word. */
static void give_to_nobody(struct km_watched *watched)
{
	if (watched->uring && !km_uring_free(km_steal_ptr(watched->uring)))
		watched->stale = true;
}

static bool drain(const struct km_watched *watched)
{
	uint64_t count;

	return read(watched->fd, &count, sizeof count) > 0;
}

/* Has the library's thread sleep for the descriptor from now on. It is made quiet before, and nothing waits in
 * a ring of its own, so that the thread alone makes it readable. Where there can be no thread all stays as it
 * is. */
static void go_to_thread(struct km_watched *watched)
{
	struct km_watch *watch = watched->watch;

	pthread_mutex_lock(&watch->lock);
	drain(watched);
	if (km_watch_thread_add(watch, watched) == 0)
		give_ring_up(watched);
	pthread_mutex_unlock(&watch->lock);
}

/* In a client that has many descriptors the thread sleeps for this one too, from now on. Its own ring is
 * given up while nothing waits in it, so that no signal of it comes later. */
static void leave_ring(struct km_watched *watched)
{
	if (!has_many(watched->watch) || watched->stale)
		return;
	if (watched->uring && km_uring_reap(watched->uring) < 0)
		give_to_nobody(watched);
	if (!watched->stale && !(watched->uring && km_uring_waits(watched->uring)))
		go_to_thread(watched);
}

/* Has a ring of this thread's own wait for the word. A ring that takes no wait is another thread's. */
static bool wait_by_ring(struct km_watched *watched, uint32_t announced)
{
	for (int rings = 0; rings < 2; rings++) {
		if (!watched->uring && km_uring_new(watched->fd, &watched->uring) < 0)
			return false;
		if (km_uring_wait(watched->uring, watched->word, announced) == 0)
			return true;
		give_to_nobody(watched);
	}
	return false;
}

void km_watch_move(struct km_watched *watched, _Atomic uint32_t *word)
{
	if (watched->by_timer)
		return;
	km_store(D1, seq_cst, &watched->armed, 0);
	if (watched->group) {
		km_watch_thread_move(watched, word);
		return;
	}
	watched->word = word;
	give_to_nobody(watched); /* with waits at the old one */
}

void km_watch_fire(struct km_watched *watched)
{
	const uint64_t one = 1;

	if (watched->by_timer) {
		km_watch_timer_fire(watched);
		return;
	}
	km_store(D1, seq_cst, &watched->armed, 0);
	if (write(watched->fd, &one, sizeof one) < 0)
		return; /* full: it is readable all the same */
}

void km_watch_quiet(struct km_watched *watched)
{
	watched->seen = km_load(D6, acquire, &watched->fires);
	/* a ring of its own makes the descriptor quiet as it waits the next time */
	if (!watched->by_ring)
		drain(watched);
}

void km_watch_arm(struct km_watched *watched, uint32_t announced)
{
	km_store(D1, seq_cst, &watched->armed, KM_ARMED | announced);
}

/* Does a wait go on in its ring? */
static bool ring_waits(const struct km_watched *watched)
{
	return watched->uring && km_uring_waits(watched->uring) &&
	       !km_uring_is_completed(watched->uring);
}

bool km_watch_settle(struct km_watched *watched, uint32_t announced)
{
	if (watched->by_ring)
		leave_ring(watched);
	if (watched->by_ring && !wait_by_ring(watched, announced))
		go_to_thread(watched);
	/* the thread has passed over a word that moved before it was armed */
	if (!watched->by_ring)
		return watched->group && km_load(D2, seq_cst, watched->word) == announced;
	return ring_waits(watched);
}

static bool is_asleep(const struct km_watched *watched)
{
	if (!watched->by_ring)
		return !(watched->seen & 1) &&
		       km_load(D6, acquire, &watched->fires) == watched->seen;
	return ring_waits(watched);
}

bool km_watch_waits(struct km_watched *watched)
{
	if (watched->by_timer)
		return km_watch_timer_waits(watched);
	if (km_load(D1, seq_cst, &watched->armed) == 0)
		return false;
	/* the old ring's signal has come, or comes later */
	const bool has_drained = watched->stale && drain(watched);
	if (has_drained)
		watched->stale = false;
	const bool waits = is_asleep(watched);
	/* what was read may have been the signal of now */
	if (has_drained && !waits)
		km_watch_fire(watched);
	return waits;
}
