/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a wait from another thread or from a signal handler.
 *
 *   sleeper       says at which word it sleeps - announces - looks: interrupted? - FUTEX_WAIT
 *   interrupter   asks - reads where the sleep is - moves that word - FUTEX_WAKE
 *
 * The interrupter may be a signal handler, so it takes no lock, and it may stand still anywhere. The
 * word that it moves lies in a region that the sleeper may go away from. So the interrupter counts
 * itself in `busy` before it reads where the word is. A region of which somebody may still have a
 * word isn't unmapped before `busy` is 0 (libclient/rejoin/move.c).
 *
 * Orders, of one process' threads
 *   I1 asked     seq_cst   store, then load of I2    } store -> load pair: either the interrupter
 *                                                    } sees the sleep, or the sleeper's look, which
 *                                                    } comes after I2 and its announce, sees I1
 *   I2 place     seq_cst   store, then load of I1; and, when the sleep is over, then load of I3
 *   I3 busy      seq_cst   add, then load of I2: either the owner sees that somebody is at it, or
 *                          the interrupter sees no sleep, and touches nothing
 *   I4 word      seq_cst   moved after I1 was missed, so after the announce: the sleep ends
 */
#pragma once

#include "common/ring/futex.h"
#include "common/ring/waiter.h"

struct km_interrupt {
	_Atomic uint32_t asked;
	_Atomic uint32_t busy;
	_Atomic uintptr_t place; /* of the word, an _Atomic uint32_t; 0: no sleep */
};

/* Asks for the end of a sleep. Async-signal-safe. */
static inline void km_interrupt(struct km_interrupt *interrupt)
{
	km_add(I3, seq_cst, &interrupt->busy, 1);
	km_store(I1, seq_cst, &interrupt->asked, 1);
	_Atomic uint32_t *word = (void *)km_load(I2, seq_cst, &interrupt->place);
	if (word) {
		/* a generation, of a ring's word as of a bell's */
		km_add(I4, seq_cst, word, KM_WAITING_GENERATION);
		km_futex_wake(word);
	}
	km_add(I3, seq_cst, &interrupt->busy, (uint32_t)-1);
}

/* The sleeper, around its sleep; `word` may be null: it sleeps at none. */
static inline void km_interrupt_begin_sleep(struct km_interrupt *interrupt, _Atomic uint32_t *word)
{
	km_store(I2, seq_cst, &interrupt->place, (uintptr_t)word);
}

static inline void km_interrupt_end_sleep(struct km_interrupt *interrupt)
{
	km_store(I2, seq_cst, &interrupt->place, 0);
}

/* Has somebody asked for the end of the sleep? */
static inline bool km_interrupt_is_asked(const struct km_interrupt *interrupt)
{
	return km_load(I1, seq_cst, &interrupt->asked) != 0;
}

/* The answer of km_interrupt_is_asked(); a request that was there is taken. */
static inline bool km_interrupt_take(struct km_interrupt *interrupt)
{
	uint32_t one = 1;

	return km_interrupt_is_asked(interrupt) &&
	       km_cas(I1, seq_cst, seq_cst, &interrupt->asked, &one, 0);
}

/* May somebody be about to move a word of a region that was left? Not to be asked during a
 * sleep. */
static inline bool km_interrupt_is_busy(const struct km_interrupt *interrupt)
{
	return km_load(I3, seq_cst, &interrupt->busy) != 0;
}
