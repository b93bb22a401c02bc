/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kept ring: the newest messages of a topic with private rings and history, for newcomers. It is a
 * ring as any (ring.h) that nobody owns and nobody takes from. Its references are the bit KM_KEPT_BIT
 * of slot words, so a message stays in its slot, and nothing is copied. It evicts when it is full.
 *
 * Each message reaches a newcomer once, by one of three ways. `opening` is the number by which the
 * broker let the newcomer in; a publisher writes into each slot the last one that it knew of.
 *
 *   1 the publisher knew of the newcomer       it commits the slot to the newcomer's ring, as ever
 *   2 it didn't, and the message lies before   the newcomer takes it from the kept ring, before it
 *     kept_behind                              looks at its own ring
 *   3 it didn't, and the message lies behind   the publisher sees the newcomer by a second look, and
 *     kept_behind                              commits a late cell to the newcomer's ring: the
 *                                              position, from where the newcomer takes the message
 *
 *   publisher   opening := known - W = targets, kept - commit to the kept ring (R3) - live again (K3),
 *               late cells - commit to the targets
 *   broker      kept_before := end - live := ring's bit (K4) - end (K5), kept_behind (K11)
 *   newcomer    from kept_before - history to kept_behind: the slots that ways 2 say - own ring
 *
 * A message in front of kept_behind is committed when the newcomer looks. One behind it is committed
 * after the look for the end (K5), which is behind K4. So its publisher's look behind the commit (K3) sees
 * the newcomer. These four are seq_cst: it is store -> load on both sides. A publisher may see
 * the newcomer before the broker has said where the kept ring ends. It looks for the end itself then, and
 * its K5 is behind its K3. The first CAS (K11) decides for all.
 *
 * Order: a publisher that doesn't know of the newcomer yet has nothing in its ring. Its earlier messages
 * are way 2's or 3's, and its late cell comes before what it sends next.
 *
 * Taking (way 2 and 3)
 *   held[k] := slot, then CAS word -> word | own bit, if the kept bit is in the word. The slot can have
 *   been freed and sent again in between. Its generation tells, which is loaded while the position is
 *   seen in the window, and once more behind the CAS. If it moved, the bit is dropped again: no publisher
 *   adds a bit to a word later, so it is the newcomer's alone. After that the newcomer takes no more from
 *   the kept ring: a bit that is set twice within one generation could be taken for a stale one by
 *   reconcile, which saw the first and not the hazard of the second. The same for the next owner of the
 *   ring is excluded since the broker gives a ring away only after a whole pass (km_leave_settle()).
 *
 * A ring's former owner
 *   A publisher that stood still may commit a message to a ring after the ring was drained, or given to the
 *   next owner: the word has the ring's bit. If it is in the ring when the next owner begins, that one drops
 *   it there, and takes it from the kept ring in its turn, or not at all where it lies before the history
 *   (km_kept_drop_former()). By the ring it would come behind later messages of its publisher, which the
 *   newcomer takes from the kept ring. Those were committed behind it, and before kept_behind was looked for,
 *   so it is in the ring by then; and it lies before all that publishers send who know of the newcomer, as its
 *   own publisher didn't when it sent the next.
 *   If it comes later, its publisher has sent nothing since. The newcomer passes over it in the kept
 *   ring, since the word has its bit, and it comes by the ring.
 *   No message behind kept_behind is dropped so. Its publisher sees by K3 that a target has a new owner, takes
 *   the ring's bit back and commits a late cell (kept_send.c).
 *
 * Losses are exact but for what is sent while the broker lets the newcomer in, between kept_before and
 * kept_behind. A message of those that is pushed out again before the newcomer has its answer is not
 * counted. And a publisher may stand still between its look for newcomers (K3) and a late cell, while the
 * ring is given to another newcomer. That one passes over the cell. It counts the cell as one lost
 * message if it is pushed out before. A message for the former owner that is pushed out before the newcomer
 * begins counts as one, too. And a publisher may stand still between its commit to the kept ring and its
 * look, while the ring goes to one newcomer and then to another. The second may get that message neither
 * way, and not count it. The same holds for a newcomer if rings are opened 2^14 times between its publisher's
 * first look at `live` and the second: the word is the same again then.
 *
 * The 48 bits of rings and two of state leave `live` 14 for the number of openings. A publisher may stand
 * still between its loads of `live` and of `openings` while rings are opened 2^14 times, and would take
 * itself to know of newcomers that it doesn't. So it loads `live` again behind `openings`. Where that is
 * another word it looks anew, up to LOOKS times (kept_send.c).
 *
 * Orders
 *   K1 slot's opening, store / load   release / acquire   pairs with itself: a reader of a later
 *                                        message's sees that the kept ring's head went on
 *   K3 live, behind the commit        seq_cst             pairs with K4
 *   K4 live, opened                   seq_cst             pairs with K3
 *   K5 cells, the end is looked for   seq_cst             pairs with R3, the commit
 *   K6 ring's opening, its ends       relaxed / acquire   the stores lie before K4; the load pairs
 *                                        with K11: what lies before kept_behind is seen
 *   K7 openings                       release / acquire, relaxed   pairs with itself: a publisher that
 *                                        saw the count of an opening sees `live` as it was before that
 *                                        opening; relaxed: the broker reads its own count
 *   K8 generation                     acquire / relaxed   pairs with S2; the second look is behind K9
 *   K9 taking CAS                     acq_rel / relaxed   pairs with C2: held[] is seen; and with S3
 *   K10 word, before that             acquire             pairs with S3: where it is a later message's, the
 *                                        head that went on before is seen
 *   K11 kept_behind, decided          release / relaxed   pairs with K6
 *
 * None of K1, K3 to K5 and K7 to K11 can be weaker, nor K6's load (`explore orders` has the trace: K1
 * and K10 in scenario kept_stale, K7 in kept_round, K8 in kept_alike, K9 in kept_again and kept_held,
 * the others in kept_sleep). K6's stores may be relaxed: a publisher that saw the opening in `live` (K3) sees
 * them. One that reads a later opening, and kept_behind of the one before, sends a late cell for a
 * message that its newcomer takes anyhow. The newcomer treats it as the cell for a former owner, of
 * which the losses speak above. A CAS (K11) that fails needs no acquire: its publisher only compares
 * a position with the number, and the newcomer reads that again (K6) behind the broker's answer.
 */
#pragma once

#include "common/ring/ring.h"

/* The kept ring as if it were ring KM_KEPT_RING of a region of its capacity, so that ring.h works on
 * it. */
static inline void km_kept_view(const struct km_region *region, struct km_region *ret)
{
	*ret = *region;
	ret->kept = NULL;
	ret->geometry.ring_capacity = region->kept_capacity;
	ret->cell_mask = region->kept_capacity - 1;
	ret->cell_shift = (uint32_t)__builtin_ctz(region->kept_capacity);
	ret->rings = (unsigned char *)region->kept - KM_KEPT_RING * region->ring_stride;
}

/* In functions below `kept` is that view. */

/* The first position that is not committed. Errors: -ESTALE; -EAGAIN: the ring went on faster than
 * it was looked at, and *ret is a position before the end. */
static inline int km_kept_end(const struct km_region *kept, uint64_t *ret)
{
	const struct km_ring *ring = km_region_ring(kept, KM_KEPT_RING);
	uint64_t p = km_load(R5, acquire, &ring->hint);

	for (uint64_t steps = 4 * (uint64_t)kept->geometry.ring_capacity + 64; steps > 0; steps--) {
		int64_t ahead = km_cell_laps_ahead(
			km_load(K5, seq_cst, &ring->cells[p & kept->cell_mask]), p,
			kept->cell_shift);

		if (ahead == -1) {
			*ret = p;
			return 0;
		}
		if (ahead < -1)
			return -ESTALE;
		p += ((uint64_t)ahead << kept->cell_shift) + 1;
	}
	*ret = p;
	return -EAGAIN;
}

/* The number of openings that a publisher knows of which saw `live`. */
static inline uint64_t km_kept_known(const struct km_region *region, uint64_t live)
{
	const uint64_t bits = KM_LIVE_OPENINGS / KM_LIVE_OPENING;
	uint64_t openings = km_load(K7, acquire, &region->header->openings);

	/* The count may have gone on since. Whether it was by less than the bits in `live` can say, the
	 * caller sees by loading `live` again: it is the same word then, or its publisher looks anew. */
	return openings - ((openings - (live & KM_LIVE_OPENINGS) / KM_LIVE_OPENING) & bits);
}

/* A message of the kept ring, as it was seen in its window. */
struct km_kept_message {
	uint64_t generation, opening, word;
	uint32_t slot;
};

/* Looks at a position before the end. Returns 0; -ENOENT: it was pushed out; -ESTALE. */
static inline int km_kept_look(
	const struct km_region *kept, uint64_t position, struct km_kept_message *ret)
{
	const struct km_ring *ring = km_region_ring(kept, KM_KEPT_RING);
	uint64_t cell = km_load(R1, acquire, &ring->cells[position & kept->cell_mask]);
	int64_t ahead = km_cell_laps_ahead(cell, position, kept->cell_shift);

	if (ahead != 0)
		return ahead > 0 ? -ENOENT : -ESTALE;
	ret->slot = km_cell_slot(cell);
	if (ret->slot >= kept->geometry.pool_size)
		return -ESTALE;
	struct km_slot *slot = &kept->slots[ret->slot];
	ret->generation = km_load(K8, acquire, &slot->generation);
	ret->opening = km_load(K1, acquire, &slot->opening);
	ret->word = km_load(K10, acquire, &slot->word);
	/* still in the window: so it is this message's */
	return (int64_t)(km_load(R2, acquire, &ring->head) - position) > 0 ? -ENOENT : 0;
}

/* One more than others can change the word meanwhile: each sets its bit and drops it. */
#define KM_KEPT_TRIES (2 * KM_MAX_RINGS + 1)

/*
 * Takes the message at a position, for the owner of ring `ring_index` that came by `opening`. `held` is
 * its hazard: it names *ret_slot on success and nothing otherwise. Returns 0; -ENOENT it was pushed out;
 * -EALREADY it comes by the ring; -EOVERFLOW the taker was overtaken, and may take no more from here;
 * -ESTALE.
 */
static inline int km_kept_take(const struct km_region *kept, uint32_t ring_index, uint64_t opening,
	uint64_t position, _Atomic uint32_t *held, uint32_t *ret_slot)
{
	const uint64_t bit = UINT64_C(1) << ring_index;
	struct km_kept_message message;
	int r = km_kept_look(kept, position, &message);

	if (r < 0)
		return r;
	if (message.opening >= opening || message.word & bit)
		return -EALREADY;
	struct km_slot *slot = &kept->slots[message.slot];
	km_hazard_set(held, message.slot);
	r = -ENOENT;
	for (int tries = 0; tries < KM_KEPT_TRIES; tries++) {
		if (!(message.word & KM_KEPT_BIT) || message.word & (bit | KM_SLOT_ID_MASK))
			break; /* it is another message's by now, or nobody's */
		if (!km_cas(K9, acq_rel, relaxed, &slot->word, &message.word, message.word | bit))
			continue;
		if (km_load(K8, relaxed, &slot->generation) == message.generation) {
			*ret_slot = message.slot;
			return 0;
		}
		km_slot_drop(slot, bit);
		r = -EOVERFLOW;
		break;
	}
	km_hazard_clear(held);
	return r;
}

/* The number by which a late cell names a position, and the position again. The position lies near the
 * kept ring's head. */
static inline uint32_t km_kept_late_number(uint64_t position)
{
	return KM_CELL_LATE | (uint32_t)(position & KM_CELL_LATE_MASK);
}

static inline uint64_t km_kept_late_position(const struct km_region *kept, uint32_t number)
{
	const uint64_t half = ((uint64_t)KM_CELL_LATE_MASK + 1) / 2;
	uint64_t from = km_load(R2, acquire, &km_region_ring(kept, KM_KEPT_RING)->head) - half;

	return from + ((number - from) & KM_CELL_LATE_MASK);
}

/* --- who is let in -------------------------------------------------------------------------------- */

#define KM_KEPT_TAG_BITS 16
#define KM_KEPT_POSITION (UINT64_MAX >> KM_KEPT_TAG_BITS)

static inline uint64_t km_kept_behind_word(uint64_t opening, uint64_t position)
{
	return opening << (64 - KM_KEPT_TAG_BITS) | (position & KM_KEPT_POSITION);
}

/* The broker, before it opens a ring by storing `live`. Errors: -ESTALE. */
static inline int km_kept_prepare(
	const struct km_region *region, struct km_ring *ring, uint64_t live)
{
	const uint64_t bits = KM_LIVE_OPENINGS / KM_LIVE_OPENING;
	uint64_t before, number = (live & KM_LIVE_OPENINGS) / KM_LIVE_OPENING;
	uint64_t openings = km_load(K7, relaxed, &region->header->openings);
	struct km_region kept;

	km_kept_view(region, &kept);
	if (km_kept_end(&kept, &before) == -ESTALE)
		return -ESTALE;
	openings += ((number - openings - 1) & bits) + 1;
	km_store(K7, release, &region->header->openings, openings);
	km_store(K6, relaxed, &ring->kept_behind, km_kept_behind_word(openings, 0));
	km_store(K6, relaxed, &ring->kept_before, before);
	km_store(K6, relaxed, &ring->opening, openings);
	return 0;
}

/* Finds or decides kept_behind of an opening, behind K4 or a K3 that saw it. *ret stays as it is where it
 * can't be found, and the newcomer has no history then. Errors: as km_kept_end(). */
static inline int km_kept_decide(
	const struct km_region *kept, struct km_ring *ring, uint64_t opening, uint64_t *ret)
{
	uint64_t word = km_load(K6, acquire, &ring->kept_behind), end;
	const uint64_t undecided = km_kept_behind_word(opening, 0);

	if (word == undecided) {
		int r = km_kept_end(kept, &end);

		if (r < 0)
			return r;
		if (km_cas(K11, release, relaxed, &ring->kept_behind, &word,
			    km_kept_behind_word(opening, end)))
			word = km_kept_behind_word(opening, end);
	}
	*ret = word & KM_KEPT_POSITION;
	return 0;
}

/* The broker, behind K4. Errors: -ESTALE. */
static inline int km_kept_opened(
	const struct km_region *region, struct km_ring *ring, uint64_t opening)
{
	uint64_t behind;
	struct km_region kept;

	km_kept_view(region, &kept);
	return km_kept_decide(&kept, ring, opening, &behind) == -ESTALE ? -ESTALE : 0;
}

/* Does a position lie before another one of which the low bits are known? */
static inline bool km_kept_is_before(uint64_t position, uint64_t other)
{
	return (int64_t)((position - other) << KM_KEPT_TAG_BITS) < 0;
}

/* The fate of messages that late cells stand for. */
enum km_late {
	KM_LATE_TAKEN = 0,
	KM_LATE_LOST,    /* the newcomer was overtaken (km_kept_take()) */
	KM_LATE_IGNORED, /* others count them */
};

/* A newcomer's way through the kept ring. */
struct km_newcomer {
	uint64_t opening;
	/* Positions of the kept ring that it has not looked at. */
	uint64_t next, end;
	uint64_t sure; /* what lies before that is the newcomer's for sure */
	uint64_t left; /* so many of them are the newcomer's */
	enum km_late late;
};

/*
 * Drops what lies at the head of a newcomer's ring, from position `next` on, for the ring's former owner: see
 * "A ring's former owner" above. `evicting` is the newcomer's hazard. Returns where its own messages begin.
 */
static inline uint64_t km_kept_drop_former(const struct km_region *region, uint32_t ring_index,
	uint64_t opening, uint64_t next, _Atomic uint32_t *evicting)
{
	const struct km_ring *ring = km_region_ring(region, ring_index);
	struct km_ring_drops drops = { 0 };

	for (uint32_t i = 0; i < region->geometry.ring_capacity; i++, next++) {
		uint64_t word = km_load(R1, acquire, &ring->cells[next & region->cell_mask]);
		uint32_t slot = km_cell_slot(word);

		if (km_cell_laps_ahead(word, next, region->cell_shift) != 0 ||
			slot >= region->geometry.pool_size)
			break; /* the ring ends there, or a late cell has come */
		if (km_load(K1, acquire, &region->slots[slot].opening) >= opening)
			break;
		/* where it fails, publishers have filled the ring */
		if (!km_ring_evict(region, ring_index, evicting, next, slot, &drops))
			break;
	}
	km_ring_drop_evicted(region, &drops);
	km_hazard_clear(evicting);
	return next;
}

/* `history`: how many messages it wants; 0 also of one that comes back, whose losses are counted
 * otherwise (lost.h). *next is the position where its ring begins, and may go on. */
static inline void km_newcomer_init(struct km_newcomer *ret, const struct km_region *region,
	const struct km_region *kept, uint32_t ring_index, uint32_t history,
	_Atomic uint32_t *evicting, uint64_t *next)
{
	const struct km_ring *ring = km_region_ring(region, ring_index);
	const uint64_t capacity = region->kept_capacity;
	struct km_kept_message message;

	*ret = (struct km_newcomer){ .opening = km_load(K6, acquire, &ring->opening) };
	ret->sure = km_load(K6, acquire, &ring->kept_before);
	uint64_t behind = km_load(K6, acquire, &ring->kept_behind);
	/* not decided: a ring that makes no sense; then there is no history */
	ret->end = ret->sure;
	if (behind & KM_KEPT_POSITION)
		ret->end += (behind - ret->sure) & KM_KEPT_POSITION;
	ret->next = ret->end;
	if (history == 0 || ret->sure < capacity)
		return; /* none is wanted, or the memory makes no sense */
	*next = km_kept_drop_former(region, ring_index, ret->opening, *next, evicting);
	if (ret->end - ret->sure > capacity) {
		ret->sure = ret->end - capacity; /* the ring went round while the broker looked */
		history = 0;
	}
	ret->left = ret->sure - capacity < history ? ret->sure - capacity : history;
	ret->next = ret->sure - ret->left;
	for (uint64_t p = ret->sure; p != ret->end; p++)
		ret->left += km_kept_look(kept, p, &message) == 0 &&
			     message.opening < ret->opening && !(message.word >> ring_index & 1);
}
