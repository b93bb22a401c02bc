/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a subscriber sleeps and is woken: a futex word in its ring,
 * [generation : 30 | WOKEN | ASLEEP].
 *
 *   subscriber: announce (one RMW: generation + 1, ASLEEP, not WOKEN) - look again - FUTEX_WAIT -
 *               retract (clear ASLEEP)
 *   publisher:  commit - load; if ASLEEP and not WOKEN: generation + 1 - FUTEX_WAKE - mark WOKEN
 *
 * Invariants
 * - Only the subscriber clears ASLEEP. A publisher that did and stood still before its wake would
 *   leave the subscriber asleep while others publish.
 * - The generation moves before the wake, so a subscriber that is just about to wait does not.
 * - WOKEN is set after the wake, on exactly the word that the wake was for, so it never hides a
 *   later sleep.
 * - A publisher that died between its commit and its wake is made good by the reconciler, which
 *   wakes every ring that sleeps.
 *
 * Orders
 *   W1 publisher's load    seq_cst             after R3 (ring.h)      } the only store -> load
 *   W2 announce            seq_cst / relaxed   before the second look } pair: either the publisher
 *   W3 second look         seq_cst             load of the cell       } sees ASLEEP or the second
 *                                                                       look sees the message
 *   W4 bump, mark          seq_cst / relaxed   wakes are system calls; nothing to win
 *   W5 retract             relaxed             the next look is R1's
 *
 * W1, W2 and W3 can't be weaker (`explore orders`, scenario sleep_wake). W4 could be acq_rel: the
 * system call between its two steps orders them; it stays, since it is no hot path.
 */
#pragma once

#include "common/clock.h"
#include "common/memory/atomic.h"
#include "common/memory/layout.h"
#include "common/memory/region.h"
#include "common/ring/futex.h"

#define KM_WAITING_ASLEEP     1u
#define KM_WAITING_WOKEN      2u
#define KM_WAITING_GENERATION 4u

/* When a wait that begins now ends. A negative timeout, or one beyond the clock, means never. */
static inline int64_t km_wait_deadline(int64_t timeout_ns)
{
	int64_t deadline_ns;

	if (timeout_ns < 0 || __builtin_add_overflow(km_clock_ns(), timeout_ns, &deadline_ns))
		return KM_WAIT_FOREVER;
	return deadline_ns;
}

/* Says that the ring's subscriber is about to sleep; returns the word to wait for. */
uint32_t km_waiter_announce(struct km_ring *ring);

/* The second look, after announce: is there a message at head? */
bool km_waiter_look(const struct km_region *region, struct km_ring *ring);

/* Says that the subscriber is up again. */
void km_waiter_retract(struct km_ring *ring);

/* Wakes a ring whose waiting word was seen as `seen` (ASLEEP, not WOKEN). */
void km_waiter_wake(struct km_ring *ring, uint32_t seen);

/* For publishers, after each commit: the word to wake the subscriber by, or 0: there is no need. */
static inline uint32_t km_waiter_listen(const struct km_ring *ring)
{
	uint32_t seen = km_load(W1, seq_cst, &ring->waiting);

	return (seen & (KM_WAITING_ASLEEP | KM_WAITING_WOKEN)) == KM_WAITING_ASLEEP ? seen : 0;
}

/* Listens and wakes in one call. No system call unless the subscriber sleeps. */
static inline void km_waiter_notify(struct km_ring *ring)
{
	uint32_t seen = km_waiter_listen(ring);

	if (__builtin_expect(seen != 0, 0))
		km_waiter_wake(ring, seen);
}

/* For the reconciler: wakes the ring if it is asleep, whatever WOKEN says. */
void km_waiter_wake_anyway(struct km_ring *ring);

/* The events that end a sleep, beside a message and a wake of the word. */
struct km_sleep {
	uint64_t ends;                /* bits of header->live */
	const _Atomic uint32_t *stop; /* a word of this process that isn't 0; null: none */
	int64_t deadline_ns;          /* on CLOCK_MONOTONIC */
};

/* After announce: has somebody asked for the end of the sleep? The thread that asks moves the
 * announced word afterwards (common/ring/interrupt.h). */
static inline bool km_sleep_is_stopped(const struct km_sleep *sleep)
{
	return sleep->stop && km_load(I1, seq_cst, sleep->stop) != 0;
}

/*
 * Sleeps until a message is at the ring's head, somebody wakes the ring, or an event that `sleep`
 * names comes. The caller looks for itself why the call returned. Returns 0; -ETIMEDOUT; or -EINTR:
 * a signal handler ran.
 */
int km_waiter_sleep(
	const struct km_region *region, struct km_ring *ring, const struct km_sleep *sleep);
