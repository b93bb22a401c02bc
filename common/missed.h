/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a subscriber that comes from another region of its topic has missed. Its broker died; it went
 * over to the fresh region of the next one (libclient/rejoin.c). Publishers went as well, each at its
 * own time. So there are messages that were never meant for a ring of it, and these are counted here,
 * each once:
 *
 *                     the subscriber leaves              ... and is in the fresh region
 *                              |                                     |
 *   ring in the old region  ###|...strays...........                 |
 *   ring in the fresh one      |        ...........missed............|######
 *                                                                            # positions of a ring
 *   missed   who first publishes to a ring (since it was opened) adds how many messages it has sent
 *            in this region before. Of no interest to one that is new to the topic.
 *   strays   in a region that was left, whoever publishes adds 1 to each ring that is closed.
 *
 * Neither is on the path of a message: a publisher looks when header->live isn't what it was, and
 * that word moves when a ring is opened or closed.
 *
 * A subscriber closes its old ring and goes on looking at it until all publishers have departed:
 * what a publisher with old targets still commits there is counted by its position.
 *
 * With a shared ring all of it is positions: those of the fresh region before the subscriber's start,
 * those of the old one from where it left until all publishers have departed. But its subscribers
 * can't write `live`: they say in the bell's page that they have left, and clear WOKEN. From then on
 * each publisher that commits there rings, finds it said, and looks after its own connection.
 *
 * Orders
 *   G1 missed, greeted or opened   relaxed   ordered by L2 and L1 for who greets, by R3 and R1 for
 *                                            the subscriber of a message that came after it
 *   G2 strays                      relaxed   as G3 says
 *   G3 departed, add / load   release / acquire   pairs with itself: who sees that a publisher has
 *                                            gone sees its last commits, and what it counted
 *   G4 publishers, the broker's    relaxed   looked at when the broker is dead
 *   G5 left, of the bell           relaxed   behind the store comes B2, before the load a
 *                                            publisher's B4 or a sleeper's B2: RMWs of one word
 *                                            (`explore`, scenario sh_left)
 */
#pragma once

#include "bell.h"
#include "waiter.h"

#define KM_MISSED_SHIFT 48
#define KM_MISSED_COUNT ((UINT64_C(1) << KM_MISSED_SHIFT) - 1)

/* The broker, before the ring's live bit is set. */
static inline void km_missed_open(struct km_ring *ring)
{
	uint64_t opening = (km_load(G1, relaxed, &ring->missed) >> KM_MISSED_SHIFT) + 1;

	if (opening == UINT64_C(1) << (64 - KM_MISSED_SHIFT))
		opening = 1; /* 0: never opened */
	km_store(G1, relaxed, &ring->missed, opening << KM_MISSED_SHIFT);
	km_store(G2, relaxed, &ring->strays, 0);
}

/* A publisher that has sent `count` messages in this region meets a ring. *greeted is its own: the
 * opening at which it did before. */
static inline void km_missed_greet(struct km_ring *ring, uint16_t *greeted, uint64_t count)
{
	uint64_t word = km_load(G1, relaxed, &ring->missed);

	while ((uint16_t)(word >> KM_MISSED_SHIFT) != *greeted)
		if (count == 0 || km_cas(G1, relaxed, relaxed, &ring->missed, &word, word + count))
			*greeted = (uint16_t)(word >> KM_MISSED_SHIFT);
}

static inline uint64_t km_missed_count(struct km_ring *ring)
{
	return km_load(G1, relaxed, &ring->missed) & KM_MISSED_COUNT;
}

static inline void km_missed_stray(struct km_ring *ring)
{
	km_add(G2, relaxed, &ring->strays, 1);
}

static inline uint64_t km_missed_strays(struct km_ring *ring)
{
	return km_load(G2, relaxed, &ring->strays);
}

/* For a subscriber of a shared ring; wakes all who sleep. */
static inline void km_missed_say_left(struct km_bell *bell)
{
	km_store(G5, relaxed, &bell->left, 1);
	km_bell_announce(bell);
	km_futex_wake(&bell->word);
}

/* For a publisher whose broker is there and has no fresh region for it: whoever said so was wrong, or
 * of another mind. It would cost each message a wake. */
static inline void km_missed_deny_left(struct km_bell *bell)
{
	km_store(G5, relaxed, &bell->left, 0);
}

static inline bool km_missed_is_left(struct km_bell *bell)
{
	return km_load(G5, relaxed, &bell->left) != 0;
}

/* A publisher will never touch this region again. */
static inline void km_missed_depart(const struct km_region *region)
{
	km_add(G3, release, &region->header->departed, 1);
}

static inline bool km_missed_all_departed(const struct km_region *region)
{
	return km_load(G3, acquire, &region->header->departed) >=
	       km_load(G4, relaxed, &region->header->publishers);
}
