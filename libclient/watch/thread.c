/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that sleep at words for a client's descriptors: see watch.h. Over io_uring one thread
 * sleeps for any number of words, and looks only at words that were woken. In futex_waitv(2) each
 * thread sleeps for KM_WATCH_GROUP words, and looks at all.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "libclient/watch/standing.h"
#include "libclient/watch/uring.h"
#include "libclient/watch/watch.h"

#define STACK_SIZE (PTHREAD_STACK_MIN + 64 * 1024)

/* A place of the ring, and whose word it waits for. Place 0 is the group's own. */
struct seat {
	struct km_watched *watched; /* null: the place is free */
	uint64_t key;               /* counts who was here, and where their words were */
};

struct km_watch_group {
	TAILQ_ENTRY(km_watch_group) next;
	pthread_t thread;
	struct km_standing standing; /* without a ring: futex_waitv(2) */
	pthread_mutex_t lock;        /* all below, and the words of those in the list */
	struct km_watched_list watched;
	unsigned count;
	bool ends;
	_Atomic uint32_t turn; /* the thread sleeps at it as well */

	struct seat *seats; /* [seat_count], of the ring */
	size_t seat_count;
};

static void write_one(struct km_watched *watched)
{
	const uint64_t one = 1;

	km_add(D6, release, &watched->fires, 1);
	if (write(watched->fd, &one, sizeof one) < 0)
		errno = 0; /* full: it is readable all the same */
	km_add(D6, release, &watched->fires, 1);
}

/* Fires a descriptor if its word has moved; returns the value to sleep at. */
static uint32_t look_at(struct km_watched *watched)
{
	/* in this order: a word that is armed after the look was announced after it */
	uint32_t word = km_load(D2, seq_cst, watched->word);
	uint64_t armed = km_load(D1, seq_cst, &watched->armed);

	if (armed && (uint32_t)armed != word &&
		km_cas(D1, seq_cst, seq_cst, &watched->armed, &armed, 0))
		write_one(watched);
	return word;
}

static uint32_t turn_of(struct km_watch_group *group)
{
	return km_load(D3, seq_cst, &group->turn);
}

/* --- by a ring ----------------------------------------------------------------------------------- */

/* Has a place wait for its word from now on. False: the kernel hasn't taken it. */
static bool wait_again(struct km_watch_group *group, size_t place)
{
	const struct seat *seat = &group->seats[place];

	if (place == 0)
		return km_standing_put(&group->standing, 0, &group->turn, 0, turn_of(group)) == 0;
	uint32_t word = seat->watched ? look_at(seat->watched) : 0;
	return km_standing_put(&group->standing, place, seat->watched ? seat->watched->word : NULL,
		       seat->key, word) == 0;
}

static bool go_through(struct km_watch_group *group)
{
	bool all = true;

	for (size_t i = 0; i < group->seat_count; i++)
		all = wait_again(group, i) && all;
	return all;
}

static bool take_in(struct km_watch_group *group, bool all)
{
	size_t place;

	while (km_standing_next(&group->standing, &place))
		if (place == 0 || !wait_again(group, place))
			all = false;
	return all || go_through(group);
}

/* Sleeps by the ring. Needs the lock, and lets go of it for the sleep. */
static void watch_by_ring(struct km_watch_group *group)
{
	struct km_uring *uring = group->standing.uring;
	bool all = km_uring_take_over(uring) == 0 && go_through(group);
	struct km_watched *watched;

	while (!group->ends) {
		pthread_mutex_unlock(&group->lock);
		const bool slept = all && km_uring_sleep(uring, KM_WAIT_FOREVER) == 0;
		if (!slept)
			km_nap(KM_WAIT_FOREVER);
		pthread_mutex_lock(&group->lock);
		/* where io_uring is refused from now on, nothing is completed any more */
		if (!slept)
			TAILQ_FOREACH (watched, &group->watched, next)
				look_at(watched);
		all = take_in(group, all);
	}
}

static int reserve_seats(struct km_watch_group *group, size_t count)
{
	int r = km_standing_reserve(&group->standing, count);
	if (r < 0)
		return r;
	struct seat *seats = reallocarray(group->seats, count, sizeof *seats);
	if (!seats)
		return -ENOMEM;
	memset(seats + group->seat_count, 0, (count - group->seat_count) * sizeof *seats);
	group->seats = seats;
	group->seat_count = count;
	return 0;
}

static int take_seat(struct km_watch_group *group, struct km_watched *watched)
{
	size_t i = 1;

	while (i < group->seat_count && group->seats[i].watched)
		i++;
	int r = i < group->seat_count ? 0 : reserve_seats(group, 2 * i + 8);
	if (r < 0)
		return r;
	group->seats[i] = (struct seat){ watched, group->seats[i].key + 1 };
	watched->place = i;
	return 0;
}

/* --- in futex_waitv(2) --------------------------------------------------------------------------- */

/* Fires descriptors whose words moved, and fills in the words to sleep at. The group's own word
 * comes first. */
static unsigned look(struct km_watch_group *group, struct futex_waitv *ret)
{
	struct km_watched *watched;
	unsigned count = 1;

	ret[0] = (struct futex_waitv){ turn_of(group), (uintptr_t)&group->turn, FUTEX_32, 0 };
	TAILQ_FOREACH (watched, &group->watched, next)
		ret[count++] = (struct futex_waitv){ look_at(watched), (uintptr_t)watched->word,
			FUTEX_32, 0 };
	return count;
}

static void *watch(void *argument)
{
	struct km_watch_group *group = argument;
	struct futex_waitv words[KM_WATCH_GROUP + 1];

	prctl(PR_SET_NAME, "kickmsg-wait");
	pthread_mutex_lock(&group->lock);
	if (group->standing.uring)
		watch_by_ring(group);
	while (!group->ends) {
		unsigned count = look(group, words);

		pthread_mutex_unlock(&group->lock);
		/* woken; or a word has moved already; or its mapping is gone, which the list
		 * knows */
		if (syscall(SYS_futex_waitv, words, count, 0, NULL, CLOCK_MONOTONIC) < 0 &&
			errno != EAGAIN && errno != EINTR && errno != EFAULT)
			km_nap(KM_WAIT_FOREVER);
		pthread_mutex_lock(&group->lock);
	}
	pthread_mutex_unlock(&group->lock);
	return NULL;
}

/* Has the thread read its list anew. */
static void call(struct km_watch_group *group)
{
	km_add(D3, seq_cst, &group->turn, 1);
	km_futex_wake(&group->turn);
}

/* Starts the thread. No signal of the program's runs there. */
static int start(struct km_watch_group *group)
{
	sigset_t all, before;
	pthread_attr_t attributes;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&group->thread, &attributes, watch, group);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

static int make_group(struct km_watch *watch, struct km_watch_group **ret)
{
	struct km_watch_group *group = calloc(1, sizeof *group);

	if (!group)
		return -ENOMEM;
	TAILQ_INIT(&group->watched);
	pthread_mutex_init(&group->lock, NULL);
	if (watch->mechanism == KICKMSG_WAIT_URING)
		km_uring_new_of_thread(&group->standing.uring);
	int r = group->standing.uring ? reserve_seats(group, 8) : 0;
	if (r == 0)
		r = start(group);
	if (r < 0) {
		km_standing_free(&group->standing);
		free(group->seats);
		pthread_mutex_destroy(&group->lock);
		free(group);
		return r;
	}
	TAILQ_INSERT_TAIL(&watch->groups, group, next);
	watch->threads++;
	*ret = group;
	return 0;
}

int km_watch_thread_add(struct km_watch *watch, struct km_watched *watched)
{
	struct km_watch_group *group;
	int r = 0;

	TAILQ_FOREACH (group, &watch->groups, next)
		if (group->standing.uring || group->count < KM_WATCH_GROUP)
			break;
	if (!group)
		r = make_group(watch, &group);
	if (r < 0)
		return r;
	pthread_mutex_lock(&group->lock);
	if (group->standing.uring)
		r = take_seat(group, watched);
	if (r == 0) {
		watched->group = group;
		TAILQ_INSERT_TAIL(&group->watched, watched, next);
		group->count++;
	}
	pthread_mutex_unlock(&group->lock);
	call(group);
	return r;
}

void km_watch_thread_remove(struct km_watched *watched)
{
	struct km_watch_group *group = watched->group;

	pthread_mutex_lock(&group->lock);
	TAILQ_REMOVE(&group->watched, watched, next);
	group->count--;
	if (group->standing.uring)
		group->seats[watched->place].watched = NULL;
	pthread_mutex_unlock(&group->lock);
	call(group);
	watched->group = NULL;
}

void km_watch_thread_move(struct km_watched *watched, _Atomic uint32_t *word)
{
	pthread_mutex_lock(&watched->group->lock);
	watched->word = word;
	if (watched->group->standing.uring)
		watched->group->seats[watched->place].key++;
	pthread_mutex_unlock(&watched->group->lock);
	call(watched->group);
}

void km_watch_threads_disown(struct km_watch *watch)
{
	struct km_watch_group *group;

	TAILQ_FOREACH (group, &watch->groups, next) {
		km_uring_disown(group->standing.uring);
		group->standing.uring = NULL;
	}
}

void km_watch_thread_free(struct km_watch *watch)
{
	struct km_watch_group *group;

	while ((group = TAILQ_FIRST(&watch->groups))) {
		pthread_mutex_lock(&group->lock);
		group->ends = true;
		pthread_mutex_unlock(&group->lock);
		call(group);
		pthread_join(group->thread, NULL);
		TAILQ_REMOVE(&watch->groups, group, next);
		km_standing_free(&group->standing);
		free(group->seats);
		pthread_mutex_destroy(&group->lock);
		free(group);
	}
}
