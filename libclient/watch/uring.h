/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One FUTEX_WAIT of io_uring that writes an eventfd when it is completed. Raw system calls.
 *
 * The ring defers its work (IORING_SETUP_DEFER_TASKRUN): the waker of the word queues the
 * completion and signals the eventfd, and disturbs no thread. Without that the kernel interrupts
 * the thread that asked, and its epoll_wait(2) ends with EINTR at each message. Such a ring is one
 * thread's. When another thread comes, or the thread has ended, a new ring takes its place; an
 * ending thread's waits are cancelled, which signals the eventfd too.
 *
 * Rings with many waits have no eventfd. A thread of the library has one. A wait set has one without a
 * descriptor: it is *hidden* among its thread's rings, and goes with that thread at the latest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct km_uring;

/* Makes a ring. Errors: -EOPNOTSUPP the kernel hasn't io_uring's FUTEX_WAIT or forbids it; -EMFILE,
 * -ENFILE, -ENOMEM. */
int km_uring_new(int eventfd, struct km_uring **ret);
/* Frees a ring. Waits that are under way are cancelled, which comes to pass later; of a hidden ring that is
 * another thread's, with that thread. False: that will signal the eventfd, since the ring is another thread's.
 * Takes a null pointer. */
bool km_uring_free(struct km_uring *uring);
/* For a child of fork, which hasn't the mappings: closes its copy. */
void km_uring_disown(const struct km_uring *uring);

/* The first: is a wait in the kernel whose end wasn't taken in? The second: is there a completion
 * to take in? Without a system call, in any thread. */
bool km_uring_waits(const struct km_uring *uring);
bool km_uring_is_completed(const struct km_uring *uring);

/* Takes completions in, which may signal the eventfd once more. Errors: -EEXIST the ring is another
 * thread's; after any other error, too, the ring is of no use any more. */
int km_uring_reap(struct km_uring *uring);

/*
 * Waits for the word, once, makes the eventfd quiet and takes completions in, all in one system call.
 * A wait that goes on is left alone. Where the wait is over when this returns, the eventfd may be
 * quiet all the same: the caller looks, and makes it readable. A wait that ends later signals it.
 * Errors: those of km_uring_reap().
 */
int km_uring_wait(struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected);

/* A thread's ring, which another thread makes for it. Errors: those of km_uring_new(). */
int km_uring_new_of_thread(struct km_uring **ret);
/* To be called in that thread, before the functions that follow. */
int km_uring_take_over(const struct km_uring *uring);
/* A hidden ring, of the calling thread. A thread has 16 at most. Linux 6.7; 6.5 hides rings. Errors: those
 * of km_uring_new(). */
int km_uring_new_hidden(struct km_uring **ret);
/* Is a hidden ring this thread's? False in a child of fork too. */
bool km_uring_is_mine(const struct km_uring *uring);
/* Pushes a wait; `tag` says what is completed. Errors: the kernel takes nothing now; try again. */
int km_uring_push_wait(
	struct km_uring *uring, const _Atomic uint32_t *word, uint32_t expected, uint64_t tag);
/* Pushes the end of a wait. Both are completed; this one has the tag 0. */
int km_uring_push_cancel(struct km_uring *uring, uint64_t tag);
/* Gives the kernel all that was pushed, and sleeps until something is completed, a signal handler has
 * run, or the deadline. Errors: as km_uring_push_wait(). */
int km_uring_sleep(struct km_uring *uring, int64_t deadline_ns);
/* Takes one completion. */
bool km_uring_next(struct km_uring *uring, uint64_t *ret_tag);
