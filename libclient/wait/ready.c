/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber's descriptor: see ready.h. */
#include "libclient/wait/ready.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"

/* Other sleepers of a shared ring move the word too: so often it is announced anew. */
#define MAX_IN_VAIN 4

int km_ready_new(struct km_watch *watch, _Atomic uint32_t *word, struct km_ready **ret)
{
	struct km_ready *ready = calloc(1, sizeof *ready);

	if (!ready)
		return -ENOMEM;
	int r = km_watch_begin(watch, &ready->watched, word);
	if (r < 0) {
		free(ready);
		return r;
	}
	km_watch_fire(&ready->watched);
	*ret = ready;
	return 0;
}

void km_ready_free(struct km_ready *ready)
{
	if (!ready)
		return;
	km_watch_end(&ready->watched);
	free(ready);
}

uint32_t km_subscriber_announce(struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;

	return here->ring ? km_waiter_announce(here->ring) : km_bell_announce(here->region.bell);
}

bool km_subscriber_look(struct kickmsg_subscriber *subscriber, bool left)
{
	const struct km_place *here = &subscriber->handle.place;
	const struct km_region *region = &here->region;
	uint64_t ends = KM_LIVE_QUARANTINED | (left ? 0 : KM_LIVE_LEFT);

	if (here->newcomer.next != here->newcomer.end)
		return true; /* also messages of its history wait */
	if (here->ring ? km_waiter_look(region, here->ring) : km_bell_look(region, here->next))
		return true;
	return km_load(L3, seq_cst, &region->header->live) & ends ||
	       (!left && region->bell && km_bell_is_left(region->bell)) ||
	       km_load(P5, seq_cst, &subscriber->prepared) & KM_PREPARED;
}

bool km_ready_arm(struct kickmsg_subscriber *subscriber)
{
	struct km_ready *ready = subscriber->ready;

	KM_KEEP_ERRNO;
	if (ready->suspended || km_watch_waits(&ready->watched))
		return false;
	if (ready->watched.by_timer) {
		uint64_t next = subscriber->handle.place.next;

		km_watch_timer_arm(&ready->watched, next != ready->observed);
		ready->observed = next;
		return false;
	}
	km_watch_quiet(&ready->watched);
	uint32_t announced = km_subscriber_announce(subscriber);
	km_watch_arm(&ready->watched, announced);
	if (!km_subscriber_look(subscriber, ready->left) &&
		km_watch_settle(&ready->watched, announced)) {
		ready->in_vain = 0;
		return false;
	}
	km_watch_fire(&ready->watched);
	ready->left = km_place_is_left(&subscriber->handle.place);
	if (++ready->in_vain < MAX_IN_VAIN)
		return true;
	/* the descriptor is readable, so a receive comes again */
	ready->in_vain = 0;
	return false;
}

void km_ready_suspend(struct kickmsg_subscriber *subscriber)
{
	KM_KEEP_ERRNO;
	if (!subscriber->ready)
		return;
	subscriber->ready->suspended = true;
	if (km_watch_waits(&subscriber->ready->watched))
		km_watch_fire(&subscriber->ready->watched);
}

void km_ready_resume(struct kickmsg_subscriber *subscriber)
{
	if (subscriber->ready)
		subscriber->ready->suspended = false;
}

void km_ready_move(struct kickmsg_subscriber *subscriber)
{
	struct km_ready *ready = subscriber->ready;

	if (!ready)
		return;
	ready->left = false;
	km_watch_fire(&ready->watched);
	km_watch_move(&ready->watched, km_subscriber_word(subscriber));
}
