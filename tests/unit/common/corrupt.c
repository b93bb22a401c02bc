/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a hostile participant wrote. Nothing crashes, every loop ends, and what can be told
 * from good memory is -ESTALE. A loop that doesn't end is a test that times out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/repair/reconcile.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/whole_pass.h"

#define RING     1u
#define CAPACITY 4u
#define POOL     16u

static struct fixture_region f;
static struct km_endpoint *me;
static struct km_ring *ring;

static void setup(uint32_t capacity)
{
	struct km_geometry geometry = fixture_geometry(capacity, POOL);

	fixture_region_init(&f, &geometry);
	me = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	ring = km_region_ring(&f.region, RING);
}

static void teardown(void)
{
	fixture_region_deinit(&f);
	free(me);
}

static int commit(uint64_t cached_head)
{
	struct km_ring_cursor cursor = { cached_head };
	struct km_ring_result result = { 0 };

	return km_ring_commit(&f.region, RING, 7, me, &cursor, &result);
}

static int take(void)
{
	_Atomic uint32_t held = KM_HAZARD_NONE;
	uint64_t position;
	uint32_t slot;
	int r = km_ring_take(&f.region, ring, &held, &position, &slot);

	if (r < 0)
		ck_assert_uint_eq(held, KM_HAZARD_NONE);
	else
		ck_assert_uint_lt(slot, POOL);
	return r;
}

static int drain(void)
{
	_Atomic uint32_t evicting = KM_HAZARD_NONE;

	return km_ring_drain(&f.region, RING, &evicting);
}

START_TEST(commit_hint_beyond_frontier_estale)
{
	static const uint64_t beyond[] = { 1 + CAPACITY, 3 * CAPACITY, 1u << 30,
		UINT64_C(1) << 40 };

	for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
		setup(CAPACITY);
		fixture_ring_write(&f, RING, 102, 104, 104 + beyond[i]);
		void *before = fixture_snapshot(&f);
		ck_assert_int_eq(commit(102), -ESTALE);
		ck_assert(fixture_unchanged(&f, before));
		free(before);
		teardown();
	}
}
END_TEST

START_TEST(commit_head_beyond_frontier_estale)
{
	setup(CAPACITY);
	fixture_ring_write(&f, RING, 104, 104, 104);
	ring->head = 104 + 3 * CAPACITY;
	ck_assert_int_eq(commit(0), -ESTALE);
	ck_assert_int_eq(take(), -ESTALE);
	ck_assert_int_eq(drain(), -ESTALE);
	teardown();
}
END_TEST

START_TEST(commit_head_too_far_behind_estale)
{
	setup(CAPACITY);
	fixture_ring_write(&f, RING, 104, 104, 104);
	ring->head = 104 - 2 * CAPACITY;
	ck_assert_int_eq(commit(0), -ESTALE);
	ck_assert_int_eq(take(), -ESTALE);
	ck_assert_int_eq(drain(), -ESTALE);
	teardown();
}
END_TEST

/* Each cell's lap is ahead of the lap before it, all the way round: a walk that follows them never
 * ends. */
START_TEST(commit_laps_in_circle_estale)
{
	setup(CAPACITY);
	for (uint64_t i = 0; i < CAPACITY; i++)
		ring->cells[i] = km_cell_word(1 + (i << 38), (uint32_t)i);
	ck_assert_int_eq(commit(CAPACITY), -ESTALE);
	teardown();
}
END_TEST

START_TEST(commit_evict_slot_out_of_range_estale)
{
	static const uint32_t slots[] = { POOL, POOL + 1, KM_CELL_SLOT_MASK };

	for (size_t i = 0; i < 3; i++) {
		setup(CAPACITY);
		fixture_ring_write(&f, RING, 100, 104, 104);
		ring->cells[0] = km_cell_word(25, slots[i]);
		void *before = fixture_snapshot(&f);
		ck_assert_int_eq(commit(100), -ESTALE);
		ck_assert_int_eq(take(), -ESTALE);
		ck_assert_int_eq(drain(), -ESTALE);
		ck_assert(fixture_unchanged(&f, before));
		free(before);
		teardown();
	}
}
END_TEST

START_TEST(take_overwritten_but_head_stands_estale)
{
	setup(CAPACITY);
	fixture_ring_write(&f, RING, 100, 104, 104);
	ring->cells[0] = km_cell_word(26, 1);
	ck_assert_int_eq(take(), -ESTALE);
	ck_assert_int_eq(drain(), -ESTALE);
	teardown();
}
END_TEST

/* Control memory of random bytes after the header, for many seeds and ring sizes. */
START_TEST(all_random_memory_return)
{
	static const uint32_t capacities[] = { 1, 2, 4, 8, 64 };
	uint64_t state = (uint64_t)_i * 1000003 + 1;
	struct km_known_endpoint endpoints[2] = { 0 };
	struct km_reconcile_result result;
	const char *reason;

	setup(capacities[_i % 5]);
	endpoints[0] = (struct km_known_endpoint){ me, KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 1, 0,
		0 };
	endpoints[1] = (struct km_known_endpoint){ NULL, KM_ENDPOINT_DEAD, KM_ROLE_SUBSCRIBER, 0,
		RING, 3 };
	for (int round = 0; round < 100; round++) {
		/* some bytes in some rounds, all in others, so that more than the first check is
		 * met */
		uint64_t thinning = fixture_random(&state) % 40 + 1;
		uint64_t *words = (uint64_t *)f.region.slots;
		size_t count = (f.region.control_size - sizeof(struct km_control_header)) / 8;

		for (size_t i = 0; i < count; i++)
			if (fixture_random(&state) % thinning == 0)
				words[i] = fixture_random(&state) >> fixture_random(&state) % 64;
		f.region.header->live = fixture_random(&state);
		commit(fixture_random(&state) >> fixture_random(&state) % 64);
		take();
		drain();
		for (unsigned what = 0; what <= KM_REPAIR_ALL; what += KM_REPAIR_ALL) {
			int r = test_reconcile(
				&f.region, endpoints, 2, what, UINT64_MAX, NULL, &result, &reason);
			ck_assert_msg(r == 0 || r == -ESTALE, "%d", r);
		}
	}
	teardown();
}
END_TEST

/* A good ring in which one word is wrong. A word that isn't seen as wrong does no harm beyond the
 * ring. */
START_TEST(all_one_random_word_return)
{
	uint64_t state = (uint64_t)_i + 77;

	for (int round = 0; round < 300; round++) {
		setup(CAPACITY);
		fixture_ring_write(&f, RING, 101, 104, 104);
		_Atomic uint64_t *words[] = { &ring->head, &ring->hint, &ring->cells[0],
			&ring->cells[1], &ring->cells[2], &ring->cells[3] };
		*words[fixture_random(&state) % 6] = fixture_random(&state) >>
						     fixture_random(&state) % 64;
		for (int i = 0; i < 6; i++)
			commit(101);
		for (int i = 0; i < 6; i++)
			take();
		drain();
		teardown();
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("corrupt");

	tcase_add_test(tc, commit_hint_beyond_frontier_estale);
	tcase_add_test(tc, commit_head_beyond_frontier_estale);
	tcase_add_test(tc, commit_head_too_far_behind_estale);
	tcase_add_test(tc, commit_laps_in_circle_estale);
	tcase_add_test(tc, commit_evict_slot_out_of_range_estale);
	tcase_add_test(tc, take_overwritten_but_head_stands_estale);
	tcase_add_loop_test(tc, all_random_memory_return, 0, 20);
	tcase_add_loop_test(tc, all_one_random_word_return, 0, 4);
	return fixture_run("corrupt", tc);
}
