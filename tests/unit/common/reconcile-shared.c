/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciliation of a region with a shared ring: which RING bits a pass takes for stale, and which it
 * leaves. Endpoints: two publishers (ids 1, 2) and a subscriber, all alive at first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/repair/reconcile.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/whole_pass.h"

#define CAPACITY 4u
#define POOL     16u
#define LAP      25u

enum { PUB1, PUB2, SUB, ENDPOINTS };

static struct fixture_region f;
static struct km_bell bell;
static struct km_endpoint *records[ENDPOINTS];
static struct km_known_endpoint endpoints[ENDPOINTS];
static struct km_reconcile_result result;
static const char *reason;

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	geometry.transport = KM_TRANSPORT_SHARED;
	fixture_region_init(&f, &geometry);
	f.region.bell = &bell;
	bell.word = 8 * KM_BELL_GENERATION | KM_BELL_WOKEN;
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		enum km_role role = i == SUB ? KM_ROLE_SUBSCRIBER : KM_ROLE_PUBLISHER;

		records[i] = fixture_endpoint(role, i + 1, 0, 0);
		endpoints[i] = (struct km_known_endpoint){ records[i], KM_ENDPOINT_LIVE, role,
			i + 1, 0, 0 };
	}
	for (uint32_t i = 0; i < POOL; i++)
		f.region.slots[i].generation = 100 + i;
}

static void teardown(void)
{
	for (size_t i = 0; i < ENDPOINTS; i++)
		free(records[i]);
	fixture_region_deinit(&f);
}

/* A dead endpoint's record isn't looked at: it may be gone. */
static void dies(size_t i)
{
	endpoints[i].state = KM_ENDPOINT_DEAD;
	endpoints[i].record = NULL;
}

static void write_cell(uint32_t cell, uint32_t ref)
{
	km_region_cell(&f.region, cell)->word = km_cell_word(LAP, ref);
}

static int pass_with(unsigned what, void (*hook)(void *, const struct km_anomaly *))
{
	reason = NULL;
	return test_reconcile(&f.region, endpoints, ENDPOINTS, what, 1, hook, &result, &reason);
}

/* A pass that leaves all as it is. */
static void changes_nothing(unsigned what)
{
	void *before = fixture_snapshot(&f);

	ck_assert_int_eq(pass_with(what, NULL), 0);
	ck_assert(fixture_unchanged(&f, before));
	free(before);
}

START_TEST(reconcile_named_by_cell_and_loan_left)
{
	setup();
	write_cell(0, 3);
	write_cell(1, KM_SHARED_INLINE);
	write_cell(2, KM_SHARED_VOID);
	write_cell(3, POOL - 1);
	fixture_set_word(&f, 3, KM_SLOT_RING);
	fixture_set_word(&f, POOL - 1, KM_SLOT_RING);
	fixture_set_word(&f, 5, km_slot_id_word(2));
	changes_nothing(KM_REPAIR_ALL);
	ck_assert_uint_eq(result.health.slots_in_flight, 2);
	ck_assert_uint_eq(result.health.slots_loaned, 1);
	ck_assert_uint_eq(result.health.slots_free, POOL - 3);
	/* the slots stay, whether their publisher lives or is dead */
	dies(PUB1);
	dies(SUB);
	changes_nothing(KM_REPAIR_ALL);
	ck_assert_uint_eq(result.bits_cleared, 0);
	teardown();
}
END_TEST

static uint32_t noted_slot, noted_ring;

static void note(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->kind != KM_ANOMALY_STALE_BIT && anomaly->kind != KM_ANOMALY_ORPHANED_SLOT)
		return;
	noted_slot = anomaly->slot;
	noted_ring = anomaly->ring;
}

START_TEST(reconcile_named_by_no_cell_cleared)
{
	setup();
	write_cell(0, 3);
	fixture_set_word(&f, 3, KM_SLOT_RING);
	fixture_set_word(&f, 4, KM_SLOT_RING);
	changes_nothing(KM_REPAIR_ALL & ~(unsigned)KM_REPAIR_REFERENCES);
	ck_assert_uint_eq(result.health.stale_bits, 1);
	ck_assert_int_eq(pass_with(KM_REPAIR_ALL, note), 0);
	ck_assert_uint_eq(noted_slot, 4);
	ck_assert_uint_eq(noted_ring, KM_HAZARD_NONE);
	ck_assert_uint_eq(result.bits_cleared, 1);
	ck_assert_uint_eq(result.health.slots_stale, 1);
	ck_assert_uint_eq(fixture_word(&f, 4), 0);
	ck_assert_uint_eq(fixture_word(&f, 3), KM_SLOT_RING);
	changes_nothing(KM_REPAIR_ALL);
	ck_assert_uint_eq(result.health.stale_bits, 0);
	teardown();
}
END_TEST

/* The publisher stopped before its commit, or between the commit and the drop of the slot that its
 * cell named before. */
START_TEST(reconcile_shielded_by_hazard_of_who_isnt_dead)
{
	for (int which = 0; which < 2; which++) {
		setup();
		_Atomic uint32_t *hazard = which ? &records[PUB2]->evicting
						 : &records[PUB2]->delivering;
		fixture_set_word(&f, 7, KM_SLOT_RING);
		km_hazard_set(hazard, 7);
		changes_nothing(KM_REPAIR_ALL);
		ck_assert_uint_eq(result.health.left_by_hazard, 1);
		endpoints[PUB2].state = KM_ENDPOINT_LEAVING;
		changes_nothing(KM_REPAIR_ALL);
		ck_assert_uint_eq(result.health.left_by_hazard, 1);
		dies(PUB2);
		ck_assert_int_eq(pass_with(KM_REPAIR_ALL, NULL), 0);
		ck_assert_uint_eq(result.bits_cleared, 1);
		ck_assert_uint_eq(fixture_word(&f, 7), 0);
		teardown();
	}
}
END_TEST

START_TEST(reconcile_hazard_that_names_no_slot_shields_nothing)
{
	setup();
	km_hazard_set(&records[PUB1]->delivering, POOL);
	km_hazard_set(&records[PUB1]->evicting, KM_SHARED_VOID);
	fixture_set_word(&f, POOL - 1, KM_SLOT_RING);
	ck_assert_int_eq(pass_with(KM_REPAIR_ALL, NULL), 0);
	ck_assert_uint_eq(fixture_word(&f, POOL - 1), 0);
	teardown();
}
END_TEST

START_TEST(reconcile_loan_of_dead_reclaimed_whatever_hazards_say)
{
	setup();
	fixture_set_word(&f, 2, km_slot_id_word(1));
	fixture_set_word(&f, 3, km_slot_id_word(2));
	km_hazard_set(&records[PUB2]->evicting, 2);
	dies(PUB1);
	ck_assert_int_eq(pass_with(KM_REPAIR_ALL, note), 0);
	ck_assert_uint_eq(noted_slot, 2);
	ck_assert_uint_eq(result.slots_reclaimed, 1);
	ck_assert_uint_eq(fixture_word(&f, 2), 0);
	ck_assert_uint_eq(fixture_word(&f, 3), km_slot_id_word(2));
	teardown();
}
END_TEST

/* The pass looks at each slot twice. When it reports slot 1, slot 2 is freed and sent again between
 * the two looks. */
static void claimed_again(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->slot == 1)
		f.region.slots[2].generation++;
}

START_TEST(reconcile_slot_that_went_round_left)
{
	setup();
	fixture_set_word(&f, 1, KM_SLOT_RING);
	fixture_set_word(&f, 2, KM_SLOT_RING);
	ck_assert_int_eq(pass_with(KM_REPAIR_ALL, claimed_again), 0);
	ck_assert_uint_eq(fixture_word(&f, 1), 0);
	ck_assert_uint_eq(fixture_word(&f, 2), KM_SLOT_RING);
	ck_assert_uint_eq(result.bits_cleared, 1);
	teardown();
}
END_TEST

/* A publisher may have died between its commit and the ringing of the bell. */
START_TEST(reconcile_dead_publisher_rings_bell)
{
	const uint32_t word = 8 * KM_BELL_GENERATION | KM_BELL_WOKEN;

	setup();
	dies(SUB);
	ck_assert_int_eq(pass_with(KM_REPAIR_ALL, NULL), 0);
	ck_assert_uint_eq(bell.word, word);
	dies(PUB1);
	ck_assert_int_eq(pass_with(0, NULL), 0);
	ck_assert_uint_eq(bell.word, word);
	/* a repair of references alone wakes sleepers as well */
	ck_assert_int_eq(pass_with(KM_REPAIR_REFERENCES, NULL), 0);
	ck_assert_uint_eq(bell.word, word + KM_BELL_GENERATION);
	teardown();
}
END_TEST

static void cell_bad_slot(void)
{
	write_cell(2, POOL);
}

static void word_bad_id(void)
{
	fixture_set_word(&f, 2, km_slot_id_word(9)); /* max_publishers is 8 */
}

static void word_other_ring(void)
{
	fixture_set_word(&f, 2, KM_SLOT_RING << 1);
}

static void word_both(void)
{
	fixture_set_word(&f, 2, km_slot_id_word(1) | KM_SLOT_RING);
}

START_TEST(reconcile_each_corruption_estale_nothing_changed)
{
	static void (*const corruptions[])(
		void) = { cell_bad_slot, word_bad_id, word_other_ring, word_both };

	for (size_t i = 0; i < sizeof corruptions / sizeof corruptions[0]; i++) {
		setup();
		fixture_set_word(&f, 9, KM_SLOT_RING); /* stale, and to be left */
		corruptions[i]();
		void *before = fixture_snapshot(&f);
		ck_assert_int_eq(pass_with(KM_REPAIR_ALL, NULL), -ESTALE);
		ck_assert_ptr_nonnull(reason);
		ck_assert(fixture_unchanged(&f, before));
		free(before);
		teardown();
	}
}
END_TEST

/* STATS says the same: a subscriber of a shared ring has all messages. */
START_TEST(reconcile_shared_each_living_subscriber_counts_as_live)
{
	setup();
	ck_assert_int_eq(pass_with(0, NULL), 0);
	ck_assert_uint_eq(result.health.rings_live, 1);
	dies(SUB);
	ck_assert_int_eq(pass_with(0, NULL), 0);
	ck_assert_uint_eq(result.health.rings_live, 0);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("reconcile-shared");

	tcase_add_test(tc, reconcile_named_by_cell_and_loan_left);
	tcase_add_test(tc, reconcile_shared_each_living_subscriber_counts_as_live);
	tcase_add_test(tc, reconcile_named_by_no_cell_cleared);
	tcase_add_test(tc, reconcile_shielded_by_hazard_of_who_isnt_dead);
	tcase_add_test(tc, reconcile_hazard_that_names_no_slot_shields_nothing);
	tcase_add_test(tc, reconcile_loan_of_dead_reclaimed_whatever_hazards_say);
	tcase_add_test(tc, reconcile_slot_that_went_round_left);
	tcase_add_test(tc, reconcile_dead_publisher_rings_bell);
	tcase_add_test(tc, reconcile_each_corruption_estale_nothing_changed);
	return fixture_run("reconcile-shared", tc);
}
