/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that sleep at words for a client's descriptors: see watch.h. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "libclient/watch/watch.h"

#define STACK_SIZE (PTHREAD_STACK_MIN + 64 * 1024)

struct km_watch_group {
	TAILQ_ENTRY(km_watch_group) next;
	pthread_t thread;
	pthread_mutex_t lock; /* all below, and the words of those in the list */
	struct km_watched_list watched;
	unsigned count;
	bool ends;
	_Atomic uint32_t turn; /* the thread sleeps at it as well */
};

static void write_one(struct km_watched *watched)
{
	const uint64_t one = 1;

	km_add(D6, release, &watched->fires, 1);
	if (write(watched->fd, &one, sizeof one) < 0)
		errno = 0; /* full: readable as can be */
	km_add(D6, release, &watched->fires, 1);
}

/* Fires what moved, and fills in what to sleep at. The group's own word comes first. */
static unsigned look(struct km_watch_group *group, struct futex_waitv *ret)
{
	struct km_watched *watched;
	unsigned count = 1;

	ret[0] = (struct futex_waitv){ km_load(D3, seq_cst, &group->turn), (uintptr_t)&group->turn,
		FUTEX_32 | FUTEX_PRIVATE_FLAG, 0 };
	TAILQ_FOREACH (watched, &group->watched, next) {
		/* in this order: what is armed after the look was announced after it */
		uint32_t word = km_load(D2, seq_cst, watched->word);
		uint64_t armed = km_load(D1, seq_cst, &watched->armed);

		if (armed && (uint32_t)armed != word &&
			km_cas(D1, seq_cst, seq_cst, &watched->armed, &armed, 0))
			write_one(watched);
		ret[count++] = (struct futex_waitv){ word, (uintptr_t)watched->word, FUTEX_32, 0 };
	}
	return count;
}

static void *watch(void *argument)
{
	struct km_watch_group *group = argument;
	struct futex_waitv words[KM_WATCH_GROUP + 1];

	prctl(PR_SET_NAME, "kickmsg-wait");
	pthread_mutex_lock(&group->lock);
	while (!group->ends) {
		unsigned count = look(group, words);

		pthread_mutex_unlock(&group->lock);
		/* woken; a word has moved already; or its mapping is gone, which the list knows */
		if (syscall(SYS_futex_waitv, words, count, 0, NULL, CLOCK_MONOTONIC) < 0 &&
			errno != EAGAIN && errno != EINTR && errno != EFAULT)
			km_nap(KM_WAIT_FOREVER);
		pthread_mutex_lock(&group->lock);
	}
	pthread_mutex_unlock(&group->lock);
	return NULL;
}

/* The thread reads its list anew. */
static void call(struct km_watch_group *group)
{
	km_add(D3, seq_cst, &group->turn, 1);
	syscall(SYS_futex, &group->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* No signal of the program's runs there. */
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
	int r = start(group);
	if (r < 0) {
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
		if (group->count < KM_WATCH_GROUP)
			break;
	if (!group)
		r = make_group(watch, &group);
	if (r < 0)
		return r;
	pthread_mutex_lock(&group->lock);
	watched->group = group;
	TAILQ_INSERT_TAIL(&group->watched, watched, next);
	group->count++;
	pthread_mutex_unlock(&group->lock);
	call(group);
	return 0;
}

void km_watch_thread_remove(struct km_watched *watched)
{
	struct km_watch_group *group = watched->group;

	pthread_mutex_lock(&group->lock);
	TAILQ_REMOVE(&group->watched, watched, next);
	group->count--;
	pthread_mutex_unlock(&group->lock);
	call(group);
	watched->group = NULL;
}

void km_watch_thread_move(struct km_watched *watched, _Atomic uint32_t *word)
{
	pthread_mutex_lock(&watched->group->lock);
	watched->word = word;
	pthread_mutex_unlock(&watched->group->lock);
	call(watched->group);
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
		pthread_mutex_destroy(&group->lock);
		free(group);
	}
}
