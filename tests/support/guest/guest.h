/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library is a guest in its caller's process. Each of its calls is made through CALL() here.
 * CALL() looks at what a guest leaves alone: errno, the thread's signal mask, what the process does
 * at each signal. It also looks how far down the stack the call went.
 *
 *   paint       the thread's own stack, from its end up to here, with a pattern
 *   call        errno is GUEST_ERRNO before it and must be so after it, whether it fails or not
 *   look        the lowest byte of the stack that isn't the pattern's any more
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define GUEST_ERRNO     EXDEV
#define GUEST_DISTURBED EXFULL /* what disturb.c leaves behind */

/* The notes on one public call. */
struct guest_call {
	const char *name;
	bool can_fail, failed, succeeded;
	size_t depth; /* the most bytes of stack that it took */
};

/* Runs `tour` in a thread whose stack is painted. Ends the test if a call was no good guest. */
void guest_run(void (*tour)(void *argument), void *argument);

/* The notes on all calls; a null name ends them. */
const struct guest_call *guest_calls(void);

void guest_before(void);
void guest_after(const char *name, int line, bool can_fail, bool failed);

/* A call that returns a negative errno where it fails. */
#define CALL(call, ...)                                                                            \
	({                                                                                         \
		guest_before();                                                                    \
		errno = GUEST_ERRNO;                                                               \
		long r_ = call(__VA_ARGS__);                                                       \
		guest_after(#call, __LINE__, true, r_ < 0);                                        \
		r_;                                                                                \
	})

/* A call that has a value and never fails, and a call that returns nothing. */
#define VALUE(call, ...)                                                                           \
	({                                                                                         \
		guest_before();                                                                    \
		errno = GUEST_ERRNO;                                                               \
		__auto_type value_ = call(__VA_ARGS__);                                            \
		guest_after(#call, __LINE__, false, false);                                        \
		value_;                                                                            \
	})
#define DO(call, ...)                                                                              \
	({                                                                                         \
		guest_before();                                                                    \
		errno = GUEST_ERRNO;                                                               \
		call(__VA_ARGS__);                                                                 \
		guest_after(#call, __LINE__, false, false);                                        \
	})
