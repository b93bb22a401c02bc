/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber whose descriptor says when a message waits.
 *
 *            a receive finds nothing: quiet - announce - arm - second look
 *   READABLE -----------------------------------------------------------> WAITING
 *            <-----------------------------------------------------------
 *            the word is woken, or the second look finds something
 *
 * It begins READABLE, so a loop's first receive arms it. It may be READABLE without a message: the
 * next receive that finds nothing arms it again. It is never WAITING beside a message that waits
 * for it. Nor is it WAITING where a receive has something else to do: the region was given up or
 * left, or a fresh place is prepared. While a receive sleeps it is READABLE, since its sleep and
 * the descriptor would end each other's announcement.
 */
#pragma once

#include "libclient/handle/handle.h"

/* Makes the descriptor of a handle that sleeps at `word`. Errors: those of km_watch_begin(). */
int km_ready_new(struct km_watch *watch, _Atomic uint32_t *word, struct km_ready **ret);
/* Closes the descriptor. Takes null. */
void km_ready_free(struct km_ready *ready);

/* Arms the descriptor after a receive that found nothing. True: the receive is to look once
 * more. */
bool km_ready_arm(struct kickmsg_subscriber *subscriber);

/* To be called around a receive that sleeps. */
void km_ready_suspend(struct kickmsg_subscriber *subscriber);
void km_ready_resume(struct kickmsg_subscriber *subscriber);

/* Follows the subscriber to another region. The old one is still mapped. */
void km_ready_move(struct kickmsg_subscriber *subscriber);

/* The word at which a subscriber sleeps; null: an observer, which takes naps. */
static inline _Atomic uint32_t *km_subscriber_word(const struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;
	struct km_bell *bell = here->region.bell;

	if (here->ring)
		return &here->ring->waiting;
	return bell ? &bell->word : NULL;
}

/* Says that the subscriber is about to sleep; returns the word to wait for. */
uint32_t km_subscriber_announce(struct kickmsg_subscriber *subscriber);
/* The second look: is there something for a receive to do? `left`: that the region was left is known. */
bool km_subscriber_look(struct kickmsg_subscriber *subscriber, bool left);
