/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and wake at a shared ring: see bell.h for the protocol and its orders. */
#include <errno.h>

#include "common/clock.h"
#include "common/memory/cell.h"
#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"

#define FLAGS (KM_BELL_ANNOUNCED | KM_BELL_WOKEN)

uint32_t km_bell_announce(struct km_bell *bell)
{
	uint32_t old = km_load(B5, relaxed, &bell->word), word;

	do
		word = (old & FLAGS) == KM_BELL_ANNOUNCED
			       ? old
			       : (old & ~FLAGS) + KM_BELL_GENERATION + KM_BELL_ANNOUNCED;
	while (!km_cas(B2, seq_cst, relaxed, &bell->word, &old, word));
	return word;
}

bool km_bell_look(const struct km_region *region, uint64_t position)
{
	uint64_t word = km_load(B3, seq_cst, &km_region_cell(region, position)->word);

	/* A lap beyond: the message was overwritten. A lap that makes no sense: the read finds it.
	 * Either way, don't sleep. */
	return km_cell_laps_ahead(word, position, region->cell_shift) != -1;
}

bool km_bell_ring(struct km_bell *bell, uint32_t seen)
{
	if (seen & KM_BELL_WOKEN)
		return false;
	/* the carry takes ANNOUNCED away */
	uint32_t more = KM_BELL_GENERATION - (seen & KM_BELL_ANNOUNCED);
	uint32_t word = km_add(B4, seq_cst, &bell->word, more) + more;

	km_futex_wake(&bell->word);
	if (km_bell_is_left(bell))
		return true;
	if (!(word & KM_BELL_ANNOUNCED))
		km_cas(B4, seq_cst, relaxed, &bell->word, &word, word | KM_BELL_WOKEN);
	return false;
}

void km_bell_ring_anyway(struct km_bell *bell)
{
	km_add(B4, seq_cst, &bell->word, KM_BELL_GENERATION);
	km_futex_wake(&bell->word);
}

static bool is_over(const struct km_region *region, uint64_t ends)
{
	return km_load(L3, seq_cst, &region->header->live) & ends ||
	       (ends & KM_LIVE_LEFT && km_bell_is_left(region->bell));
}

int km_bell_sleep(const struct km_region *region, uint64_t position, const struct km_sleep *sleep)
{
	struct km_bell *bell = region->bell;
	uint32_t word = km_bell_announce(bell);

	while (!km_bell_look(region, position) && !is_over(region, sleep->ends) &&
		!km_sleep_is_stopped(sleep)) {
		int r = km_futex_wait(&bell->word, word, sleep->deadline_ns);

		if (r == -EINTR)
			return r;
		/* the kernel looks at the word before it looks at the time */
		if (r == -ETIMEDOUT || km_clock_ns() >= sleep->deadline_ns)
			return -ETIMEDOUT;
		/* A publisher may be about to mark this word WOKEN. Only an announced word is waited
		 * for. */
		word = km_bell_announce(bell);
	}
	return 0;
}
