/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of a shared ring: what another publisher does between the look at the floor and the step behind
 * that. Each load of the code under test calls look() first. */
#include "common/memory/atomic.h"

static void look(const char *label);

#undef km_load
#define km_load(label, order, ptr) (look(#label), atomic_load_explicit(ptr, memory_order_##order))

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/shared/shared.h"
#include "tests/support/broker/fixture.h"

#define CAPACITY 4u
#define POOL     32u
#define FRONTIER UINT64_C(100)

static struct fixture_region f;
static bool floor_was_seen, came;

/* Behind the look at the floor a message comes to the oldest position's cell, in slot 9. */
static void look(const char *label)
{
	floor_was_seen |= strcmp(label, "V2") == 0;
	if (came || !floor_was_seen || strcmp(label, "U1") != 0)
		return;
	came = true;
	f.region.slots[9].word = KM_SLOT_RING;
	km_region_cell(&f.region, FRONTIER)->word = km_cell_word(
		FRONTIER / CAPACITY & KM_CELL_LAP_MASK, 9);
}

/* All that lies in the ring was read, so all may be taken out, but not what comes meanwhile. */
START_TEST(message_that_comes_meanwhile_stays)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);
	static struct km_bell_page page;
	struct km_endpoint *record;
	uint32_t slot = 99;

	geometry.transport = KM_TRANSPORT_SHARED;
	geometry.max_publishers = 2; /* below the ring's capacity */
	geometry.max_reliable = 1;
	geometry.stall_ns = KM_MIN_STALL_NS;
	fixture_region_init(&f, &geometry);
	f.region.bell = &page.bell;
	record = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	for (uint64_t p = FRONTIER - CAPACITY; p != FRONTIER; p++) {
		const uint32_t lies = (uint32_t)(p % CAPACITY);

		km_region_cell(&f.region, p)->word = km_cell_word(
			p / CAPACITY & KM_CELL_LAP_MASK, lies);
		f.region.slots[lies].word = KM_SLOT_RING;
	}
	f.region.shared->hint = FRONTIER;
	f.region.header->reliable = 1;
	km_reader_begin(&f.region, 0, FRONTIER);
	ck_assert_int_eq(km_shared_claim_oldest(&f.region, record, 1, CAPACITY, &slot), 0);
	ck_assert(came);
	ck_assert_uint_eq(slot, 1); /* the next oldest */
	ck_assert_uint_eq(km_region_cell(&f.region, FRONTIER)->word,
		km_cell_word(FRONTIER / CAPACITY & KM_CELL_LAP_MASK, 9));
	ck_assert_uint_eq(fixture_word(&f, 9), KM_SLOT_RING);
	free(record);
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("reader");

	tcase_add_test(tc, message_that_comes_meanwhile_stays);
	return fixture_run("reader", tc);
}
