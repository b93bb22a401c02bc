/* SPDX-License-Identifier: Apache-2.0 */
/* common/repair/live.c: what a ring is like when it gets a new owner, and a region when it is given
 * up. */
#include <errno.h>
#include <stdlib.h>

#include "common/repair/live.h"
#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "tests/support/broker/fixture.h"

enum { RING = 2, CAPACITY = 4, POOL = 16 };

static struct fixture_region f;
static struct km_ring *ring;

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	fixture_region_init(&f, &geometry);
	ring = km_region_ring(&f.region, RING);
}

START_TEST(open_leftovers_drained_start_behind_them)
{
	uint64_t live = 1, start = 0;

	setup();
	f.region.header->live = live;
	fixture_ring_write(&f, RING, 100, 103, 103);
	f.region.slots[fixture_slot_at(&f, 101)].word |= 1; /* another ring has it too */
	ring->waiting = 5 * KM_WAITING_GENERATION | KM_WAITING_ASLEEP;
	ck_assert_int_eq(km_live_open(&f.region, RING, &live, &start), 0);
	ck_assert_uint_eq(start, 103);
	ck_assert_uint_eq(fixture_head(&f, RING), 103);
	ck_assert_uint_eq(live, KM_LIVE_OPENING | 1 | 1 << RING);
	ck_assert_uint_eq(f.region.header->live, live);
	for (uint64_t p = 100; p < 103; p++)
		ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, p)), p == 101);
	ck_assert_uint_eq(ring->waiting, 5 * KM_WAITING_GENERATION);
	fixture_region_deinit(&f);
}
END_TEST

/* A hostile participant may have written a whole ring: one call doesn't walk through it. */
START_TEST(open_full_ring_drained_within_a_bound)
{
	enum { LARGE = 16384, FIRST = 3 * LARGE };
	struct km_geometry geometry = fixture_geometry(LARGE, LARGE);
	uint64_t live = 1, start = 0;

	fixture_region_init(&f, &geometry);
	ring = km_region_ring(&f.region, RING);
	f.region.header->live = live;
	fixture_ring_write(&f, RING, FIRST, FIRST + LARGE, FIRST + LARGE);
	ck_assert_int_eq(km_live_open(&f.region, RING, &live, &start), 0);
	ck_assert_uint_eq(start, FIRST + KM_LIVE_DRAIN);
	ck_assert_uint_eq(fixture_head(&f, RING), start);
	ck_assert_uint_eq(live, KM_LIVE_OPENING | 1 | 1 << RING);
	fixture_region_deinit(&f);
}
END_TEST

/* The broker's knowledge counts, not what somebody wrote into the header. */
START_TEST(open_header_spoilt_writes_what_the_broker_knows)
{
	uint64_t live = 1, start = 0;

	setup();
	f.region.header->live = UINT64_MAX;
	ck_assert_int_eq(km_live_open(&f.region, RING, &live, &start), 0);
	ck_assert_uint_eq(f.region.header->live, KM_LIVE_OPENING | 1 | 1 << RING);
	fixture_region_deinit(&f);
}
END_TEST

/* [opening : 16 | messages : 48]: openings count from 1, and begin anew with 1 after the last. */
START_TEST(open_again_and_again_counts_openings)
{
	setup();
	for (uint64_t i = 1; i <= 65535; i++) {
		km_lost_open(ring);
		ck_assert_uint_eq(ring->lost_before, i << 48);
		ring->lost_before += 5;
	}
	ck_assert_uint_eq(km_lost_before(ring), 5);
	km_lost_open(ring);
	ck_assert_uint_eq(ring->lost_before, UINT64_C(1) << 48);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(open_corrupt_ring_estale_nothing_set)
{
	uint64_t live = 1, start = 77;

	setup();
	f.region.header->live = live;
	fixture_ring_write(&f, RING, 100, 103, 103);
	ring->cells[101 % CAPACITY] = km_cell_word(101 / CAPACITY, POOL);
	ck_assert_int_eq(km_live_open(&f.region, RING, &live, &start), -ESTALE);
	ck_assert_uint_eq(start, 77);
	ck_assert_uint_eq(live, 1);
	ck_assert_uint_eq(f.region.header->live, 1);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(give_up_marked_and_sleepers_told)
{
	setup();
	ring->waiting = 5 * KM_WAITING_GENERATION | KM_WAITING_ASLEEP | KM_WAITING_WOKEN;
	km_region_ring(&f.region, 0)->waiting = 7 * KM_WAITING_GENERATION;
	km_live_give_up(&f.region, 5);
	ck_assert_uint_eq(f.region.header->live, KM_LIVE_QUARANTINED | 5);
	ck_assert_uint_eq(
		ring->waiting, 6 * KM_WAITING_GENERATION | KM_WAITING_ASLEEP | KM_WAITING_WOKEN);
	ck_assert_uint_eq(km_region_ring(&f.region, 0)->waiting, 7 * KM_WAITING_GENERATION);
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("live");

	tcase_add_test(tc, open_leftovers_drained_start_behind_them);
	tcase_add_test(tc, open_full_ring_drained_within_a_bound);
	tcase_add_test(tc, open_header_spoilt_writes_what_the_broker_knows);
	tcase_add_test(tc, open_again_and_again_counts_openings);
	tcase_add_test(tc, open_corrupt_ring_estale_nothing_set);
	tcase_add_test(tc, give_up_marked_and_sleepers_told);
	return fixture_run("live", tc);
}
