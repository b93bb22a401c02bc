/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciliation: the memory that each kill point leaves, and what a pass makes of it. Endpoints: two
 * publishers (ids 1, 2), two subscribers (rings 0, 1), all alive at first.
 * (Long, because it is a list: one short case for each kill point, over one fixture.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/repair/reconcile.h"
#include "common/ring/waiter.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/whole_pass.h"

#define CAPACITY 4u
#define POOL     16u
#define HELD     4u /* max_borrows + 1 of the fixture's geometry */
#define BIT(r)   (UINT64_C(1) << (r))

enum { PUB1, PUB2, SUB0, SUB1, EXTRA, ENDPOINTS };

static struct fixture_region f;
static struct km_endpoint *records[ENDPOINTS];
static struct km_known_endpoint endpoints[ENDPOINTS];
static size_t endpoint_count;
static struct km_reconcile_result result;
static const char *reason;
static struct km_anomaly seen[256];
static size_t seen_count;
static uint64_t work = 1; /* of each piece of a pass */

static void endpoint(size_t i, enum km_role role, uint32_t id, uint32_t ring)
{
	uint32_t held = role == KM_ROLE_SUBSCRIBER ? HELD : 0;

	free(records[i]);
	records[i] = fixture_endpoint(role, id, ring, held);
	endpoints[i] = (struct km_known_endpoint){ records[i], KM_ENDPOINT_LIVE, role, id, ring,
		held };
}

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	fixture_region_init(&f, &geometry);
	endpoint(PUB1, KM_ROLE_PUBLISHER, 1, 0);
	endpoint(PUB2, KM_ROLE_PUBLISHER, 2, 0);
	endpoint(SUB0, KM_ROLE_SUBSCRIBER, 0, 0);
	endpoint(SUB1, KM_ROLE_SUBSCRIBER, 0, 1);
	endpoint(EXTRA, KM_ROLE_SUBSCRIBER, 0, 0);
	endpoint_count = EXTRA;
	f.region.header->live = BIT(0) | BIT(1);
	for (uint32_t i = 0; i < POOL; i++)
		f.region.slots[i].generation = 100 + i;
}

static void teardown(void)
{
	for (size_t i = 0; i < ENDPOINTS; i++) {
		free(records[i]);
		records[i] = NULL;
	}
	fixture_region_deinit(&f);
}

/* A dead endpoint's record isn't looked at: it may be gone. */
static void dies(size_t i)
{
	endpoints[i].state = KM_ENDPOINT_DEAD;
	endpoints[i].record = NULL;
}

static void note(void *userdata, const struct km_anomaly *anomaly)
{
	if (seen_count < 256)
		seen[seen_count++] = *anomaly;
}

static int pass(unsigned what)
{
	seen_count = 0;
	reason = NULL;
	return test_reconcile(
		&f.region, endpoints, endpoint_count, what, work, note, &result, &reason);
}

static bool noted(uint32_t kind, uint32_t slot, uint32_t ring)
{
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].kind == kind && seen[i].slot == slot && seen[i].ring == ring)
			return true;
	return false;
}

static uint32_t slots_counted(void)
{
	const struct km_health *h = &result.health;

	return h->slots_free + h->slots_loaned + h->slots_in_flight + h->slots_orphaned +
	       h->slots_stale;
}

/* A first pass repairs, and a second one finds nothing more to do. */
static void heal(void)
{
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(slots_counted(), POOL);
	struct km_reconcile_result first = result;
	void *after = fixture_snapshot(&f);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(
		result.bits_cleared + result.slots_reclaimed + result.messages_drained, 0);
	ck_assert_uint_eq(result.health.stale_bits + result.health.slots_orphaned, 0);
	ck_assert(fixture_unchanged(&f, after));
	free(after);
	result = first;
}

START_TEST(reconcile_healthy_region_changes_nothing)
{
	setup();
	fixture_ring_write(&f, 0, 102, 104, 104);
	fixture_ring_write(&f, 1, 100, 104, 104);
	fixture_set_word(&f, 0, km_slot_id_word(1)); /* a loan */
	fixture_set_word(&f, 1, BIT(0));             /* a borrowed sample */
	km_hazard_set(&records[SUB0]->held[2], 1);
	void *before = fixture_snapshot(&f);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert(fixture_unchanged(&f, before));
	ck_assert_uint_eq(result.health.slots_loaned, 1);
	ck_assert_uint_eq(result.health.slots_in_flight, 5);
	ck_assert_uint_eq(result.health.slots_free, POOL - 6);
	ck_assert_uint_eq(result.health.rings_live, 2);
	ck_assert_uint_eq(result.health.publishers, 2);
	ck_assert_uint_eq(result.health.subscribers, 2);
	ck_assert_uint_eq(seen_count, 0);
	free(before);
	teardown();
}
END_TEST

/* A publisher was killed after the CAS that claims a slot, before or after the slot's generation
 * moves, or with a loan in hand. */
START_TEST(reconcile_loans_of_dead_publisher_reclaimed)
{
	setup();
	fixture_set_word(&f, 3, km_slot_id_word(1));
	fixture_set_word(&f, 4, km_slot_id_word(1));
	fixture_set_word(&f, 5, km_slot_id_word(2));
	/* a hazard of a publisher that lives doesn't keep a dead one's loan */
	km_hazard_set(&records[PUB2]->evicting, 3);
	dies(PUB1);
	heal();
	ck_assert_uint_eq(result.slots_reclaimed, 2);
	ck_assert_uint_eq(result.health.slots_orphaned, 2);
	ck_assert_uint_eq(fixture_word(&f, 3) | fixture_word(&f, 4), 0);
	ck_assert_uint_eq(fixture_word(&f, 5), km_slot_id_word(2));
	teardown();
}
END_TEST

START_TEST(reconcile_loan_of_leaving_publisher_skipped)
{
	setup();
	fixture_set_word(&f, 3, km_slot_id_word(1));
	endpoints[PUB1].state = KM_ENDPOINT_LEAVING;
	heal();
	ck_assert_uint_eq(fixture_word(&f, 3), km_slot_id_word(1));
	ck_assert_uint_eq(result.health.endpoints_leaving, 1);
	teardown();
}
END_TEST

/* A publisher was killed between two commits: ring 0 has the message, ring 1 doesn't. */
START_TEST(reconcile_half_delivered_of_dead_settled_bit_by_bit)
{
	setup();
	fixture_ring_write(&f, 0, 103, 104, 104);
	uint32_t slot = fixture_slot_at(&f, 103);
	fixture_set_word(&f, slot, BIT(0) | BIT(1));
	dies(PUB1);
	heal();
	ck_assert_uint_eq(fixture_word(&f, slot), BIT(0));
	ck_assert_uint_eq(result.bits_cleared, 1);
	ck_assert_uint_eq(result.health.stale_bits, 1);
	ck_assert_uint_eq(result.health.slots_stale, 1);
	teardown();
}
END_TEST

START_TEST(reconcile_half_delivered_of_living_left_by_hazard)
{
	setup();
	fixture_set_word(&f, 7, BIT(0) | BIT(1));
	km_hazard_set(&records[PUB2]->delivering, 7);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(fixture_word(&f, 7), BIT(0) | BIT(1));
	ck_assert_uint_eq(result.health.left_by_hazard, 2);
	ck_assert_uint_eq(result.bits_cleared, 0);
	km_hazard_clear(&records[PUB2]->delivering);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 7), 0);
	ck_assert_uint_eq(result.bits_cleared, 2);
	teardown();
}
END_TEST

/* A publisher stopped between its CAS on head and the drop of the evicted message's bit. */
START_TEST(reconcile_evicted_not_dropped_by_who_lives)
{
	setup();
	fixture_ring_write(&f, 0, 101, 104, 104);
	uint32_t old = fixture_slot_at(&f, 100);
	fixture_set_word(&f, old, BIT(0));
	km_hazard_set(&records[PUB1]->evicting, old);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(fixture_word(&f, old), BIT(0));
	ck_assert_uint_eq(result.health.left_by_hazard, 1);
	endpoints[PUB1].state = KM_ENDPOINT_LEAVING; /* its hazards still count */
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(fixture_word(&f, old), BIT(0));
	dies(PUB1);
	heal();
	ck_assert_uint_eq(fixture_word(&f, old), 0);
	ck_assert_uint_eq(result.health.left_by_hazard, 0);
	teardown();
}
END_TEST

/* A subscriber stopped with a sample in hand, or between its CAS on head and whatever comes
 * next. */
START_TEST(reconcile_taken_sample_kept_until_owner_is_dead)
{
	setup();
	fixture_set_word(&f, 9, BIT(1) | BIT(0));
	km_hazard_set(&records[SUB1]->held[HELD - 1], 9);
	km_hazard_set(&records[SUB0]->held[0], 9);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), BIT(1) | BIT(0));
	endpoints[SUB1].state = KM_ENDPOINT_LEAVING;
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), BIT(1) | BIT(0));
	dies(SUB1);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), BIT(0));
	ck_assert_uint_eq(result.bits_cleared, 1);
	teardown();
}
END_TEST

/* A hazard in held[] of one ring's subscriber says nothing of another ring's bit. */
START_TEST(reconcile_bit_held_by_other_ring_only_stale)
{
	setup();
	fixture_set_word(&f, 9, BIT(1));
	km_hazard_set(&records[SUB0]->held[0], 9);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), 0);
	teardown();
}
END_TEST

/* held_count is the broker's: entries beyond it, or beyond the record, aren't read. */
START_TEST(reconcile_held_beyond_count_not_read)
{
	setup();
	fixture_set_word(&f, 9, BIT(1));
	km_hazard_set(&records[SUB1]->held[2], 9);
	endpoints[SUB1].held_count = 2;
	records[SUB1]->held_count = UINT32_MAX;
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), 0);
	teardown();
}
END_TEST

START_TEST(reconcile_full_ring_of_dead_drained_and_not_live)
{
	setup();
	fixture_ring_write(&f, 0, 100, 104, 104);
	fixture_ring_write(&f, 1, 100, 104, 104);
	dies(SUB1);
	heal();
	ck_assert_uint_eq(f.region.header->live, BIT(0));
	ck_assert_uint_eq(fixture_head(&f, 1), 104);
	ck_assert_uint_eq(fixture_head(&f, 0), 100);
	ck_assert_uint_eq(result.rings_drained, 1);
	ck_assert_uint_eq(result.messages_drained, CAPACITY);
	ck_assert_uint_eq(result.health.rings_undrained, 1);
	for (uint64_t p = 100; p < 104; p++)
		ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, p)), BIT(0));
	teardown();
}
END_TEST

START_TEST(reconcile_ring_of_dead_keeps_quarantine_bit)
{
	setup();
	f.region.header->live |= KM_LIVE_QUARANTINED;
	dies(SUB0);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(f.region.header->live, KM_LIVE_QUARANTINED | BIT(1));
	teardown();
}
END_TEST

/* A publisher that hadn't seen the end of ring 3's owner put messages there. */
START_TEST(reconcile_late_delivery_to_ownerless_ring_drained)
{
	setup();
	fixture_ring_write(&f, 3, 102, 104, 104);
	heal();
	ck_assert_uint_eq(fixture_head(&f, 3), 104);
	ck_assert_uint_eq(result.messages_drained, 2);
	ck_assert_uint_eq(result.health.slots_in_flight + result.health.slots_stale, 0);
	teardown();
}
END_TEST

/* Ring 0 has a new subscriber. Its former owner is leaving and holds a sample, whose slot has the
 * same bit. */
START_TEST(reconcile_ring_reused_old_owner_still_holds)
{
	setup();
	endpoint_count = ENDPOINTS;
	endpoints[EXTRA].state = KM_ENDPOINT_LEAVING;
	fixture_ring_write(&f, 0, 102, 104, 104);
	fixture_set_word(&f, 9, BIT(0));
	km_hazard_set(&records[EXTRA]->held[1], 9);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), BIT(0));
	ck_assert_uint_eq(fixture_head(&f, 0), 102);
	dies(EXTRA);
	heal();
	ck_assert_uint_eq(fixture_word(&f, 9), 0);
	ck_assert_uint_eq(fixture_head(&f, 0), 102);
	ck_assert_uint_eq(f.region.header->live, BIT(0) | BIT(1));
	teardown();
}
END_TEST

START_TEST(reconcile_hazard_out_of_range_ignored)
{
	setup();
	km_hazard_set(&records[PUB1]->delivering, POOL);
	km_hazard_set(&records[PUB1]->evicting, UINT32_MAX - 1);
	km_hazard_set(&records[SUB0]->held[0], 1u << 31);
	fixture_set_word(&f, POOL - 1, BIT(0));
	heal();
	ck_assert_uint_eq(fixture_word(&f, POOL - 1), 0);
	teardown();
}
END_TEST

/*
 * Each of these runs between the pass' two looks at slots: when the pass reports the stale bit of
 * slot DECOY. By then it has looked at all slots once, and at the later ones only once.
 */
#define DECOY     8u
#define SUSPECT   9u
#define SUSPECTED 10u

static void setup_suspects(uint64_t suspect, uint64_t suspected)
{
	setup();
	fixture_set_word(&f, DECOY, BIT(1));
	fixture_set_word(&f, SUSPECT, suspect);
	fixture_set_word(&f, SUSPECTED, suspected);
}

static void claimed_again(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->slot != DECOY)
		return;
	f.region.slots[SUSPECT].generation++;
	f.region.slots[SUSPECTED].generation++;
}

static void dropped_by_owner(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->slot == DECOY)
		fixture_set_word(&f, SUSPECT, 0);
}

static void other_bit_joins(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->slot == DECOY)
		f.region.slots[SUSPECT].word |= BIT(3);
}

static void claimed_by_other_id(void *userdata, const struct km_anomaly *anomaly)
{
	if (anomaly->slot == DECOY)
		fixture_set_word(&f, SUSPECT, km_slot_id_word(2));
}

static int pass_with(void (*hook)(void *, const struct km_anomaly *))
{
	return test_reconcile(
		&f.region, endpoints, endpoint_count, KM_REPAIR_ALL, work, hook, &result, &reason);
}

START_TEST(reconcile_generation_moved_in_between_left_alone)
{
	setup_suspects(BIT(1), km_slot_id_word(5)); /* id 5 is nobody's */
	ck_assert_int_eq(pass_with(claimed_again), 0);
	ck_assert_uint_eq(fixture_word(&f, DECOY), 0);
	ck_assert_uint_eq(fixture_word(&f, SUSPECT), BIT(1));
	ck_assert_uint_eq(fixture_word(&f, SUSPECTED), km_slot_id_word(5));
	ck_assert_uint_eq(result.bits_cleared, 1);
	ck_assert_uint_eq(result.slots_reclaimed, 0);
	ck_assert_uint_eq(slots_counted(), POOL);
	heal();
	ck_assert_uint_eq(fixture_word(&f, SUSPECT) | fixture_word(&f, SUSPECTED), 0);
	teardown();
}
END_TEST

START_TEST(reconcile_bit_gone_in_between_counts_nothing)
{
	setup_suspects(BIT(1), 0);
	ck_assert_int_eq(pass_with(dropped_by_owner), 0);
	ck_assert_uint_eq(result.bits_cleared, 1);
	ck_assert_uint_eq(fixture_word(&f, SUSPECT), 0);
	teardown();
}
END_TEST

START_TEST(reconcile_bit_new_in_between_not_cleared)
{
	setup_suspects(BIT(1), 0);
	ck_assert_int_eq(pass_with(other_bit_joins), 0);
	ck_assert_uint_eq(fixture_word(&f, SUSPECT), BIT(3));
	ck_assert_uint_eq(result.bits_cleared, 2);
	teardown();
}
END_TEST

/* Even if the slot's generation had not moved, the id in its word tells that it has another
 * owner. */
START_TEST(reconcile_orphan_with_other_id_in_between_left_alone)
{
	setup_suspects(km_slot_id_word(5), 0);
	ck_assert_int_eq(pass_with(claimed_by_other_id), 0);
	ck_assert_uint_eq(fixture_word(&f, SUSPECT), km_slot_id_word(2));
	ck_assert_uint_eq(result.slots_reclaimed, 0);
	teardown();
}
END_TEST

/* One of each thing that a pass can find. */
static void damage(void)
{
	fixture_ring_write(&f, 0, 100, 104, 104);
	fixture_ring_write(&f, 1, 101, 104, 104);
	fixture_set_word(&f, 0, km_slot_id_word(1));
	fixture_set_word(&f, 1, BIT(0));
	f.region.slots[fixture_slot_at(&f, 101)].word |= BIT(2);
	km_region_ring(&f.region, 0)->waiting = KM_WAITING_ASLEEP;
	dies(PUB1);
	dies(SUB1);
}

START_TEST(reconcile_what_0_changes_nothing_and_reports)
{
	setup();
	damage();
	void *before = fixture_snapshot(&f);
	ck_assert_int_eq(pass(0), 0);
	ck_assert(fixture_unchanged(&f, before));
	ck_assert(noted(KM_ANOMALY_ORPHANED_SLOT, 0, KM_HAZARD_NONE));
	ck_assert(noted(KM_ANOMALY_STALE_BIT, 1, 0));
	ck_assert(noted(KM_ANOMALY_STALE_BIT, fixture_slot_at(&f, 101), 2));
	ck_assert(noted(KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, 1));
	ck_assert(noted(KM_ANOMALY_DEAD_ENDPOINT, KM_HAZARD_NONE, 1));
	ck_assert(noted(KM_ANOMALY_DEAD_ENDPOINT, KM_HAZARD_NONE, KM_HAZARD_NONE));
	ck_assert_uint_eq(result.health.endpoints_dead, 2);
	ck_assert_uint_eq(result.health.stale_bits, 2);
	ck_assert_uint_eq(result.health.slots_orphaned, 1);
	ck_assert_uint_eq(result.health.rings_undrained, 1);
	ck_assert_uint_eq(result.health.rings_sleeping, 1);
	ck_assert_uint_eq(
		result.bits_cleared + result.slots_reclaimed + result.messages_drained, 0);
	ck_assert_uint_eq(slots_counted(), POOL);
	free(before);
	teardown();
}
END_TEST

/* A pass in small pieces finds and does the same as one in large pieces. */
START_TEST(reconcile_in_pieces_same_end)
{
	struct km_reconcile_result whole_result;

	for (unsigned what = 0; what <= KM_REPAIR_ALL; what++) {
		setup();
		damage();
		void *broken = fixture_snapshot(&f);
		work = UINT64_MAX;
		ck_assert_int_eq(pass(what), 0);
		size_t findings = seen_count;
		whole_result = result;
		void *whole = fixture_snapshot(&f);
		for (work = 1; work < 40; work++) {
			memcpy(f.control, broken, f.region.control_size);
			ck_assert_int_eq(pass(what), 0);
			ck_assert(fixture_unchanged(&f, whole));
			ck_assert_mem_eq(&result, &whole_result, sizeof result);
			ck_assert_uint_eq(seen_count, findings);
		}
		free(broken);
		free(whole);
		teardown();
	}
}
END_TEST

/* Giving the pass' memory of a large pool back to the kernel all at once would take ms. So it
 * goes back piece by piece as slots are settled, and each slot is still settled by what was seen
 * of it. */
START_TEST(reconcile_large_pool_memory_goes_in_pieces)
{
	enum { LARGE = 65536, PIECE = 8192 };
	struct km_geometry geometry = fixture_geometry(CAPACITY, LARGE);
	const struct km_known_endpoint dead = {
		.state = KM_ENDPOINT_DEAD, .role = KM_ROLE_PUBLISHER, .id = 1
	};
	struct test_endpoints list = { .endpoints = &dead, .count = 1 };
	struct km_pass large = {
		.region = &f.region,
		.endpoints = { test_rewind_endpoints, test_next_endpoint, test_owned_rings, &list },
		.what = KM_REPAIR_ALL,
	};
	uintptr_t given = 0;
	int r = 1;

	fixture_region_init(&f, &geometry);
	for (uint32_t i = 0; i < LARGE; i++)
		fixture_set_word(&f, i, km_slot_id_word(1));
	ck_assert_int_eq(km_pass_init(&large), 0);
	for (; r > 0; given = large.looks_given) {
		r = km_pass_step(&large, PIECE);
		ck_assert_uint_ge(large.looks_given, given);
		ck_assert_uint_le(large.looks_given, (uintptr_t)&large.looks[large.at]);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_ge(given + KM_PAGE_SIZE, (uintptr_t)&large.looks[LARGE - PIECE]);
	ck_assert_uint_eq(large.result.slots_reclaimed, LARGE);
	for (uint32_t i = 0; i < LARGE; i++)
		ck_assert_uint_eq(fixture_word(&f, i), 0);
	km_pass_deinit(&large);
	fixture_region_deinit(&f);
}
END_TEST

/* A ring whose subscriber died asleep has no sleeper, whatever its word says. A ring that still
 * takes messages is reported although nothing lies in it. */
START_TEST(reconcile_ring_of_dead_sleeper_doesnt_sleep)
{
	setup();
	km_region_ring(&f.region, 0)->waiting = KM_WAITING_ASLEEP;
	km_region_ring(&f.region, 1)->waiting = KM_WAITING_ASLEEP;
	dies(SUB1);
	ck_assert_int_eq(pass(0), 0);
	ck_assert_uint_eq(result.health.rings_sleeping, 1);
	ck_assert_uint_eq(result.health.rings_undrained, 0);
	ck_assert(noted(KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, 1));
	ck_assert(!noted(KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, 0));
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_eq(result.rings_drained, 1);
	ck_assert_int_eq(pass(0), 0);
	ck_assert(!noted(KM_ANOMALY_DEAD_RING, KM_HAZARD_NONE, 1));
	teardown();
}
END_TEST

/* Makes a pass during which an endpoint comes: `arrives` is called once, before the piece with this
 * number. `pieces` is how many there were. */
static int pieces;
static int pass_with_newcomer(int piece, void (*arrives)(struct test_endpoints *list))
{
	struct test_endpoints list = { .endpoints = endpoints, .count = endpoint_count };
	struct km_pass pass = {
		.region = &f.region,
		.endpoints = { test_rewind_endpoints, test_next_endpoint, test_owned_rings, &list },
		.what = KM_REPAIR_ALL,
	};
	int r;

	list.owned = BIT(0) | BIT(1);
	ck_assert_int_eq(km_pass_init(&pass), 0);
	pieces = 0;
	do {
		if (pieces++ == piece)
			arrives(&list);
		r = km_pass_step(&pass, 1);
	} while (r > 0);
	result = pass.result;
	km_pass_deinit(&pass);
	return r;
}

/* The newcomer is a publisher that has pushed slot 9's message out of ring 0 and not dropped its
 * bit yet. */
static void evictor_comes(struct test_endpoints *list)
{
	endpoint(EXTRA, KM_ROLE_PUBLISHER, 3, 0);
	list->count = ENDPOINTS;
	fixture_set_word(&f, fixture_slot_at(&f, 100), BIT(0));
	records[EXTRA]->evicting = fixture_slot_at(&f, 100);
	km_region_ring(&f.region, 0)->head = 101;
}

static void nobody_comes(struct test_endpoints *list)
{
}

/* The number of pieces of a pass during which no endpoint comes. */
static int count_pieces(void)
{
	ck_assert_int_eq(pass_with_newcomer(-1, nobody_comes), 0);
	return pieces;
}

START_TEST(reconcile_newcomer_evicts_bit_is_left)
{
	for (int piece = 0, count = 1; piece < count; piece++) {
		setup();
		fixture_ring_write(&f, 0, 100, 104, 104);
		for (uint64_t p = 100; p < 104; p++)
			fixture_set_word(&f, fixture_slot_at(&f, p), BIT(0));
		count = count_pieces();
		ck_assert_int_eq(pass_with_newcomer(piece, evictor_comes), 0);
		ck_assert_uint_eq(result.bits_cleared, 0);
		ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, 100)), BIT(0));
		teardown();
	}
}
END_TEST

/* The newcomer has a loan at once. */
static void lender_comes(struct test_endpoints *list)
{
	endpoint(EXTRA, KM_ROLE_PUBLISHER, 3, 0);
	list->count = ENDPOINTS;
	fixture_set_word(&f, POOL - 1, km_slot_id_word(3));
	f.region.slots[POOL - 1].generation++;
}

START_TEST(reconcile_newcomer_has_loan_is_left)
{
	for (int piece = 0, count = 1; piece < count; piece++) {
		setup();
		count = count_pieces();
		ck_assert_int_eq(pass_with_newcomer(piece, lender_comes), 0);
		ck_assert_uint_eq(result.slots_reclaimed, 0);
		ck_assert_uint_eq(fixture_word(&f, POOL - 1), km_slot_id_word(3));
		teardown();
	}
}
END_TEST

/* Ring 2 gets an owner and a message. */
static void subscriber_comes(struct test_endpoints *list)
{
	uint32_t slot;

	endpoint(EXTRA, KM_ROLE_SUBSCRIBER, 0, 2);
	list->count = ENDPOINTS;
	list->owned |= BIT(2);
	f.region.header->live |= BIT(2);
	fixture_ring_write(&f, 2, 100, 101, 101);
	slot = km_cell_slot(km_region_ring(&f.region, 2)->cells[100 % CAPACITY]);
	fixture_set_word(&f, slot, BIT(2));
	f.region.slots[slot].generation++;
}

START_TEST(reconcile_newcomer_gets_ring_keeps_it)
{
	for (int piece = 1, count = 2; piece < count; piece++) {
		setup();
		count = count_pieces();
		ck_assert_int_eq(pass_with_newcomer(piece, subscriber_comes), 0);
		ck_assert_uint_eq(result.messages_drained, 0);
		ck_assert_uint_eq(fixture_head(&f, 2), 100);
		ck_assert(f.region.header->live & BIT(2));
		uint32_t slot = km_cell_slot(km_region_ring(&f.region, 2)->cells[100 % CAPACITY]);
		ck_assert_uint_eq(fixture_word(&f, slot), BIT(2));
		teardown();
	}
}
END_TEST

/* Each kind of repair alone, in any order, does its part and no other's. */
START_TEST(reconcile_each_what_repairs_only_its_part)
{
	for (unsigned what = 1; what < KM_REPAIR_ALL; what++) {
		setup();
		damage();
		ck_assert_int_eq(pass(what), 0);
		ck_assert_int_eq(fixture_word(&f, 0) == 0, (what & KM_REPAIR_SLOTS) != 0);
		ck_assert_int_eq(fixture_word(&f, 1) == 0, (what & KM_REPAIR_REFERENCES) != 0);
		ck_assert_int_eq(fixture_head(&f, 1) == 104, (what & KM_REPAIR_RINGS) != 0);
		ck_assert_int_eq(f.region.header->live == BIT(0), (what & KM_REPAIR_RINGS) != 0);
		ck_assert_int_eq(pass(KM_REPAIR_ALL & ~what), 0);
		ck_assert_uint_eq(fixture_word(&f, 0) | fixture_word(&f, 1), 0);
		for (uint64_t p = 100; p < 104; p++)
			ck_assert_uint_eq(fixture_word(&f, fixture_slot_at(&f, p)), BIT(0));
		teardown();
	}
}
END_TEST

/* A pass that dies after any of its atomic steps is begun again and ends in the same state. */
static int steps_left;
static void die_at_step(void *userdata, const struct km_anomaly *anomaly)
{
	if (steps_left-- == 0)
		_exit(42);
}

START_TEST(reconcile_killed_at_each_finding_same_end)
{
	setup();
	damage();
	void *broken = fixture_snapshot(&f);
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	int findings = (int)seen_count;
	void *whole = fixture_snapshot(&f);
	ck_assert_int_ge(findings, 5);
	for (int step = 0; step < findings; step++) {
		memcpy(f.control, broken, f.region.control_size);
		steps_left = step;
		pid_t pid = fork();
		if (pid == 0)
			_exit(pass_with(die_at_step));
		int status = fixture_reap(pid);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
		ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
		/* a sleeper is woken once more, which only moves its generation */
		km_region_ring(&f.region, 0)->waiting = 0;
		((struct km_ring *)((char *)whole +
				    ((char *)km_region_ring(&f.region, 0) - (char *)f.control)))
			->waiting = 0;
		ck_assert(fixture_unchanged(&f, whole));
	}
	free(broken);
	free(whole);
	teardown();
}
END_TEST

START_TEST(reconcile_dead_publisher_sleeping_ring_woken)
{
	setup();
	struct km_ring *ring = km_region_ring(&f.region, 0);
	ring->waiting = 8 * KM_WAITING_GENERATION | KM_WAITING_ASLEEP | KM_WAITING_WOKEN;
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	dies(PUB1);
	uint32_t before = ring->waiting;
	ck_assert_int_eq(pass(KM_REPAIR_ALL), 0);
	ck_assert_uint_ne(ring->waiting / KM_WAITING_GENERATION, before / KM_WAITING_GENERATION);
	ck_assert(ring->waiting & KM_WAITING_ASLEEP); /* only its owner clears it */
	ck_assert_uint_eq(result.health.rings_sleeping, 1);
	teardown();
}
END_TEST

static void word_bad_id(void)
{
	fixture_set_word(&f, 2, km_slot_id_word(9)); /* max_publishers is 8 */
}

static void word_bad_ring(void)
{
	fixture_set_word(&f, 2, BIT(4));
}

static void word_both(void)
{
	fixture_set_word(&f, 2, km_slot_id_word(1) | BIT(0));
}

static void cell_bad_slot(void)
{
	fixture_ring_write(&f, 0, 103, 104, 104);
	km_region_ring(&f.region, 0)->cells[103 % CAPACITY] = km_cell_word(25, POOL);
}

static void head_beyond(void)
{
	fixture_ring_write(&f, 0, 104, 104, 104);
	km_region_ring(&f.region, 0)->head = 104 + 2 * CAPACITY;
}

static void dead_ring_head_beyond(void)
{
	fixture_ring_write(&f, 3, 104, 104, 104);
	km_region_ring(&f.region, 3)->head = 104 + 2 * CAPACITY;
}

static void dead_ring_bad_slot(void)
{
	fixture_ring_write(&f, 3, 103, 104, 104);
	km_region_ring(&f.region, 3)->cells[103 % CAPACITY] = km_cell_word(25, POOL);
}

START_TEST(reconcile_each_corruption_estale_with_reason)
{
	static void (*const corruptions[])(void) = { word_bad_id, word_bad_ring, word_both,
		cell_bad_slot, head_beyond, dead_ring_head_beyond, dead_ring_bad_slot };

	for (size_t i = 0; i < sizeof corruptions / sizeof corruptions[0]; i++) {
		setup();
		fixture_set_word(&f, 9, BIT(1)); /* stale, and to be left */
		corruptions[i]();
		void *before = fixture_snapshot(&f);
		ck_assert_int_eq(pass(KM_REPAIR_ALL), -ESTALE);
		ck_assert_ptr_nonnull(reason);
		ck_assert_uint_gt(strlen(reason), 10);
		ck_assert(noted(KM_ANOMALY_CORRUPT, KM_HAZARD_NONE, KM_HAZARD_NONE));
		ck_assert(fixture_unchanged(&f, before));
		free(before);
		teardown();
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("reconcile");

	tcase_add_test(tc, reconcile_healthy_region_changes_nothing);
	tcase_add_test(tc, reconcile_loans_of_dead_publisher_reclaimed);
	tcase_add_test(tc, reconcile_loan_of_leaving_publisher_skipped);
	tcase_add_test(tc, reconcile_half_delivered_of_dead_settled_bit_by_bit);
	tcase_add_test(tc, reconcile_half_delivered_of_living_left_by_hazard);
	tcase_add_test(tc, reconcile_evicted_not_dropped_by_who_lives);
	tcase_add_test(tc, reconcile_taken_sample_kept_until_owner_is_dead);
	tcase_add_test(tc, reconcile_bit_held_by_other_ring_only_stale);
	tcase_add_test(tc, reconcile_held_beyond_count_not_read);
	tcase_add_test(tc, reconcile_full_ring_of_dead_drained_and_not_live);
	tcase_add_test(tc, reconcile_ring_of_dead_keeps_quarantine_bit);
	tcase_add_test(tc, reconcile_late_delivery_to_ownerless_ring_drained);
	tcase_add_test(tc, reconcile_ring_reused_old_owner_still_holds);
	tcase_add_test(tc, reconcile_hazard_out_of_range_ignored);
	tcase_add_test(tc, reconcile_generation_moved_in_between_left_alone);
	tcase_add_test(tc, reconcile_bit_gone_in_between_counts_nothing);
	tcase_add_test(tc, reconcile_bit_new_in_between_not_cleared);
	tcase_add_test(tc, reconcile_orphan_with_other_id_in_between_left_alone);
	tcase_add_test(tc, reconcile_in_pieces_same_end);
	tcase_add_test(tc, reconcile_large_pool_memory_goes_in_pieces);
	tcase_add_test(tc, reconcile_ring_of_dead_sleeper_doesnt_sleep);
	tcase_add_test(tc, reconcile_newcomer_evicts_bit_is_left);
	tcase_add_test(tc, reconcile_newcomer_has_loan_is_left);
	tcase_add_test(tc, reconcile_newcomer_gets_ring_keeps_it);
	tcase_add_test(tc, reconcile_what_0_changes_nothing_and_reports);
	tcase_add_test(tc, reconcile_each_what_repairs_only_its_part);
	tcase_add_test(tc, reconcile_killed_at_each_finding_same_end);
	tcase_add_test(tc, reconcile_dead_publisher_sleeping_ring_woken);
	tcase_add_test(tc, reconcile_each_corruption_estale_with_reason);
	return fixture_run("reconcile", tc);
}
