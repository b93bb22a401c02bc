/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared ring: one for a topic, that publishers append to and any number of subscribers read
 * without writing anything. For small messages and many subscribers: a message costs its publisher
 * the same however many there are.
 *
 *   position p, a u64 that only grows     cell p % capacity: word [lap(p) : 40 | ref : 24], and two
 *                                         buffers, of even laps and of odd ones
 *   ref   INLINE  the message is in the cell's buffer [lap & 1]
 *         a slot  it is in that slot, whose word carries RING
 *         VOID    there is none (any more): the slot was needed elsewhere
 *
 *   commit  one CAS of the word at the frontier: [lap-1 | *] -> [lap | ref]; a store where the
 *           topic has but one publisher
 *   void    one CAS of a committed word: [lap | slot] -> [lap | VOID]
 *   read    the word, the bytes, the word again: unchanged means whole
 *
 * Invariants
 * - One publisher, the privileged one (header->privileged, named by the broker), writes into
 *   buffers. At the frontier the word carries lap-1, so the buffer of `lap` was last read for
 *   lap-2, whose readers find another word. A commit by another publisher in between makes its CAS
 *   fail, and it writes the next cell's buffer anew.
 * - Privilege is read once a message, and passes on only after its holder is dead or has left.
 * - A publisher that makes a word forget a slot (commit over it, or void) has set `evicting`
 *   before, and drops RING from that slot's word after.
 * - With max_publishers 1 there is nobody to arbitrate with: the place passes on only after its
 *   holder is dead or has left.
 * - The commit CAS arbitrates a position; positions are committed in order without holes. There is
 *   no head: what is `capacity` behind the frontier is overwritten, read or not.
 * - hint <= frontier, as in ring.h. The first position is `capacity`, the first lap 1.
 *
 * In a topic with timestamps the cell's line has two times in place of its two short payloads, which
 * are in the buffers then: a message of any length takes the lines that one of its length takes
 * anyway. A slot has its message's time in its header. A time is one of the message's bytes (U2, U3,
 * U6). The functions below take it, or the place for it, as `publish_ns`, and null in a topic without:
 * a constant to each caller, so neither kind of topic pays for the other.
 *
 * The file is long because the whole algorithm is inline: a send of a small message has no call in it.
 *
 * Orders
 *   U1 word load                 acquire             pairs with U4: the message's bytes
 *   U2 fence before the bytes    release             pairs with U3: a reader of one of them for an
 *                                                    older lap finds another word at U7
 *   U3 fence behind the bytes    acquire             pairs with U2
 *   U4 commit and void CAS       seq_cst / relaxed   pairs with U1, C5 (reconcile.c): `evicting` is
 *                                                    seen; store -> load with B1 (bell.h)
 *   U9 a sole publisher's commit release             as U4: nobody else changes the word
 *   U10 fence behind it          seq_cst             store -> load with B1
 *   U5 hint load / store         acquire / release   pairs with itself: cells up to it are seen
 *   U6 a message's bytes         relaxed             between U2 and U3: a seqlock
 *   U7 word, second look         relaxed             behind U3
 *   U8 privileged load / store   acquire / release   pairs with itself: the holder before is through
 *
 * None of U1 to U5, U9 and U10 can be weaker (`explore orders` has the trace: U1, U2, U3 in
 * scenario sh_inline, U2 of slots in sh_reuse, U4 in sh_sleep, U5 in sh_slots, U9 in sh_inline_2,
 * U10 in sh_sole_sleep). U6 and U7 are relaxed. A sole publisher needs U2 between the messages of a
 * batch, which have no U10 between them. U8 isn't shown to be needed: the explorer knows no
 * modification order but that of execution. By U8 a new holder's bytes (U6) come behind those that the
 * dead one wrote to the same buffer.
 *
 * Source of the two fences: Boehm, Can seqlocks get along with programming language memory models?,
 * MSPC 2012.
 *
 * Crash points: before U4 the message isn't in, and what was written into a buffer is nobody's;
 * after it it is. A slot that a dead publisher made a cell forget carries a stale RING.
 *
 * Nothing here trusts the memory: with a corrupt ring that stands still every loop ends, in
 * -ESTALE.
 *
 * The file is long because all that the two ends of a shared ring do to it is inline here, beside
 * its orders.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "common/memory/cell.h"
#include "common/memory/region.h"
#include "common/ring/endpoint.h"
#include "common/ring/slot.h"
#include "common/shared/reader.h"

/* The bit of a slot's word that says: some cell may name it. */
#define KM_SLOT_RING      UINT64_C(1)

#define KM_SHARED_ID_BITS 16

struct km_shared_message {
	const void *data; /* of a slot: the place where the bytes lie already */
	uint64_t len;
	uint64_t sequence;
	uint32_t publisher_id;
};

/* All that a reader learns besides the bytes. */
struct km_shared_seen {
	uint64_t len;
	uint64_t sequence;
	uint32_t publisher_id;
	/* With -EOVERFLOW: a position that was committed to the same cell since. */
	uint64_t newest;
};

static inline bool km_shared_is_slot(uint32_t ref)
{
	return ref != KM_SHARED_INLINE && ref != KM_SHARED_VOID;
}

/* The place in `cell` of the bytes of a message of `len` bytes in lap `lap`. `timed`: the topic has
 * timestamps. */
static km_always_inline _Atomic uint64_t *km_shared_buffer(const struct km_region *region,
	struct km_shared_cell *cell, uint64_t lap, uint64_t len, bool timed)
{
	if (!timed && len <= sizeof(uint64_t))
		return &cell->small[lap & 1];
	return (_Atomic uint64_t *)((unsigned char *)(cell + 1) + (lap & 1) * region->buffer_step);
}

/* A publisher asks for the lines of a cell so many cells ahead: it has them by the time it comes
 * there. */
#define KM_SHARED_CELLS_AHEAD 8

/* Lines that are asked for before the first of them is needed. */
#define KM_SHARED_AHEAD (16 * KM_CACHE_LINE)

static inline uint64_t km_shared_load_word(const void *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof word);
	return word;
}

static inline void km_shared_store_word(void *to, uint64_t word)
{
	memcpy(to, &word, sizeof word);
}

/* Up to 7 bytes as the low ones of a word, without a loop: pieces that overlap. */
static km_always_inline uint64_t km_shared_gather(const unsigned char *bytes, uint64_t size)
{
	uint32_t first, last;

	if (size >= sizeof first) {
		memcpy(&first, bytes, sizeof first);
		memcpy(&last, bytes + size - sizeof last, sizeof last);
		return first | (uint64_t)last << 8 * (size - sizeof last);
	}
	if (size == 0)
		return 0;
	return bytes[0] | (uint64_t)bytes[size / 2] << 8 * (size / 2) |
	       (uint64_t)bytes[size - 1] << 8 * (size - 1);
}

static km_always_inline void km_shared_scatter(unsigned char *bytes, uint64_t word, uint64_t size)
{
	if (size >= sizeof(uint32_t)) {
		const uint32_t first = (uint32_t)word;
		const uint32_t last = (uint32_t)(word >> 8 * (size - sizeof last));

		memcpy(bytes, &first, sizeof first);
		memcpy(bytes + size - sizeof last, &last, sizeof last);
	} else if (size > 0) {
		bytes[0] = (unsigned char)word;
		bytes[size / 2] = (unsigned char)(word >> 8 * (size / 2));
		bytes[size - 1] = (unsigned char)(word >> 8 * (size - 1));
	}
}

/* Writes whole words; the bytes behind `size` in the last word are undefined. */
static inline void km_shared_write(_Atomic uint64_t *to, const void *from, uint64_t size)
{
	const unsigned char *bytes = from;

	for (uint64_t i = KM_CACHE_LINE; i < size && i < KM_SHARED_AHEAD; i += KM_CACHE_LINE)
		km_prefetch_own((const unsigned char *)to + i);
#ifdef KM_MOVES_LINES
	for (; size > KM_CACHE_LINE; size -= KM_CACHE_LINE) {
		if (size > KM_SHARED_AHEAD)
			km_prefetch_own((const unsigned char *)to + KM_SHARED_AHEAD);
		km_move_line(to, bytes);
		to += 8;
		bytes += KM_CACHE_LINE;
	}
	if (size > sizeof(uint64_t)) {
		km_move_short(to, bytes, size);
		return;
	}
#endif
	for (; size >= 8; size -= 8, bytes += 8)
		km_store(U6, relaxed, to++, km_shared_load_word(bytes));
	if (size > 0)
		km_store(U6, relaxed, to, km_shared_gather(bytes, size));
}

/* The usual case of km_shared_write(): up to a line's bytes. `to` is as km_shared_buffer() says. */
static km_always_inline void km_shared_write_short(
	_Atomic uint64_t *to, const void *from, uint64_t size)
{
	if (size == sizeof(uint64_t))
		km_store(U6, relaxed, to, km_shared_load_word(from));
#ifdef KM_MOVES_LINES
	else if (size > sizeof(uint64_t))
		km_move_short(to, from, size);
	else
		km_store(U6, relaxed, to, km_shared_gather(from, size));
#else
	else
		km_shared_write(to, from, size);
#endif
}

/* The addresses of the words don't depend on `size`, whose line may also be on its way from a
 * publisher. So the processor asks for both lines at once. */
static inline void km_shared_copy(void *to, const _Atomic uint64_t *from, uint64_t size)
{
	unsigned char *bytes = to;
	uint64_t i = 0;

	for (uint64_t ahead = KM_CACHE_LINE; ahead < size && ahead < KM_SHARED_AHEAD;
		ahead += KM_CACHE_LINE)
		km_prefetch_read((const unsigned char *)from + ahead);
#ifdef KM_MOVES_LINES
	for (; i + KM_CACHE_LINE <= size; i += KM_CACHE_LINE) {
		if (size - i > KM_SHARED_AHEAD)
			km_prefetch_read((const unsigned char *)from + i + KM_SHARED_AHEAD);
		km_move_line(bytes + i, from + i / 8);
	}
#endif
	for (; i + 8 <= size; i += 8)
		km_shared_store_word(bytes + i, km_load(U6, relaxed, from + i / 8));
	if (i < size)
		km_shared_scatter(bytes + i, km_load(U6, relaxed, from + i / 8), size - i);
}

/* The usual case of km_shared_copy(): up to a line's bytes. Here as well no address waits for `size`
 * where it is foreseen. */
static km_always_inline void km_shared_copy_short(
	void *to, const _Atomic uint64_t *from, uint64_t size)
{
	if (size == sizeof(uint64_t))
		km_shared_store_word(to, km_load(U6, relaxed, from));
#ifdef KM_MOVES_LINES
	else if (size > sizeof(uint64_t))
		km_move_short(to, from, size);
	else
		km_shared_scatter(to, km_load(U6, relaxed, from), size);
#else
	else
		km_shared_copy(to, from, size);
#endif
}

static inline void km_shared_write_head(
	struct km_shared_head *head, const struct km_shared_message *message)
{
	km_store(U6, relaxed, &head->sequence, message->sequence);
	km_store(U6, relaxed, &head->about,
		message->len << KM_SHARED_ID_BITS | message->publisher_id);
}

/* Reads a slot's description of its message; the bytes begin at km_region_payload(). */
static inline struct km_shared_head *km_shared_slot_head(
	const struct km_region *region, uint32_t slot)
{
	return (struct km_shared_head *)km_region_sample(region, slot);
}

/* The word of a slot that has the publish time of its message. */
static inline _Atomic uint64_t *km_shared_slot_time(const struct km_region *region, uint32_t slot)
{
	return &((struct km_shared_slot *)km_region_sample(region, slot))->publish_ns;
}

/* To be called between a slot's claim and the first byte written into it. */
static inline void km_shared_begin_slot(void)
{
	km_fence(U2, release);
}

/* The slot that `word` makes its cell name and that is to be forgotten, as the caller's hazard; or
 * KM_HAZARD_NONE. Errors: -ESTALE. */
static inline int km_shared_shield_old(
	const struct km_region *region, struct km_endpoint *endpoint, uint64_t word, uint32_t *ret)
{
	uint32_t old = km_cell_slot(word);

	*ret = KM_HAZARD_NONE;
	if (!km_shared_is_slot(old))
		return 0;
	if (old >= region->geometry.pool_size)
		return -ESTALE;
	km_hazard_set(&endpoint->evicting, old);
	*ret = old;
	return 0;
}

static inline void km_shared_drop_old(
	const struct km_region *region, struct km_endpoint *endpoint, uint32_t old)
{
	if (old == KM_HAZARD_NONE)
		return;
	km_slot_drop(&region->slots[old], KM_SLOT_RING);
	km_hazard_clear(&endpoint->evicting);
}

/*
 * Writes the message into the cell, if it isn't in a slot, and commits it: `fresh`, of `lap` and
 * `ref`, in place of `word`. False: somebody else was faster. `is_short`: of up to a line, and in
 * the cell.
 */
static km_always_inline bool km_shared_put(const struct km_region *region,
	struct km_shared_cell *cell, uint64_t word, uint64_t fresh, uint64_t lap, uint32_t ref,
	const struct km_shared_message *message, const uint64_t *publish_ns, bool is_short,
	bool fenced)
{
	const bool timed = publish_ns != NULL;

	if (ref == KM_SHARED_INLINE) {
		km_fence(U2, release);
		km_shared_write_head(&cell->heads[lap & 1], message);
		if (timed)
			km_store(U6, relaxed, &cell->small[lap & 1], *publish_ns);
		if (!is_short)
			km_shared_write(km_shared_buffer(region, cell, lap, message->len, timed),
				message->data, message->len);
		else if (__builtin_expect(message->len > sizeof(uint64_t), 1))
			km_shared_write_short(
				km_shared_buffer(region, cell, lap, message->len, timed),
				message->data, message->len);
		else
			km_shared_write_short(km_shared_buffer(region, cell, lap, 0, timed),
				message->data, message->len);
	}
	if (__builtin_expect(!region->sole, 0))
		return km_cas(U4, seq_cst, relaxed, &cell->word, &word, fresh);
	/* Without a CAS bytes and word leave at once, as they lie in the store buffer. */
	km_store(U9, release, &cell->word, fresh);
	if (fenced)
		km_fence(U10, seq_cst);
	return true;
}

/* To be called behind the last of many messages, before the bell is listened to. A CAS is a fence
 * already. */
static km_always_inline void km_shared_fence(const struct km_region *region)
{
	if (__builtin_expect(region->sole, 1))
		km_fence(U10, seq_cst);
}

/* Asks for the lines that a message of `len`, up to a line, will be written to that comes some
 * messages behind `next`. To be called by the privileged publisher before km_shared_append(). */
static km_always_inline void km_shared_prefetch(
	const struct km_region *region, uint64_t next, uint64_t len, bool timed)
{
	const uint64_t position = next + KM_SHARED_CELLS_AHEAD;
	struct km_shared_cell *cell = km_region_cell(region, position);

	km_prefetch_own(cell);
	if (timed || len > sizeof(uint64_t))
		km_prefetch_own(
			km_shared_buffer(region, cell, position >> region->cell_shift, len, timed));
}

/*
 * The usual case, whose twin is km_shared_commit(), for messages of up to region->short_size: the frontier is at
 * *next, and there is no slot in its cell to be forgotten. True: the message is in, and has the
 * sequence *last + 1. Few stores, few registers: while a cell's line is on its way from a reader,
 * the store buffer holds what comes after. So *id and *last are loaded late. `fenced`: false where the
 * caller does km_shared_fence() behind the last of many.
 */
static km_always_inline bool km_shared_append(const struct km_region *region, const void *data,
	uint64_t len, const uint32_t *id, const uint64_t *publish_ns, uint64_t *last,
	uint64_t *next, bool fenced)
{
	const uint64_t p = *next, lap = p >> region->cell_shift;
	struct km_shared_cell *cell = km_region_cell(region, p);
	const uint64_t fresh = km_cell_word(lap, KM_SHARED_INLINE);

	if (km_load(U1, acquire, &cell->word) != fresh - KM_CELL_LAP)
		return false;
	struct km_shared_message message = {
		.data = data,
		.len = len,
		.sequence = *last + 1,
		.publisher_id = *id,
	};
	if (!km_shared_put(region, cell, fresh - KM_CELL_LAP, fresh, lap, KM_SHARED_INLINE,
		    &message, publish_ns, true, fenced))
		return false;
	++*last;
	*next = p + 1;
	km_store(U5, release, &region->shared->hint, p + 1);
	return true;
}

/*
 * The twin of km_shared_append(), for all cases.
 * Appends a message: of `ref` INLINE (the caller is the privileged publisher) from message->data,
 * of a slot, whose word carries RING and which `delivering` names, as it lies there, with its time. *next is
 * private to the caller: behind what it committed last. So is *floor (reader.h); null, a constant, in a
 * topic without reliable subscribers. Returns 0. Errors: -ENOBUFS a reader still needs what lies at the
 * frontier; -ESTALE the ring makes no sense. With an error `evicting` may name a slot.
 */
static km_always_inline int km_shared_commit(const struct km_region *region,
	struct km_endpoint *endpoint, uint32_t ref, const struct km_shared_message *message,
	const uint64_t *publish_ns, uint64_t *next, uint64_t *floor)
{
	const uint32_t shift = region->cell_shift;
	uint64_t p = km_load(U5, acquire, &region->shared->hint);
	bool shielded = false;

	if ((int64_t)(p - *next) < 0)
		p = *next;
	for (const uint64_t start = p;;) {
		struct km_shared_cell *cell = km_region_cell(region, p);
		uint64_t word = km_load(U1, acquire, &cell->word);
		int64_t ahead = km_cell_laps_ahead(word, p, shift);
		uint32_t old;

		if (ahead >= 0) { /* p or its next lap was committed: go behind it */
			p += ((uint64_t)ahead << shift) + 1;
			if (km_cell_is_astray(start, p, shift))
				return -ESTALE;
			continue;
		}
		if (floor && ahead == -1 && !km_reader_has_room(region, p, floor))
			return -ENOBUFS;
		if (ahead != -1 || km_shared_shield_old(region, endpoint, word, &old) < 0)
			return -ESTALE;
		shielded |= old != KM_HAZARD_NONE;
		if (!km_shared_put(region, cell, word, km_cell_word(p >> shift, ref), p >> shift,
			    ref, message, publish_ns, false, true))
			continue;
		km_store(U5, release, &region->shared->hint, p + 1);
		*next = p + 1;
		km_shared_drop_old(region, endpoint, old);
		if (shielded && old == KM_HAZARD_NONE) /* somebody else was faster at one before */
			km_hazard_clear(&endpoint->evicting);
		return 0;
	}
}

/* Cells that a search for the frontier looks at one after the other before it goes by halves. The
 * explorer's rings have no more than two: there it begins with the halves after one look. */
#ifdef KM_EXPLORE
#define KM_SHARED_STEPS 1
#else
#define KM_SHARED_STEPS 8
#endif

/*
 * Finds the frontier by halves, whatever the hint says. The first cell's lap is that of the
 * frontier, or the frontier is at that cell. Positions are committed in order, so with p - 1 seen
 * committed and p seen not committed the frontier was at p at some moment between these two looks.
 */
static inline int km_shared_search(
	const struct km_region *region, uint64_t from, uint64_t *ret_position)
{
	const uint64_t base = from & ~(uint64_t)region->cell_mask;
	uint64_t word = km_load(U1, acquire, &km_region_cell(region, base)->word);
	int64_t ahead = km_cell_laps_ahead(word, base, region->cell_shift);
	uint64_t low = base + ((uint64_t)ahead << region->cell_shift) + 1;
	uint64_t high = low + region->cell_mask;

	if (ahead < -1 || (int64_t)(high - from) < 0)
		return -ESTALE;
	if ((int64_t)(low - from) < 0)
		low = from;
	while (low != high) {
		uint64_t middle = low + (high - low) / 2;

		word = km_load(U1, acquire, &km_region_cell(region, middle)->word);
		ahead = km_cell_laps_ahead(word, middle, region->cell_shift);
		if (ahead < -1)
			return -ESTALE;
		if (ahead == -1)
			high = middle;
		else
			low = middle + 1;
	}
	*ret_position = low;
	return 0;
}

/* The first position from `from` on, which is not beyond it, that carries no message. Looks at no
 * more than KM_SHARED_STEPS + log2(capacity) + 1 cells. Errors: -ESTALE. */
static inline int km_shared_frontier(
	const struct km_region *region, uint64_t from, uint64_t *ret_position)
{
	uint64_t p = km_load(U5, acquire, &region->shared->hint);

	if ((int64_t)(p - from) < 0)
		p = from;
	for (int step = 0; step < KM_SHARED_STEPS; step++) {
		uint64_t word = km_load(U1, acquire, &km_region_cell(region, p)->word);
		int64_t ahead = km_cell_laps_ahead(word, p, region->cell_shift);

		if (ahead < -1)
			return -ESTALE;
		if (ahead == -1) {
			*ret_position = p;
			return 0;
		}
		p += ((uint64_t)ahead << region->cell_shift) + 1;
	}
	return km_shared_search(region, from, ret_position);
}

/*
 * For a publisher that has found no slot free. It takes messages that lie in slots out of the ring,
 * the oldest first, until it has claimed one of their slots. Another publisher may be faster at a
 * slot, so the search goes once through the ring. In a topic with reliable subscribers it ends where
 * one of them still needs a message. Returns 0. Errors: -EAGAIN no message in the ring lies in a slot
 * (any more), or may be taken out; -ESTALE.
 */
static inline int km_shared_claim_oldest(const struct km_region *region,
	struct km_endpoint *endpoint, uint32_t publisher_id, uint64_t next, uint32_t *ret_slot)
{
	const uint64_t capacity = (uint64_t)region->cell_mask + 1;
	uint64_t frontier = next;
	int r = km_shared_frontier(region, next, &frontier);
	uint64_t end = frontier, p = frontier - capacity;
	const bool is_reliable = region->geometry.max_reliable > 0;

	if (r == 0 && is_reliable)
		end = km_reader_floor(region, frontier);
	for (; r == 0 && (int64_t)(end - p) > 0; p++) {
		struct km_shared_cell *cell = km_region_cell(region, p);
		uint64_t word = km_load(U1, acquire, &cell->word);
		uint32_t old;

		/* a message that came to this cell meanwhile lies behind `end`: a reader may need it */
		if (is_reliable && km_cell_laps_ahead(word, p, region->cell_shift) != 0)
			continue;
		r = km_shared_shield_old(region, endpoint, word, &old);
		if (r < 0 || old == KM_HAZARD_NONE)
			continue;
		if (!km_cas(U4, seq_cst, relaxed, &cell->word, &word,
			    (word & ~KM_CELL_SLOT_MASK) | KM_SHARED_VOID)) {
			km_hazard_clear(&endpoint->evicting);
			continue;
		}
		km_shared_drop_old(region, endpoint, old);
		if (km_slot_claim(&region->slots[old], publisher_id)) {
			*ret_slot = old;
			return 0;
		}
	}
	return r < 0 ? r : -EAGAIN;
}

/* Says what became of a message whose word was [lap | ref] and now is `word`. */
static inline int km_shared_overtaken(const struct km_region *region, uint64_t word,
	uint64_t position, struct km_shared_seen *ret)
{
	int64_t ahead = km_cell_laps_ahead(word, position, region->cell_shift);

	if (ahead < 0)
		return -ESTALE;
	if (ahead == 0) /* the same lap: its slot was taken away */
		return -ENODATA;
	ret->newest = position + ((uint64_t)ahead << region->cell_shift);
	return -EOVERFLOW;
}

/*
 * The usual case of km_shared_read(): the message at `position` is in its cell's buffer, is no
 * longer than a line, and fits. True: buf has it. False: km_shared_read() says why; buf's content
 * is undefined then. *ret_sequence may be null.
 */
static km_always_inline bool km_shared_read_short(const struct km_region *region, uint64_t position,
	void *buf, uint64_t size, uint64_t *ret_len, uint32_t *ret_id, uint64_t *ret_sequence,
	uint64_t *ret_publish_ns)
{
	const bool timed = ret_publish_ns != NULL;
	const uint64_t lap = position >> region->cell_shift;
	struct km_shared_cell *cell = km_region_cell(region, position);
	const struct km_shared_head *head = &cell->heads[lap & 1];
	const uint64_t word = km_cell_word(lap, KM_SHARED_INLINE);

	if (km_load(U1, acquire, &cell->word) != word)
		return false;
	uint64_t about = km_load(U6, relaxed, &head->about), len = about >> KM_SHARED_ID_BITS;
	if (len > region->short_size || len > size)
		return false;
	*ret_len = len;
	*ret_id = (uint32_t)(about & ((1u << KM_SHARED_ID_BITS) - 1));
	if (ret_sequence)
		*ret_sequence = km_load(U6, relaxed, &head->sequence);
	if (timed)
		*ret_publish_ns = km_load(U6, relaxed, &cell->small[lap & 1]);
	if (len > sizeof(uint64_t))
		km_shared_copy_short(buf, km_shared_buffer(region, cell, lap, len, timed), len);
	else
		km_shared_copy_short(buf, km_shared_buffer(region, cell, lap, 0, timed), len);
	km_fence(U3, acquire);
	return km_load(U7, relaxed, &cell->word) == word;
}

/*
 * Copies the message at `position` to buf. Returns 0: buf has the whole message. Otherwise buf's
 * content is undefined. Errors: -EAGAIN it isn't there yet; -EOVERFLOW it was overwritten,
 * ret->newest; -ENODATA it was voided; -EMSGSIZE it is longer than `size` (`ret` is filled in);
 * -ESTALE.
 */
static km_always_inline int km_shared_read(const struct km_region *region, uint64_t position,
	void *buf, uint64_t size, struct km_shared_seen *ret, uint64_t *ret_publish_ns)
{
	const bool timed = ret_publish_ns != NULL;
	const uint64_t lap = position >> region->cell_shift;
	struct km_shared_cell *cell = km_region_cell(region, position);
	uint64_t word = km_load(U1, acquire, &cell->word);
	int64_t ahead = km_cell_laps_ahead(word, position, region->cell_shift);
	uint32_t ref = km_cell_slot(word);
	const struct km_shared_head *head;
	int r = 0;

	if (ahead == -1) {
		/* A subscriber that polls has the bytes' line on its way together with the word's. */
		if (region->buffer_step)
			km_prefetch_read(km_shared_buffer(region, cell, lap, UINT64_MAX, timed));
		return -EAGAIN;
	}
	if (ahead != 0 || ref == KM_SHARED_VOID)
		return km_shared_overtaken(region, word, position, ret);
	if (ref != KM_SHARED_INLINE && ref >= region->geometry.pool_size)
		return -ESTALE;
	head = ref == KM_SHARED_INLINE ? &cell->heads[lap & 1] : km_shared_slot_head(region, ref);
	ret->sequence = km_load(U6, relaxed, &head->sequence);
	uint64_t about = km_load(U6, relaxed, &head->about);
	ret->len = about >> KM_SHARED_ID_BITS;
	ret->publisher_id = (uint32_t)(about & ((1u << KM_SHARED_ID_BITS) - 1));
	if (timed)
		*ret_publish_ns = km_load(U6, relaxed,
			ref == KM_SHARED_INLINE ? &cell->small[lap & 1]
						: km_shared_slot_time(region, ref));
	if (ret->len > region->geometry.max_payload_size)
		r = -ESTALE; /* or the copy is torn */
	else if (ret->len > size)
		r = -EMSGSIZE;
	else
		km_shared_copy(buf,
			ref == KM_SHARED_INLINE
				? km_shared_buffer(region, cell, lap, ret->len, timed)
				: (const _Atomic uint64_t *)km_region_payload(region, ref),
			ret->len);
	km_fence(U3, acquire);
	uint64_t again = km_load(U7, relaxed, &cell->word);
	return again == word ? r : km_shared_overtaken(region, again, position, ret);
}
