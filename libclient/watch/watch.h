/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turning a futex word that moves into a descriptor that is readable. A client has one watch, made
 * with its first descriptor, and each descriptor is an eventfd of its own. Two mechanisms:
 *
 *   uring a small io_uring for each of the first KM_WATCH_RINGS descriptors of a client. The
 *            process that wakes the word completes its FUTEX_WAIT, and the kernel writes the
 *            eventfd right there. No thread. Linux 6.7 (uring.c)
 *   thread   a thread of the library, which writes the eventfds of the words that moved (thread.c).
 *            Behind the first KM_WATCH_RINGS one thread sleeps in one io_uring for all others. In a
 *            client with more than KM_WATCH_MANY it does so for all: a descriptor gives its own ring
 *            up when it is armed the next time. Where there is no io_uring, one for each 127 words
 *            sleeps in futex_waitv(2), Linux 5.16. Before 5.16, and where the call is refused, it
 *            looks each millisecond instead
 *
 * A publisher knows nothing of either: it sees a sleeper in the word and wakes it. An observer has no
 * word, and its descriptor is a timer, by which it looks for itself (timer.c).
 *
 *   owner    announces - arms for the announced word - looks again
 *   watch    once the word isn't what was armed: disarms, makes the descriptor readable
 *
 * The thread sleeps at each word all the time, armed or not, so arming wakes nobody. Its sleep may
 * have begun at an older value: a wake ends it whatever the word is. It looks at the word before it
 * looks whether that is armed. The other way round, an owner may arm between the two, and a
 * publisher move the word: the thread would sleep at the moved word, for a wake that has gone by.
 *
 * Orders, of one process' threads
 *   D1 armed   seq_cst   the owner's store stands between its announce (W2, B2) and its second look
 *                        (W3, B3). A publisher whose commit the look missed wakes after the store.
 *                        The thread or ring that sees it by that wake fires
 *   D2 word    seq_cst   load of the thread's, of what it sleeps at, before its load of D1;
 *                        FUTEX_WAIT compares again. The owner's load behind D1: a wake between the
 *                        announce and D1 was nobody's
 *   D6 fires   release / acquire   odd while a write is under way. A write of the thread's that
 *                        comes after the owner has made the descriptor quiet is seen by it, and is
 *                        no readiness for good, not even while the thread stands still behind it
 *   D3 turn    seq_cst   add and load of the word that tells the thread to read its list anew
 *   D9 count   relaxed   a hint alone: whoever sees an old count sees the new one at its next arming
 */
#pragma once

#include <sys/queue.h>

#include <pthread.h>
#include <stdbool.h>

#include "common/memory/atomic.h"
#include "libclient/kickmsg.h"

#define KM_LOOK_MIN_NS INT64_C(1000000)
#define KM_LOOK_MAX_NS INT64_C(16000000)

#define KM_WATCH_RINGS 64  /* each takes a descriptor more */
#define KM_WATCH_MANY  256 /* with more descriptors there is none */
#define KM_WATCH_GROUP 127 /* words of one thread; futex_waitv takes 128 */

#define KM_ARMED       (UINT64_C(1) << 32)

struct km_watch_group;
struct km_uring;

struct km_watched {
	int fd;                 /* the eventfd, or the timer */
	_Atomic uint32_t *word; /* changed with the group's lock */
	_Atomic uint64_t armed; /* KM_ARMED | the announced word; 0: not */
	struct km_watch *watch; /* null: it never began */

	bool by_ring;
	struct km_uring *uring; /* by_ring; null: one is to be made */
	bool stale;             /* a ring that was given up will still signal */

	struct km_watch_group *group; /* otherwise the thread's group */
	_Atomic uint32_t fires;       /* of the thread: writes begun and writes done */
	uint32_t seen;                /* of them, by the owner before it made it quiet */
	TAILQ_ENTRY(km_watched) next;
	size_t place; /* in the thread's ring, if there is one */

	bool by_timer;
	int64_t due_ns, look_ns; /* of the timer: when it expires, and after how long */
};
TAILQ_HEAD(km_watched_list, km_watched);

struct km_watch;

/* Makes a descriptor. `watched` is zeros. From success on its descriptor is there, not readable.
 * Errors: -EMFILE, -ENFILE, -ENOMEM; -EAGAIN there can be no more threads; -EOPNOTSUPP the
 * mechanism that KICKMSG_WAIT forces isn't to be had. `word` may be null: an observer's. */
int km_watch_begin(struct km_watch *watch, struct km_watched *watched, _Atomic uint32_t *word);
/* Closes the descriptor. Takes one that never began. */
void km_watch_end(struct km_watched *watched);
/* In a child of fork: closes the child's copies. */
void km_watch_disown(struct km_watched *watched);
/* Changes the word; the descriptor isn't armed. Nobody looks at the old word when this returns. */
void km_watch_move(struct km_watched *watched, _Atomic uint32_t *word);

/* The owner's steps. Before the announce a descriptor of the thread is made quiet; between announce
 * and second look it is armed; after a second look that found nothing it waits. A descriptor with a
 * ring is made quiet by the last step, by the call that waits. The last returns false when
 * the word has moved already, or when there can't be a wait: then the caller fires the descriptor. */
void km_watch_quiet(struct km_watched *watched);
void km_watch_arm(struct km_watched *watched, uint32_t announced);
bool km_watch_settle(struct km_watched *watched, uint32_t announced);
/* Is the descriptor armed and not fired? Without a system call, unless a ring was just given up. */
bool km_watch_waits(struct km_watched *watched);
/* Disarms the descriptor and makes it readable. */
void km_watch_fire(struct km_watched *watched);

/* timer.c. An observer has one step alone: it arms the timer. */
int km_watch_timer_begin(struct km_watched *watched);
void km_watch_timer_arm(struct km_watched *watched, bool has_received);
void km_watch_timer_fire(struct km_watched *watched);
bool km_watch_timer_waits(const struct km_watched *watched);

/* The mechanism that KICKMSG_WAIT forces; 0: none. */
enum kickmsg_wait_mechanism km_watch_forced(void);

/* Makes a client's watch. Errors: -ENOMEM. */
int km_watch_new(struct km_watch **ret);
/* Frees a watch and joins its threads. No descriptor is left. Takes a null pointer. */
void km_watch_free(struct km_watch *watch);

/* thread.c */
int km_watch_thread_add(struct km_watch *watch, struct km_watched *watched);
void km_watch_thread_remove(struct km_watched *watched);
void km_watch_thread_move(struct km_watched *watched, _Atomic uint32_t *word);
/* In a child of fork: closes the child's copies of the threads' rings. */
void km_watch_threads_disown(struct km_watch *watch);
void km_watch_thread_free(struct km_watch *watch);

TAILQ_HEAD(km_watch_groups, km_watch_group);

struct km_watch {
	enum kickmsg_wait_mechanism forced, mechanism; /* 0: none */
	pthread_mutex_t lock;                          /* of all that follows */
	unsigned rings, threads;
	/* Descriptors that are no timers. Read without the lock too. */
	_Atomic unsigned count;
	struct km_watch_groups groups;
};
