/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings: every state that two participants can leave each other, written directly.
 *
 * The file is long because it is a list: one short case for each state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ring/spot.h"
#include "tests/support/broker/fixture.h"

#define RING     2u
#define CAPACITY 4u
#define POOL     16u
#define WRAP     (UINT64_C(1) << 40) /* laps */

static struct fixture_region f;
static struct km_endpoint *me;
static struct km_ring_cursor cursor;
static struct km_ring_result result;

static void setup(uint32_t capacity, uint32_t pool)
{
	struct km_geometry geometry = fixture_geometry(capacity, pool);

	fixture_region_init(&f, &geometry);
	me = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	cursor.head = 0;
	result = (struct km_ring_result){ 0 };
}

static void teardown(void)
{
	fixture_region_deinit(&f);
	free(me);
}

static int commit_only(uint32_t slot)
{
	km_hazard_set(&me->delivering, slot);
	f.region.slots[slot].word |= UINT64_C(1) << RING;
	return km_ring_commit(&f.region, RING, slot, me, &cursor, &result);
}

/* One message of `slot` to the ring, as send does it. */
static int commit(uint32_t slot)
{
	int r = commit_only(slot);

	km_ring_drop_evicted(&f.region, &result.drops);
	return r;
}

static int take(_Atomic uint32_t *held, uint64_t *position, uint32_t *slot)
{
	return km_ring_take(&f.region, km_region_ring(&f.region, RING), held, position, slot);
}

/* A spot that goes on is where one that begins there is, also over the end of the laps. */
START_TEST(spot_pass_goes_where_set_begins)
{
	setup(CAPACITY, POOL);
	struct km_ring *ring = km_region_ring(&f.region, RING);
	const uint64_t starts[] = { CAPACITY, CAPACITY + 3, WRAP * CAPACITY - 6 };

	for (size_t i = 0; i < 3; i++) {
		struct km_ring_spot spot, there;

		km_ring_spot_set(&spot, &f.region, ring, starts[i]);
		for (uint64_t p = starts[i]; p < starts[i] + 3 * CAPACITY; p++) {
			km_ring_spot_set(&there, &f.region, ring, p);
			ck_assert_ptr_eq(spot.cell, there.cell);
			ck_assert_uint_eq(spot.lap, there.lap);
			km_ring_spot_pass(&spot, &f.region);
		}
	}
	teardown();
}
END_TEST

/* The usual case takes a slot of this lap alone, of all that a cell may hold. */
START_TEST(spot_look_takes_only_slots_of_its_lap)
{
	setup(CAPACITY, POOL);
	struct km_ring *ring = km_region_ring(&f.region, RING);
	struct km_ring_message message;
	struct km_ring_spot spot;

	km_ring_spot_set(&spot, &f.region, ring, 2 * CAPACITY + 1);
	ring->cells[1] = km_cell_word(2, POOL - 1);
	ck_assert(km_ring_look_at_next(&f.region, &spot, &message));
	ck_assert_uint_eq(message.number, POOL - 1);
	ck_assert_ptr_eq(message.slot, &f.region.slots[POOL - 1]);
	ck_assert_ptr_eq(message.sample, km_region_sample(&f.region, POOL - 1));
	const uint64_t others[] = { km_cell_word(2, POOL), km_cell_word(2, KM_CELL_LATE),
		km_cell_word(1, 3), km_cell_word(3, 3), km_cell_word(0, 0), UINT64_MAX };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		ring->cells[1] = others[i];
		ck_assert(!km_ring_look_at_next(&f.region, &spot, &message));
	}
	teardown();
}
END_TEST

START_TEST(cell_laps_ahead_any_signed_modulo)
{
	static const struct {
		uint64_t cell_lap, position_lap;
		int64_t ahead;
	} table[] = {
		{ 0, 1, -1 },
		{ 1, 1, 0 },
		{ 7, 3, 4 },
		{ 3, 7, -4 },
		{ WRAP - 1, WRAP, -1 },
		{ 0, WRAP, 0 },
		{ 0, WRAP - 1, 1 },
		{ 5, 3 * WRAP + 5, 0 },
		{ WRAP / 2 - 1, 0, (int64_t)WRAP / 2 - 1 },
		{ WRAP / 2, 0, -(int64_t)WRAP / 2 },
	};

	for (uint32_t shift = 0; shift <= 16; shift += 4)
		for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
			ck_assert_int_eq(
				km_cell_laps_ahead(km_cell_word(table[i].cell_lap, 0xffffff),
					table[i].position_lap << shift, shift),
				table[i].ahead);
}
END_TEST

START_TEST(cell_word_largest_slot_keeps_both)
{
	uint64_t word = km_cell_word(WRAP - 1, KM_CELL_SLOT_MASK);

	ck_assert_uint_eq(word, UINT64_MAX);
	ck_assert_uint_eq(km_cell_slot(km_cell_word(9, KM_MAX_POOL - 1)), KM_MAX_POOL - 1);
}
END_TEST

/* Appends as kickmsg_send() does; `cursor.next` is where the test says. */
static bool append(uint32_t slot)
{
	return km_ring_append(&f.region, km_region_ring(&f.region, RING), slot, &cursor);
}

START_TEST(append_anything_unusual_leaves_all_to_commit)
{
	struct km_ring_cursor other = { .head = CAPACITY };
	struct km_ring *ring;

	setup(CAPACITY, POOL);
	ring = km_region_ring(&f.region, RING);
	cursor = (struct km_ring_cursor){ .head = CAPACITY }; /* as a new publisher's */
	ck_assert(!append(1));
	ck_assert_int_eq(commit(1), 0);
	ck_assert(append(2));
	ck_assert_uint_eq(cursor.next, CAPACITY + 2);
	ck_assert_uint_eq(ring->hint, CAPACITY + 2);
	ck_assert_uint_eq(ring->cells[1], km_cell_word(1, 2));
	/* another publisher has put a message in */
	ck_assert_int_eq(km_ring_commit(&f.region, RING, 3, me, &other, &result), 0);
	ck_assert(!append(4));
	ck_assert_uint_eq(ring->cells[2], km_cell_word(1, 3));
	/* the ring is full, as far as the cursor knows */
	ck_assert_int_eq(commit(4), 0);
	ck_assert(!append(5));
	ck_assert_uint_eq(ring->cells[0], km_cell_word(1, 1));
	ck_assert_uint_eq(cursor.next, 2 * CAPACITY);
	teardown();
}
END_TEST

START_TEST(commit_new_ring_first_position)
{
	setup(CAPACITY, POOL);
	ck_assert_int_eq(commit(5), 0);
	ck_assert_uint_eq(result.position, CAPACITY);
	ck_assert_uint_eq(result.evictions, 0);
	ck_assert_uint_eq(fixture_cell(&f, RING, CAPACITY), km_cell_word(1, 5));
	ck_assert_uint_eq(fixture_head(&f, RING), CAPACITY);
	ck_assert_uint_eq(km_region_ring(&f.region, RING)->hint, CAPACITY + 1);
	ck_assert_uint_eq(me->evicting, KM_HAZARD_NONE);
	teardown();
}
END_TEST

START_TEST(commit_full_ring_evicts_oldest_only)
{
	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 100, 104, 104);
	uint32_t oldest = fixture_slot_at(&f, 100);

	f.region.slots[oldest].word |= 1; /* another subscriber has it as well */
	ck_assert_int_eq(commit_only(15), 0);
	ck_assert_uint_eq(result.position, 104);
	ck_assert_uint_eq(result.evictions, 1);
	ck_assert_uint_eq(fixture_head(&f, RING), 101);
	/* the hazard stands for as long as the bit isn't dropped */
	ck_assert_uint_eq(result.drops.slot, oldest);
	ck_assert_uint_eq(result.drops.bits, 1u << RING);
	ck_assert_uint_eq(me->evicting, oldest);
	ck_assert_uint_eq(fixture_word(&f, oldest), 1u << RING | 1);
	km_ring_drop_evicted(&f.region, &result.drops);
	ck_assert_uint_eq(fixture_word(&f, oldest), 1);
	ck_assert_uint_eq(result.drops.bits, 0);
	ck_assert_uint_eq(me->evicting, oldest); /* until after the drop; the caller clears it */
	for (uint64_t p = 101; p < 104; p++)
		ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, p)), 1u << RING);
	ck_assert_uint_eq(fixture_word(&f, 15), 1u << RING);
	teardown();
}
END_TEST

START_TEST(commit_one_short_of_full_evicts_nothing)
{
	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 101, 104, 104);
	ck_assert_int_eq(commit(15), 0);
	ck_assert_uint_eq(result.position, 104);
	ck_assert_uint_eq(result.evictions, 0);
	ck_assert_uint_eq(fixture_head(&f, RING), 101);
	teardown();
}
END_TEST

/* The cached head says that the ring is full; the subscriber has taken some since. */
START_TEST(commit_stale_cached_head_evicts_nothing)
{
	for (uint64_t taken = 1; taken <= CAPACITY; taken++) {
		setup(CAPACITY, POOL);
		fixture_ring_write(&f, RING, 100 + taken, 104, 104);
		cursor.head = 100;
		ck_assert_int_eq(commit(15), 0);
		ck_assert_uint_eq(result.position, 104);
		ck_assert_uint_eq(result.evictions, 0);
		ck_assert_uint_eq(fixture_head(&f, RING), 100 + taken);
		ck_assert_uint_eq(me->evicting, KM_HAZARD_NONE);
		teardown();
	}
}
END_TEST

/* Any hint from the frontier back to nothing, with any cached head up to the real one. */
START_TEST(commit_any_stale_hint_finds_frontier)
{
	for (uint64_t hint = 0; hint <= 104; hint++)
		for (uint64_t cached = 0; cached <= 102; cached += 17) {
			setup(CAPACITY, POOL);
			fixture_ring_write(&f, RING, 102, 104, hint);
			cursor.head = cached;
			ck_assert_int_eq(commit(15), 0);
			ck_assert_uint_eq(result.position, 104);
			ck_assert_uint_eq(fixture_cell(&f, RING, 104), km_cell_word(26, 15));
			ck_assert_uint_eq(fixture_head(&f, RING), 102);
			teardown();
		}
}
END_TEST

/* A publisher stopped between its commit and the store of the hint. */
START_TEST(commit_behind_frozen_publisher_takes_next)
{
	setup(CAPACITY, POOL);
	ck_assert_int_eq(commit(3), 0);
	km_region_ring(&f.region, RING)->hint = CAPACITY;
	ck_assert_int_eq(commit(4), 0);
	ck_assert_uint_eq(result.position, CAPACITY + 1);
	ck_assert_uint_eq(fixture_cell(&f, RING, CAPACITY), km_cell_word(1, 3));
	teardown();
}
END_TEST

/* A publisher stopped between its eviction and its commit: room is there, nobody waits. */
START_TEST(commit_behind_frozen_evictor_uses_its_room)
{
	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 101, 104, 104);
	uint32_t half = fixture_slot_at(&f, 100);
	fixture_set_word(&f, half, 1u << RING); /* evicted, not dropped yet */
	ck_assert_int_eq(commit(15), 0);
	ck_assert_uint_eq(result.position, 104);
	ck_assert_uint_eq(result.evictions, 0);
	ck_assert_uint_eq(fixture_word(&f, half), 1u << RING);
	teardown();
}
END_TEST

START_TEST(evict_another_slot_drops_the_last_ones_bits_first)
{
	struct km_ring_drops drops = { 0 };

	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 100, 104, 104);
	uint32_t first = fixture_slot_at(&f, 100), second = fixture_slot_at(&f, 101);

	ck_assert(km_ring_evict(&f.region, RING, &me->evicting, 100, first, &drops));
	ck_assert_uint_eq(fixture_word(&f, first), 1u << RING);
	ck_assert(km_ring_evict(&f.region, RING, &me->evicting, 101, second, &drops));
	ck_assert_uint_eq(fixture_word(&f, first), 0);
	ck_assert_uint_eq(fixture_word(&f, second), 1u << RING);
	ck_assert_uint_eq(me->evicting, second);
	ck_assert_uint_eq(drops.slot, second);
	teardown();
}
END_TEST

START_TEST(evict_head_moved_by_taker_changes_nothing)
{
	struct km_ring_drops drops = { 0 };

	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 101, 104, 104);
	uint32_t old = fixture_slot_at(&f, 100);
	fixture_set_word(&f, old, 1u << RING); /* the taker holds it now */
	ck_assert(!km_ring_evict(&f.region, RING, &me->evicting, 100, old, &drops));
	ck_assert_uint_eq(drops.bits, 0);
	ck_assert_uint_eq(fixture_word(&f, old), 1u << RING);
	ck_assert_uint_eq(fixture_head(&f, RING), 101);
	ck_assert_uint_eq(me->evicting, old);
	teardown();
}
END_TEST

START_TEST(take_empty_ring_eagain)
{
	_Atomic uint32_t held = KM_HAZARD_NONE;
	uint64_t position = 7;
	uint32_t slot = 7;

	setup(CAPACITY, POOL);
	ck_assert_int_eq(take(&held, &position, &slot), -EAGAIN);
	fixture_ring_write(&f, RING, 104, 104, 104);
	ck_assert_int_eq(take(&held, &position, &slot), -EAGAIN);
	ck_assert_uint_eq(held, KM_HAZARD_NONE);
	ck_assert(position == 7 && slot == 7);
	teardown();
}
END_TEST

START_TEST(take_oldest_keeps_bit_and_hazard)
{
	_Atomic uint32_t held = KM_HAZARD_NONE;
	uint64_t position;
	uint32_t slot;

	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 102, 104, 104);
	ck_assert_int_eq(take(&held, &position, &slot), 0);
	ck_assert_uint_eq(position, 102);
	ck_assert_uint_eq(slot, fixture_slot_at(&f, 102));
	ck_assert_uint_eq(held, slot);
	ck_assert_uint_eq(fixture_word(&f, slot), 1u << RING);
	ck_assert_uint_eq(fixture_head(&f, RING), 103);
	teardown();
}
END_TEST

START_TEST(take_after_evictions_skips_to_oldest)
{
	_Atomic uint32_t held = KM_HAZARD_NONE;
	uint64_t position;
	uint32_t slot;

	setup(CAPACITY, POOL);
	for (uint32_t i = 0; i < CAPACITY + 3; i++)
		ck_assert_int_eq(commit(i), 0);
	ck_assert_uint_eq(result.evictions, 3);
	ck_assert_int_eq(take(&held, &position, &slot), 0);
	ck_assert_uint_eq(position, CAPACITY + 3);
	ck_assert_uint_eq(slot, 3);
	teardown();
}
END_TEST

START_TEST(drain_all_messages_drops_only_its_bits)
{
	setup(CAPACITY, POOL);
	fixture_ring_write(&f, RING, 100, 104, 104);
	fixture_set_word(&f, 15, 1u << RING); /* held by the subscriber: not the ring's */
	f.region.slots[fixture_slot_at(&f, 101)].word |= 2;
	ck_assert_int_eq(km_ring_drain(&f.region, RING, &me->evicting), CAPACITY);
	ck_assert_uint_eq(fixture_head(&f, RING), 104);
	ck_assert_uint_eq(me->evicting, KM_HAZARD_NONE);
	for (uint64_t p = 100; p < 104; p++)
		ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, p)), p == 101 ? 2 : 0);
	ck_assert_uint_eq(fixture_word(&f, 15), 1u << RING);
	ck_assert_int_eq(km_ring_drain(&f.region, RING, &me->evicting), 0);
	ck_assert_int_eq(commit(1), 0);
	ck_assert_uint_eq(result.position, 104);
	teardown();
}
END_TEST

/* From two laps before the 40-bit lap wraps to three after: full laps, evictions, takes, drains. */
START_TEST(ring_lap_wrap_goes_on)
{
	static const uint32_t capacities[] = { 1, 2, 4, 64 };

	for (size_t c = 0; c < 4; c++) {
		uint32_t capacity = capacities[c], pool = 2 * capacity + 4, slot;
		_Atomic uint32_t held = KM_HAZARD_NONE;
		uint64_t position;

		setup(capacity, pool);
		uint64_t next = (WRAP - 2) << f.region.cell_shift, head = next;
		fixture_ring_write(&f, RING, next, next, next);
		for (uint32_t i = 0; i < 5 * capacity + 1; i++, next++) {
			ck_assert_int_eq(commit(fixture_slot_at(&f, next)), 0);
			ck_assert_uint_eq(result.position, next);
			if (next - head == capacity)
				head++;
			ck_assert_uint_eq(fixture_head(&f, RING), head);
			if (i % 3 == 2) {
				ck_assert_int_eq(take(&held, &position, &slot), 0);
				ck_assert_uint_eq(position, head++);
				ck_assert_uint_eq(slot, fixture_slot_at(&f, position));
				km_slot_drop(&f.region.slots[slot], 1u << RING);
			}
		}
		ck_assert_uint_gt(next >> f.region.cell_shift, WRAP);
		ck_assert_int_eq(km_ring_drain(&f.region, RING, &me->evicting), (int)(next - head));
		for (uint32_t s = 0; s < pool; s++)
			ck_assert_uint_eq(fixture_word(&f, s), 0);
		teardown();
	}
}
END_TEST

START_TEST(commit_stale_hint_across_lap_wrap_finds_frontier)
{
	for (uint64_t back = 0; back <= 3 * CAPACITY; back++) {
		setup(CAPACITY, POOL);
		uint64_t frontier = (WRAP << f.region.cell_shift) + 2;
		fixture_ring_write(&f, RING, frontier - 3, frontier, frontier - back);
		ck_assert_int_eq(commit(15), 0);
		ck_assert_uint_eq(result.position, frontier);
		teardown();
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("ring");

	tcase_add_test(tc, cell_laps_ahead_any_signed_modulo);
	tcase_add_test(tc, cell_word_largest_slot_keeps_both);
	tcase_add_test(tc, append_anything_unusual_leaves_all_to_commit);
	tcase_add_test(tc, commit_new_ring_first_position);
	tcase_add_test(tc, commit_full_ring_evicts_oldest_only);
	tcase_add_test(tc, commit_one_short_of_full_evicts_nothing);
	tcase_add_test(tc, commit_stale_cached_head_evicts_nothing);
	tcase_add_test(tc, commit_any_stale_hint_finds_frontier);
	tcase_add_test(tc, commit_behind_frozen_publisher_takes_next);
	tcase_add_test(tc, commit_behind_frozen_evictor_uses_its_room);
	tcase_add_test(tc, evict_another_slot_drops_the_last_ones_bits_first);
	tcase_add_test(tc, evict_head_moved_by_taker_changes_nothing);
	tcase_add_test(tc, take_empty_ring_eagain);
	tcase_add_test(tc, take_oldest_keeps_bit_and_hazard);
	tcase_add_test(tc, take_after_evictions_skips_to_oldest);
	tcase_add_test(tc, drain_all_messages_drops_only_its_bits);
	tcase_add_test(tc, ring_lap_wrap_goes_on);
	tcase_add_test(tc, spot_pass_goes_where_set_begins);
	tcase_add_test(tc, spot_look_takes_only_slots_of_its_lap);
	tcase_add_test(tc, commit_stale_hint_across_lap_wrap_finds_frontier);
	return fixture_run("ring", tc);
}
