/* SPDX-License-Identifier: Apache-2.0 */
/* The two futex calls, on words that processes share. The kernel may refuse each of them (seccomp):
 * then another event has to end the wait. The caller's errno stays as it was. */
#pragma once

#include <stdint.h>

/* Deadlines are on CLOCK_MONOTONIC. KM_WAIT_FOREVER lies behind all others. */
#define KM_WAIT_FOREVER INT64_MAX

/* Sleeps at the word. Returns 0 when woken or when the word differs, -ETIMEDOUT, or -EINTR. Where
 * futex(2) is refused the call takes a nap instead. */
int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
void km_futex_wake(_Atomic uint32_t *word);

/* Sleeps KM_NAP_NS, or until the deadline; where the kernel refuses that as well, not at all.
 * Returns 0, -ETIMEDOUT once the deadline has passed, or -EINTR as km_futex_wait(). */
#define KM_NAP_NS INT64_C(1000000)
int km_nap(int64_t deadline_ns);
