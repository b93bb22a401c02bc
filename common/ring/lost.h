/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting what a subscriber lost when it moved from one region of its topic to another. Its
 * broker died, and the subscriber went over to the fresh region of the next broker
 * (libclient/rejoin/rejoin.c). Publishers went as well, each at its own time. So some messages were
 * never put into a ring of this subscriber. These are counted here, each once:
 *
 *                     the subscriber leaves              ... and is in the fresh region
 *                              |                                     |
 *   ring in the old region  ###|...lost_after.......                 |
 *   ring in the fresh one      |        .........lost_before.........|######
 *                                                                            # positions of a ring
 *   lost_before   a publisher that meets a ring (since it was opened) adds how many messages it has
 *                 sent in this region before. A subscriber that is new to the topic ignores it.
 *   lost_after    in a region that was left, a publisher adds 1 to each ring that is closed.
 *
 * Neither is on the path of a message: a publisher looks when header->live isn't what it was, and
 * that word moves when a ring is opened or closed.
 *
 * A publisher that stood still in the middle of a message, while the ring's owner went and the ring was
 * opened anew, still puts that message in. It is received, and counted at the publisher's next one.
 *
 * A subscriber closes its old ring and goes on looking at it until all publishers have departed.
 * Messages that a publisher with old targets still commits there are counted by their position.
 *
 * With a shared ring all that was lost is positions: those of the fresh region before the
 * subscriber's start, and those of the old region from where it left until all publishers have
 * departed. But its subscribers can't write `live`. They say in the bell's page that they have
 * left, and clear WOKEN. From then on each publisher that commits there rings, finds `left`, and
 * looks after its own connection.
 *
 * Orders
 *   G1 lost_before                 relaxed   ordered by L2 and L1 for publishers, by R3 and R1 for
 *                                            the subscriber of a message that came after it
 *   G2 lost_after                  relaxed   as G3 says
 *   G3 departed, add / load   release / acquire   pairs with itself: a reader that sees a publisher
 *                                            gone sees its last commits, and what it counted
 *   G4 publishers, the broker's    relaxed   looked at when the broker is dead
 */
#pragma once

#include "common/ring/waiter.h"

#define KM_LOST_SHIFT 48
#define KM_LOST_COUNT ((UINT64_C(1) << KM_LOST_SHIFT) - 1)

/* Begins a ring's counts anew. For the broker, before the ring's live bit is set. */
static inline void km_lost_open(struct km_ring *ring)
{
	uint64_t opening = (km_load(G1, relaxed, &ring->lost_before) >> KM_LOST_SHIFT) + 1;

	if (opening == UINT64_C(1) << (64 - KM_LOST_SHIFT))
		opening = 1; /* 0: never opened */
	km_store(G1, relaxed, &ring->lost_before, opening << KM_LOST_SHIFT);
	km_store(G2, relaxed, &ring->lost_after, 0);
}

/* A publisher that has sent `count` messages in this region meets a ring. *greeted is the
 * publisher's own: the opening of this ring that it met last. */
static inline void km_lost_greet(struct km_ring *ring, uint16_t *greeted, uint64_t count)
{
	uint64_t word = km_load(G1, relaxed, &ring->lost_before);

	while ((uint16_t)(word >> KM_LOST_SHIFT) != *greeted)
		if (count == 0 ||
			km_cas(G1, relaxed, relaxed, &ring->lost_before, &word, word + count))
			*greeted = (uint16_t)(word >> KM_LOST_SHIFT);
}

static inline uint64_t km_lost_before(struct km_ring *ring)
{
	return km_load(G1, relaxed, &ring->lost_before) & KM_LOST_COUNT;
}

static inline void km_lost_add_after(struct km_ring *ring)
{
	km_add(G2, relaxed, &ring->lost_after, 1);
}

static inline uint64_t km_lost_after(struct km_ring *ring)
{
	return km_load(G2, relaxed, &ring->lost_after);
}

/* Says that a publisher will never touch this region again. */
static inline void km_lost_depart(const struct km_region *region)
{
	km_add(G3, release, &region->header->departed, 1);
}

static inline bool km_lost_all_departed(const struct km_region *region)
{
	return km_load(G3, acquire, &region->header->departed) >=
	       km_load(G4, relaxed, &region->header->publishers);
}
