/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a message costs that doesn't depend on the machine's mood, in the code as it was
 * compiled:
 *
 *   locked    instructions with a lock prefix, and xchg with memory, that one call executes: the call is
 *             single-stepped; a full fence is one as well, whatever the compiler makes of it. With
 *             rings one send or publish to one live subscriber, one receive with its release: at
 *             most 2 each. With a shared ring one send 1, one receive none. (count-locked.c)
 *   calls     system calls that a polling publisher and a polling subscriber, each its own
 *             process, make for 2000 messages after they have attached: none. The first message of a
 *             fresh shared ring may wake, once. (count-calls.c)
 *
 *   waits     what a publisher does for a subscriber that sleeps: instructions, locked instructions and
 *             system calls of one send. They are the same whatever the subscriber sleeps by
 *             (count-waits.c)
 *
 * A traced child marks the beginning and the end of what is counted: with int3 for the steps, with
 * a getppid() for the system calls. Exit status 77 (skipped) where steps can't be decoded or ptrace
 * isn't allowed.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "libclient/kickmsg.h"

#define COUNT_SKIPPED  77
#define COUNT_CAPACITY 64 /* messages that a ring keeps */

/* The cases that are counted, each on a topic of its own. */
enum count_way {
	COUNT_RINGS,
	/* One publisher place: its commit is a store and a fence. */
	COUNT_SHARED_SOLE,
	/* The privileged publisher of several: its commit is a CAS. */
	COUNT_SHARED,
	COUNT_WAYS,
};

const char *count_way_name(enum count_way way);

/* Make a publisher, and a subscriber, on a topic that is named for the way, with `suffix`; end
 * the process where they can't. */
struct kickmsg_publisher *count_publisher(
	struct kickmsg_client *client, enum count_way way, const char *suffix);
struct kickmsg_subscriber *count_subscriber(
	struct kickmsg_client *client, enum count_way way, const char *suffix);

/* In the child: from here on it is traced, and stopped until its parent lets it go on. */
void count_be_traced(void);

/* In the parent: true when the child is stopped there; false when it can't be traced. */
bool count_traced(pid_t pid);

/* Waits for the tracee's next stop, or its end; returns the wait status. */
int count_next_stop(pid_t pid);

#if defined(__x86_64__)
#define COUNT_MARK() __asm__ volatile("int3" ::: "memory")
#else
#define COUNT_MARK() ((void)0)
#endif

struct count_steps {
	unsigned instructions, locked, calls;
};

/* Steps the child from one COUNT_MARK() to the next. */
struct count_steps count_steps(pid_t pid, const char *what);

/* Each returns 0, 1 when a count is wrong, or COUNT_SKIPPED. */
int count_locked(const char *socket_path);
int count_waits(const char *socket_path);
int count_calls(const char *socket_path, enum count_way way);
