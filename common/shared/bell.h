/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the subscribers of a shared ring sleep and are woken: one futex word for all of them,
 * [generation : 30 | ANNOUNCED | WOKEN], in a page of its own, the only one that they need to write.
 *
 *   subscriber: announce (one RMW; unless the word is ANNOUNCED and not WOKEN already: generation
 *               + 1, ANNOUNCED, not WOKEN) - look again - FUTEX_WAIT
 *   publisher:  commit - load; if not WOKEN: generation + 1, not ANNOUNCED - FUTEX_WAKE (all) -
 *               mark WOKEN, unless it is ANNOUNCED
 *
 * Invariants
 * - WOKEN means: nobody has announced since the last wake. It is set after that wake, on exactly
 *   the word that the wake was for, so it never hides a later sleep.
 * - The generation moves before the wake, so a subscriber that is just about to wait does not.
 * - Only an ANNOUNCED word is waited for, and none is marked WOKEN: a word that a publisher moved
 *   may be marked while it is slept on. A subscriber that finds the word moved announces anew, then
 *   looks again.
 * - A sleeper leaves the word that another has announced as it is. Were it to move the word, each
 *   would disturb all others: two hundred descriptors of one process, each armed anew because the
 *   others were, never came to rest.
 * - A publisher that overlooks an announcement, or adds to another's wake, leaves an ANNOUNCED word
 *   behind: that costs one wake that nobody needs.
 * - Once subscribers have left, no word is WOKEN any more: each commit rings.
 * - There is no count of sleepers that the dead could leave too high. A sleeper that comes back by
 *   itself leaves the word without WOKEN, at the cost of one wake that nobody needs.
 * - A publisher that died between its commit and its wake is made good by the reconciler.
 * - All subscribers can write the word, so none believes it: a sleeper looks for itself after 0.1
 *   s, and after 1 ms once it has found a message that it wasn't woken for
 *   (libclient/path/receive.c). So a subscriber that marks the word WOKEN without a wake delays
 *   others by no more. A subscriber that clears it, or says `left`, costs each message a wake, as a
 *   subscriber that sleeps for each message does.
 *
 * Orders
 *   B1 load                   seq_cst             after U4 (shared.h)   } the only store -> load
 *   B2 announce               seq_cst / relaxed   before B3             } pair, as in waiter.h
 *   B3 second look            seq_cst             load of the cell's word
 *   B4 bump, mark             seq_cst / relaxed   wakes are system calls; nothing to win
 *   B5 word before announce   relaxed             B2 decides
 *   G5 left                   relaxed             B2 comes after the store. Before the load
 *                                                 comes B2 of a sleeper or B4 of a publisher:
 *                                                 RMWs of one word (scenario sh_left)
 *
 * B1, B2 and B3 can't be weaker (`explore orders`, scenario sh_sleep). B4 could be acq_rel: the
 * system call between its two steps orders them; it stays, since it is no hot path.
 */
#pragma once

#include "common/memory/atomic.h"
#include "common/memory/layout.h"
#include "common/memory/region.h"
#include "common/ring/futex.h"
#include "common/ring/waiter.h"

#define KM_BELL_WOKEN      1u
#define KM_BELL_ANNOUNCED  2u
#define KM_BELL_GENERATION 4u

/* Wakes all that wait for the bell, whose word was seen as `seen` (not WOKEN). Returns
 * whether subscribers have left for a fresh region (lost.h); WOKEN isn't set then. */
bool km_bell_ring(struct km_bell *bell, uint32_t seen);

/* For publishers, after each commit: the bell's word. Unless that is WOKEN, the publisher rings. */
static inline uint32_t km_bell_listen(const struct km_bell *bell)
{
	return km_load(B1, seq_cst, &bell->word);
}

/* Listens and rings in one call. No system call unless somebody has announced a sleep. */
static inline bool km_bell_notify(struct km_bell *bell)
{
	uint32_t seen = km_bell_listen(bell);

	return __builtin_expect(!(seen & KM_BELL_WOKEN), 0) && km_bell_ring(bell, seen);
}

/* For the reconciler, and for the end of a region: wakes all, whatever WOKEN says. */
void km_bell_ring_anyway(struct km_bell *bell);

/* Says that the caller is about to sleep; returns the word to wait for. */
uint32_t km_bell_announce(struct km_bell *bell);

/* The second look, after announce: has `position` been committed? */
bool km_bell_look(const struct km_region *region, uint64_t position);

/*
 * Sleeps until there is a message at `position`, or an event that `sleep` names (KM_LIVE_LEFT: also
 * that subscribers have left). The caller looks for itself why the call returned. Returns as
 * km_waiter_sleep().
 */
int km_bell_sleep(const struct km_region *region, uint64_t position, const struct km_sleep *sleep);

/* Says that a subscriber has left for a fresh region (common/ring/lost.h); wakes all sleepers.
 */
static inline void km_bell_say_left(struct km_bell *bell)
{
	km_store(G5, relaxed, &bell->left, 1);
	km_bell_announce(bell);
	km_bell_ring_anyway(bell);
}

/* Takes `left` back, for a publisher whose broker is there and has no fresh region for it: the
 * subscriber that said so was wrong. `left` would cost each message a wake. */
static inline void km_bell_deny_left(struct km_bell *bell)
{
	km_store(G5, relaxed, &bell->left, 0);
}

static inline bool km_bell_is_left(struct km_bell *bell)
{
	return km_load(G5, relaxed, &bell->left) != 0;
}
