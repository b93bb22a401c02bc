/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a message costs that doesn't depend on the machine's mood, in the code as it was compiled:
 *
 *   locked    instructions with a lock prefix, and xchg with memory, that one call executes: the call is
 *             single-stepped. One send or publish to one live subscriber, one receive with its
 *             release: at most 2 each. (count-locked.c)
 *   calls     system calls that a polling publisher and a polling subscriber, each its own
 *             process, make for 2000 messages after they have attached: none. (count-calls.c)
 *
 * A traced child marks the beginning and the end of what is counted: with int3 for the steps, with a
 * getppid() for the system calls. Exit status 77 (skipped) where steps can't be decoded or ptrace isn't
 * allowed.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define COUNT_SKIPPED 77
#define COUNT_TOPIC   "count"

/* In the child: from here on it is traced, and stopped until its parent lets it go on. */
void count_be_traced(void);

/* In the parent: true when the child is stopped there; false when it can't be traced. */
bool count_traced(pid_t pid);

/* Returns 0, 1 when there were system calls, or COUNT_SKIPPED. */
int count_calls(const char *socket_path);
