/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and wake: see waiter.h for the protocol and its orders. */
#include <errno.h>

#include "common/ring/futex.h"
#include "common/ring/ring.h"
#include "common/ring/waiter.h"

uint32_t km_waiter_announce(struct km_ring *ring)
{
	uint32_t old = km_load(W5, relaxed, &ring->waiting), word;

	do
		word = ((old & ~(KM_WAITING_ASLEEP | KM_WAITING_WOKEN)) + KM_WAITING_GENERATION) |
		       KM_WAITING_ASLEEP;
	while (!km_cas(W2, seq_cst, relaxed, &ring->waiting, &old, word));
	return word;
}

bool km_waiter_look(const struct km_region *region, struct km_ring *ring)
{
	uint64_t head = km_load(R2, acquire, &ring->head);
	uint64_t word = km_load(W3, seq_cst, &ring->cells[head & region->cell_mask]);

	/* The cell is ahead of head because an eviction went by, or because it makes no sense,
	 * which receive finds. Either way, don't sleep. */
	return km_cell_laps_ahead(word, head, region->cell_shift) != -1;
}

void km_waiter_retract(struct km_ring *ring)
{
	km_and(W5, relaxed, &ring->waiting, ~KM_WAITING_ASLEEP);
}

void km_waiter_wake(struct km_ring *ring, uint32_t seen)
{
	if ((seen & (KM_WAITING_ASLEEP | KM_WAITING_WOKEN)) != KM_WAITING_ASLEEP)
		return;
	uint32_t word = km_add(W4, seq_cst, &ring->waiting, KM_WAITING_GENERATION) +
			KM_WAITING_GENERATION;

	km_futex_wake(&ring->waiting);
	km_cas(W4, seq_cst, relaxed, &ring->waiting, &word, word | KM_WAITING_WOKEN);
}

void km_waiter_wake_anyway(struct km_ring *ring)
{
	if (!(km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP))
		return;
	km_add(W4, seq_cst, &ring->waiting, KM_WAITING_GENERATION);
	km_futex_wake(&ring->waiting);
}

int km_waiter_sleep(
	const struct km_region *region, struct km_ring *ring, const struct km_sleep *sleep)
{
	uint32_t word = km_waiter_announce(ring);
	int r = 0;

	if (!km_waiter_look(region, ring) &&
		!(km_load(L3, seq_cst, &region->header->live) & sleep->ends) &&
		!km_sleep_is_stopped(sleep))
		r = km_futex_wait(&ring->waiting, word, sleep->deadline_ns);
	km_waiter_retract(ring);
	return r;
}
