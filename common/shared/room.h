/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room in the rings of reliable subscribers, and in the shared ring before them: a publisher sends only
 * where it pushes nothing out of any of these, and may wait until it does.
 *
 *        head                    head + most            head + capacity
 *         |                           |                        |
 *   ring  [##### messages ######......:.. one each for those ..|   most = capacity - max_publishers
 *                                     :   that have looked     |
 *                                  no message here: there is room
 *
 * There is room where the cell of head + most isn't committed. Nothing is reserved, so nothing has to be
 * given back: not by a publisher that changes its mind, stands still or dies behind its look.
 *
 * Why a publisher that found room then evicts nothing. It commits at some position p. Where p is at most
 * max_publishers - 1 behind the frontier that it saw, p < head + capacity. Otherwise the
 * max_publishers positions before p were committed by the other publishers since its look, of which there
 * are max_publishers - 1 at once. So one place of these has two of them. Before the later one its
 * publisher has looked. It had committed the earlier one itself, or was let in when the publisher that
 * did was gone. So the frontier that it saw was behind p - max_publishers, and p is
 * before its head + capacity. This publisher meets that commit on its way to p, so it sees that head (R1,
 * R3, R2).
 *
 * Of a ring that was opened for a reliable subscriber, publishers that saw it under its last owner may still put
 * one message each there, unlooked. Those may push something out, which is counted as lost.
 *
 * `reliable` is written by the broker: a bit is set before the ring's bit in `live`, and cleared when its
 * subscriber leaves or stands still for too long. A publisher that sees that a moment late has looked in
 * vain, or waits and is woken.
 *
 *   publisher   announce (bell.h B2) - look again, at heads and `reliable` - FUTEX_WAIT
 *   subscriber  take (ring.h R6) - fence - load the bell's word; ring it unless it is WOKEN
 *   broker      clear the bit - ring
 *
 * With a shared ring the same words say the same. There is room where the frontier is less than the
 * capacity beyond the floor (reader.h). Each commit looks for itself. Publishers wait at a word in the
 * bell's page, which its subscribers can write.
 *
 * Orders
 *   E1 reliable, publisher's load    relaxed             } what is seen live was reliable before (L2,
 *   E2 reliable, broker              relaxed / release   } L1); behind a clear comes B4, which is an
 *                                                        } RMW of the word that B2 announces. A
 *                                                        release for V1: a reader's first `next` is seen
 *   E3 head, second look             seq_cst             } store -> load: either the publisher's look
 *   E4 fence behind the take         seq_cst             } sees the head, or the subscriber sees the
 *                                                        } announcement (B2, B1)
 *   E5 reliable, its subscriber      relaxed             says that it is one no more, once
 */
#pragma once

#include "common/ring/ring.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/reader.h"

/* Where publishers of the topic wait for room. */
static inline struct km_bell *km_room_bell(const struct km_region *region)
{
	return region->shared ? &km_region_bell_page(region)->room : &region->header->room;
}

/* A publisher that finds no room again and again tells the broker so no more often. */
#define KM_ROOM_SAY_NS INT64_C(1000000)

/* How many messages may lie in a reliable subscriber's ring when a publisher puts one more there. */
static inline uint64_t km_room_most(const struct km_region *region)
{
	return region->geometry.ring_capacity - region->geometry.max_publishers;
}

/* Do the publisher's own last message and a head that it has seen say that there is room? */
static km_always_inline bool km_room_is_known(
	const struct km_region *region, const struct km_ring_cursor *cursor)
{
	/* 0: it has put nothing there yet, others in its place may have */
	return cursor->next != 0 &&
	       (int64_t)(cursor->next - cursor->head) <= (int64_t)km_room_most(region);
}

#define KM_ROOM_TRIES 8

/*
 * Is there room in this ring? Where the publisher knows it, that will do. A ring that makes no sense has
 * room: the commit says what is wrong. One whose head moves at each of several looks has none this time.
 */
static inline bool km_room_is_there(
	const struct km_region *region, uint32_t ring_index, struct km_ring_cursor *cursor)
{
	struct km_ring *ring = km_region_ring(region, ring_index);
	const uint64_t most = km_room_most(region);

	if (km_room_is_known(region, cursor))
		return true;
	for (int tries = 0; tries < KM_ROOM_TRIES; tries++) {
		const uint64_t head = km_load(E3, seq_cst, &ring->head), p = head + most;
		uint64_t word = km_load(R1, acquire, &ring->cells[p & region->cell_mask]);
		int64_t ahead = km_cell_laps_ahead(word, p, region->cell_shift);

		cursor->head = head;
		if (ahead <= 0)
			return ahead < 0;
		/* a lap beyond: the ring went on, so head must have moved */
		if (km_load(R2, acquire, &ring->head) == head)
			return true;
	}
	return false;
}

/*
 * How many messages more there is room for in this ring, or before the readers of a shared one, whose `index`
 * doesn't matter? Looks anew. It is a hint that nothing relies on: others may have put messages there since
 * the publisher's last one, which is the one that counts here.
 */
static inline uint64_t km_room_count(
	const struct km_region *region, uint32_t index, struct km_ring_cursor *cursor)
{
	const uint64_t next = cursor->next;
	uint64_t end;

	if (region->shared) {
		cursor->head = km_reader_floor(region, next);
		end = cursor->head + region->cell_mask + 1;
	} else {
		cursor->head = km_load(R2, acquire, &km_region_ring(region, index)->head);
		end = cursor->head + km_room_most(region) + 1;
	}
	return (int64_t)(end - next) > 0 ? end - next : 0;
}

/* The first of `rings` that are reliable and have no room: its bit, or 0. */
static inline uint64_t km_room_find_full(
	const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors)
{
	uint64_t left = rings & km_load(E1, relaxed, &region->header->reliable) & KM_LIVE_RINGS;

	for (; left; left &= left - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(left);

		if (i >= region->ring_count)
			return 0;
		if (!km_room_is_there(region, i, &cursors[i]))
			return left & -left;
	}
	return 0;
}

/* Has one of `rings` that is live no room? With either transport, and also when one asks that hasn't
 * sent yet. With a shared ring all rings are one: `cursors` is the publisher's of that. */
bool km_room_is_full(
	const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors);

/* The broker: is there room in the ring of subscriber `index`, or before that reader? *ret_head says how
 * far that subscriber has come. */
bool km_room_is_before(const struct km_region *region, uint32_t index, uint64_t *ret_head);

/* A publisher's sleep, for as long as there is no room in one of `rings` that is live; no longer than
 * until an event that `sleep` names. The caller looks for itself why it ended. Returns as km_waiter_sleep(). */
int km_room_sleep(const struct km_region *region, uint64_t rings, struct km_ring_cursor *cursors,
	const struct km_sleep *sleep);

/* For a reliable subscriber, after each message that it has taken. No system call unless a publisher has
 * announced a sleep. */
static inline void km_room_made(const struct km_region *region)
{
	km_fence(E4, seq_cst);
	km_bell_notify(&region->header->room);
}

/* For a reader that has come as far as `next`. No system call unless a publisher has announced a sleep. */
static inline void km_room_made_before(
	const struct km_region *region, uint32_t reader, uint64_t next)
{
	km_reader_say(region, reader, next);
	km_bell_notify(&km_region_bell_page(region)->room);
}

/* Does the subscriber of the ring count as a reliable one? For itself. */
static inline bool km_room_is_kept(const struct km_region *region, uint32_t ring_index)
{
	return km_load(E5, relaxed, &region->header->reliable) >> ring_index & 1;
}

/* The broker: what stands there, which each participant can write. */
static inline uint64_t km_room_said(const struct km_region *region)
{
	return km_load(E2, relaxed, &region->header->reliable);
}

/* The broker: all of the topic's reliable rings. Where some are so no more, km_room_wake() comes next. */
static inline void km_room_say(const struct km_region *region, uint64_t reliable)
{
	km_store(E2, release, &region->header->reliable, reliable);
}

/* Wakes all publishers that wait for room. */
static inline void km_room_wake(const struct km_region *region)
{
	km_bell_ring_anyway(km_room_bell(region));
}
