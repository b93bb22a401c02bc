/* SPDX-License-Identifier: Apache-2.0 */
/* The two futex calls, on words that processes share. Each may be refused (seccomp): then something else
 * ends the wait. The caller's errno stays as it was. */
#pragma once

#include <stdint.h>

/* Deadlines are on CLOCK_MONOTONIC. This one lies behind all others. */
#define KM_WAIT_FOREVER INT64_MAX

/* Returns 0 when woken or when the word differs, -ETIMEDOUT, or -EINTR. Where futex(2) is refused it
 * takes a nap. */
int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
void km_futex_wake(_Atomic uint32_t *word);

/* Sleeps KM_NAP_NS, or until the deadline; where that is refused as well, not at all. Returns 0,
 * -ETIMEDOUT once the deadline has passed, or -EINTR as above. */
#define KM_NAP_NS INT64_C(1000000)
int km_nap(int64_t deadline_ns);
