/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a process through an operation of the library, instruction by instruction, and makes
 * victims of it.
 *
 *   fork            walker runs `op`, stopped after every instruction of the library's text
 *     +-- step 1    walker after instruction 1 -- clone --> victim: killed, or left standing
 *     +-- step 2    walker after instruction 2 -- clone --> victim
 *     ...
 *
 * A clone is a forked copy of the walker (the walker is made to call fork and put back where it
 * was): the same private memory, the same registers, the same shared memory. It is a process that
 * has executed exactly the instructions 1 .. N, and it can be spared while the walker goes on to N
 * + 1. A test that lets a victim or others change the shared memory puts it back before the next
 * step.
 *
 * The library's text is all that is executable in the test program but the functions that are
 * marked CRASH_OP. libc and the vdso are other objects: they are walked through, but are no points.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Code that the walker runs between calls of the library. */
#ifdef __clang__ /* makes no clones */
#define CRASH_OP __attribute__((section("crash_op"), noinline))
#else
#define CRASH_OP __attribute__((section("crash_op"), noinline, noclone))
#endif

struct crash_walk {
	pid_t pid;
	uint64_t points; /* instructions of the library executed so far */
	uint64_t calls;  /* system calls that it made so far */
	/* The last instruction, as an offset into the program's file: for addr2line. */
	uint64_t pc;
	/* A process that the walker's prepare() made, stopped at its beginning; or 0. */
	pid_t thread;
	long end_call; /* the walk is over before this system call; 0: none */
};

/* Can this machine single-step children? Null, or the reason why not. */
const char *crash_cannot_step(void);

/* Starts a walker: it runs prepare (may be null) freely and then stands before op(arg). Errors end
 * the test program, here and below. */
void crash_walk_begin(
	struct crash_walk *walk, void (*prepare)(void *), void (*op)(void *), void *arg);

/* Called by `op`: marks a place where its walk is over. */
void crash_trap_here(void);

/* Lets a walker or a victim run to its next trap. False: it doesn't come there. */
bool crash_run_on(pid_t pid);

/* Goes to the next point. False: op has returned. */
bool crash_walk_step(struct crash_walk *walk);

/* Makes a victim: a stopped copy of the walker. */
pid_t crash_walk_clone(const struct crash_walk *walk);

/* Makes the walker itself the victim; the walk is over. */
pid_t crash_walk_take(struct crash_walk *walk);

/* Ends the walker. */
void crash_walk_end(struct crash_walk *walk);

/* Sends SIGKILL; returns when the process is dead. */
void crash_kill(pid_t victim);

/* Lets a frozen victim go on to the end of op, then ends it. False: it didn't come there. */
bool crash_finish(pid_t victim);
