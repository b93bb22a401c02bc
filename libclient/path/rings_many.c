/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing many messages at a time with private rings: see rings_send.h. The steps of each
 * message are those of rings_send.c, in the same order. A batch has but once:
 *
 *    targets = live       before the first message      region.h L1
 *    messages and bytes   behind the last one           endpoint.h H2
 *    wake sleepers        behind the last one           waiter.h W1
 *    delivering = none    behind that                   endpoint.h H1
 *
 * Between two messages `delivering` goes from one slot to the next: the first has its places in the
 * rings then. So a publisher that is stopped or dies in a batch leaves no more than in a single
 * message. That is at most one slot whose bits aren't all in rings, named by its hazard, and
 * sleepers that weren't woken for what they have. The reconciler wakes those.
 *
 * A batch ends where somebody has come or gone. So a ring that is closed during a batch may get one
 * message more, and is drained as one that had a publisher with old targets. A ring that is opened
 * gets none: the publisher counts them when it meets the ring (lost.h). As with a single message, a
 * ring that was a target under its former owner may get one.
 */
#include <errno.h>
#include <string.h>

#include "common/memory/copy.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/rings_send.h"

/* Claims ahead of which the lines of a slot are asked for. */
#define AHEAD 8

struct batch {
	struct kickmsg_publisher *publisher;
	uint64_t targets;
	struct km_ring *only; /* the ring of all messages; null: there are several */
	uint64_t bytes;       /* of payloads that were put into the rings */
};

/* Begins a batch. False: somebody has come, gone or left since the last message, or nobody is
 * there. */
static km_always_inline bool begin(struct kickmsg_publisher *publisher, struct batch *ret)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t live = km_load(L4, relaxed, &here->region.header->live);

	ret->publisher = publisher;
	ret->targets = live & km_load(P1, relaxed, &here->rings);
	ret->only = ret->targets == here->only ? here->only_ring : NULL;
	ret->bytes = 0;
	return live == here->live && ret->targets != 0;
}

/* Has nobody come or gone since begin()? */
static km_always_inline bool goes_on(const struct batch *batch)
{
	const struct km_place *here = &batch->publisher->handle.place;

	return km_load(L4, relaxed, &here->region.header->live) == here->live;
}

/* Commits to the rings. Returns the bits of those that made no sense. */
static km_always_inline uint64_t commit(const struct batch *batch, uint32_t slot)
{
	struct km_place *here = &batch->publisher->handle.place;
	const struct km_region *region = &here->region;
	uint64_t left = batch->targets;

	if (__builtin_expect(batch->only != NULL, 1)) {
		if (km_ring_append(region, batch->only, slot, here->only_cursor))
			return 0;
		return km_rings_deliver_rest(here, slot, left, 0);
	}
	for (; left; left &= left - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(left);

		if (!km_ring_append(region, km_region_ring(region, i), slot, &here->cursors[i]))
			return km_rings_deliver_rest(here, slot, left, 0);
	}
	return 0;
}

/* Puts one message into the rings. False: a ring made no sense; the others have the message. */
static km_always_inline bool put(struct batch *batch, uint32_t slot, size_t len)
{
	struct km_place *here = &batch->publisher->handle.place;

	km_rings_number(batch->publisher, km_region_sample(&here->region, slot), len);
	km_hazard_set(&here->record->delivering, slot);
	km_slot_send(&here->region.slots[slot], batch->targets);
	batch->bytes += len;
	return commit(batch, slot) == 0;
}

/* Ends a batch, behind the last message: `done` are good. `stale`: one more isn't, and some rings
 * have it. */
static km_always_inline int end(const struct batch *batch, uint32_t done, bool stale)
{
	const struct km_place *here = &batch->publisher->handle.place;

	if (done > 0 || stale) {
		batch->publisher->targets = batch->targets;
		km_endpoint_count_sent(here->record, done + stale, batch->bytes);
		for (uint64_t left = batch->targets; left; left &= left - 1)
			km_waiter_notify(
				km_region_ring(&here->region, (uint32_t)__builtin_ctzll(left)));
	}
	km_hazard_clear(&here->record->delivering);
	return (int)done;
}

static km_always_inline void copy(struct km_sample_header *sample, const struct iovec *message)
{
	km_plain_write(sample + 1, message->iov_len);
	if (message->iov_len <= KM_CACHE_LINE)
		km_copy_short(sample + 1, message->iov_base, message->iov_len);
	else
		memcpy(sample + 1, message->iov_base, message->iov_len);
}

/* The twin of km_slot_cache_claim_kept(). Returns a slot, or KM_HAZARD_NONE. */
static km_noinline uint32_t claim_any(struct km_place *place)
{
	uint32_t slot;
	int r = km_slot_cache_claim(
		&place->cache, &place->region, place->id, KM_SLOT_CACHE_FEW, &slot);

	return r == 0 ? slot : KM_HAZARD_NONE;
}

/* Claims slots in the usual case, and fills them: no further slots than loans could be out. */
static uint32_t fill(
	struct km_place *place, const struct iovec *messages, uint32_t count, uint32_t *ret_slots)
{
	const struct km_region *region = &place->region;
	const uint32_t room = region->geometry.max_loans - place->loan_count + 1;
	uint32_t filled = 0;

	count = count < room ? count : room;
	km_slot_cache_keep_many(&place->cache, count);
	for (uint32_t ahead = 0; ahead < AHEAD && ahead < count; ahead++)
		km_slot_cache_ask_ahead(&place->cache, region, ahead);
	for (; filled < count; filled++) {
		uint32_t slot;

		if (messages[filled].iov_len > region->geometry.max_payload_size)
			break;
		if (!km_slot_cache_claim_kept(&place->cache, region, place->id, &slot) &&
			(slot = claim_any(place)) == KM_HAZARD_NONE)
			break;
		ret_slots[filled] = slot;
		km_slot_cache_ask_ahead(&place->cache, region, AHEAD);
		km_rings_begin_slot(place, slot);
		copy(km_region_sample(region, slot), &messages[filled]);
	}
	return filled;
}

int km_rings_send_many(struct kickmsg_publisher *publisher, const struct iovec *messages,
	uint32_t count, bool *ret_stale)
{
	struct km_place *here = &publisher->handle.place;
	uint32_t slots[KM_MANY], filled, done = 0;
	struct batch batch;
	bool good = true;

	if (!begin(publisher, &batch))
		return 0;
	filled = fill(here, messages, count < KM_MANY ? count : KM_MANY, slots);
	for (; done < filled && goes_on(&batch); done++)
		if (__builtin_expect(!put(&batch, slots[done], messages[done].iov_len), 0)) {
			good = false;
			break;
		}
	for (uint32_t i = done + !good; i < filled; i++)
		km_slot_drop(&here->region.slots[slots[i]], KM_SLOT_ID_MASK);
	*ret_stale = !good;
	return end(&batch, done, !good);
}

/* Finds a loan of the present place. A batch begins to look at index *next. */
static struct km_loan *find(struct km_place *place, const void *payload, uint32_t *next)
{
	struct km_loan *loan = &place->loans[*next];
	struct km_place *of = place;

	if (*next >= place->region.geometry.max_loans || loan->payload != payload || !payload)
		loan = km_loan_find(place, payload, &of);
	if (!loan || of != place)
		return NULL;
	*next = (uint32_t)(loan - place->loans) + 1;
	return loan;
}

int km_rings_publish_many(struct kickmsg_publisher *publisher, const struct iovec *loans,
	uint32_t count, bool *ret_stale)
{
	struct km_place *here = &publisher->handle.place;
	uint32_t done = 0, next = 0;
	struct batch batch;
	bool good = true;

	if (here->past || !begin(publisher, &batch))
		return 0;
	count = count < KM_MANY ? count : KM_MANY;
	for (; good && done < count && (done == 0 || goes_on(&batch)); done += good) {
		struct km_loan *loan = find(here, loans[done].iov_base, &next);

		if (!loan || loans[done].iov_len > loan->len)
			break;
		km_place_end_loan(here, loan);
		good = put(&batch, loan->slot, loans[done].iov_len);
	}
	*ret_stale = !good;
	return end(&batch, done, !good);
}
