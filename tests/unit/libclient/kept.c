/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History with private rings, on fabricated regions and without a broker: two publishers (ids 1, 2), and
 * newcomers at rings 0 and 1. The kept ring has 8 cells, rings have 4, and newcomers get up to 3
 * messages.
 * The file is long because it is a list: one short case for each call and state, over one fixture.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/repair/live.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/handle/handle.h"
#include "libclient/wait/ready.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/whole_pass.h"

#define CAPACITY 4u
#define HISTORY  3u
#define KEPT     8u
#define POOL     24u
#define BIT(r)   (UINT64_C(1) << (r))

static struct fixture_region f;
static struct km_region kept;
static struct kickmsg_publisher pub[2];
static struct kickmsg_subscriber sub[2];
static struct km_endpoint *senders[2], *records[2];
static uint64_t live;

static void setup(uint32_t pool)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, pool);

	geometry.history = HISTORY;
	fixture_region_init(&f, &geometry);
	km_kept_view(&f.region, &kept);
	memset(pub, 0, sizeof pub);
	memset(sub, 0, sizeof sub);
	live = 0;
	for (uint32_t i = 0; i < 2; i++) {
		pub[i].handle.place.region = f.region;
		senders[i] = fixture_endpoint(KM_ROLE_PUBLISHER, i + 1, 0, 0);
		ck_assert_int_eq(km_place_publish(&pub[i].handle.place, senders[i], i + 1), 0);
		records[i] = NULL;
	}
}

/* The broker and the library let a subscriber in, as km_join_open() does. */
static void let_in(uint32_t i)
{
	struct km_place *place = &sub[i].handle.place;
	uint64_t start;

	ck_assert_int_eq(km_live_open(&f.region, i, &live, &start), 0);
	memset(&sub[i], 0, sizeof sub[i]);
	place->region = f.region;
	records[i] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, i, f.region.geometry.max_borrows + 1);
	ck_assert_int_eq(km_place_subscribe(place, records[i], i, start), 0);
}

static void come(uint32_t i, uint32_t history)
{
	let_in(i);
	km_place_look_back(&sub[i].handle.place, history);
}

static void go(uint32_t i)
{
	_Atomic uint32_t evicting;

	for (uint32_t k = 0; k <= f.region.geometry.max_borrows; k++)
		ck_assert_uint_eq(records[i]->held[k], KM_HAZARD_NONE);
	km_place_end(&sub[i].handle.place);
	live &= ~BIT(i);
	f.region.header->live = live;
	ck_assert_int_ge(km_ring_drain(&f.region, i, &evicting), 0);
	free(records[i]);
	records[i] = NULL;
}

/* Only what the kept ring holds is left, by its bit alone. */
static void teardown(void)
{
	struct km_ring *ring = f.region.kept;
	uint32_t held = 0;
	uint64_t end;

	for (uint32_t i = 0; i < 2; i++) {
		if (records[i])
			go(i);
		ck_assert_uint_eq(senders[i]->delivering, KM_HAZARD_NONE);
		ck_assert_uint_eq(senders[i]->evicting, KM_HAZARD_NONE);
		km_place_end(&pub[i].handle.place);
		free(senders[i]);
	}
	ck_assert_int_eq(km_kept_end(&kept, &end), 0);
	for (uint32_t i = 0; i < f.region.geometry.pool_size; i++) {
		ck_assert(fixture_word(&f, i) == 0 || fixture_word(&f, i) == KM_KEPT_BIT);
		held += fixture_word(&f, i) != 0;
	}
	ck_assert_uint_eq(held, end - ring->head);
	fixture_region_deinit(&f);
}

static int64_t send_u32(uint32_t i, uint32_t value)
{
	return kickmsg_send(&pub[i], &value, sizeof value);
}

static void send_from_to(uint32_t from, uint32_t to)
{
	for (uint32_t value = from; value <= to; value++)
		ck_assert_int_eq(send_u32(0, value), sizeof value);
}

static int64_t receive_u32(uint32_t i)
{
	uint32_t value;
	ssize_t n = kickmsg_try_receive_copy(&sub[i], &value, sizeof value);

	return n < 0 ? n : value;
}

static void receives_from_to(uint32_t i, uint32_t from, uint32_t to)
{
	for (uint32_t value = from; value <= to; value++)
		ck_assert_int_eq(receive_u32(i), value);
	ck_assert_int_eq(receive_u32(i), -EAGAIN);
	/* further receives don't look at the history */
	ck_assert_uint_eq(sub[i].handle.place.region.path & KM_PATH_KEPT, 0);
}

START_TEST(newcomer_gets_the_last_and_then_what_comes)
{
	setup(POOL);
	send_from_to(1, 5);
	come(0, HISTORY);
	ck_assert(km_subscriber_look(&sub[0], false));
	send_from_to(6, 8);
	receives_from_to(0, 3, 8);
	ck_assert(!km_subscriber_look(&sub[0], false));
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	ck_assert_uint_eq(records[0]->evicted, 3);
	ck_assert_uint_eq(records[0]->messages, 6);
	teardown();
}
END_TEST

START_TEST(newcomer_wants_fewer_or_none)
{
	static const uint32_t first[] = { 6, 5, 4, 3, 3 };

	setup(POOL);
	send_from_to(1, 5);
	for (uint32_t history = 0; history < 5; history++) {
		come(0, history);
		receives_from_to(0, first[history], 5);
		go(0);
	}
	teardown();
}
END_TEST

START_TEST(newcomer_of_a_young_topic_gets_what_there_is)
{
	setup(POOL);
	come(0, HISTORY);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	send_from_to(1, 1);
	come(1, HISTORY);
	receives_from_to(1, 1, 1);
	receives_from_to(0, 1, 1);
	teardown();
}
END_TEST

/* The sample lies in the slot that its publisher filled. */
START_TEST(history_is_borrowed_in_place)
{
	struct kickmsg_sample sample[3];
	void *loan;

	setup(POOL);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 4, &loan), 0);
	memcpy(loan, "tilt", 4);
	ck_assert_int_eq(kickmsg_publish(&pub[0], loan, 4), 0);
	send_from_to(1, 2);
	come(0, HISTORY);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample[i]), 0);
	ck_assert_ptr_eq(sample[0].data, loan);
	ck_assert_uint_eq(sample[0].publisher_sequence, 1);
	ck_assert_uint_eq(sample[0].publisher_id, 1);
	/* positions of history go on into those of the subscriber's own ring */
	ck_assert_uint_eq(sample[1].ring_pos, sample[0].ring_pos + 1);
	send_from_to(3, 3);
	ck_assert_int_eq(kickmsg_sample_release(&sample[1]), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample[1]), 0);
	ck_assert_uint_eq(sample[1].ring_pos, sample[0].ring_pos + 3);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_sample_release(&sample[i]), 0);
	teardown();
}
END_TEST

/* A newcomer loses history when its own ring overflows, and not before; then all of its history is
 * lost. */
START_TEST(a_slow_newcomer_loses_what_is_pushed_out_and_counts_it)
{
	setup(POOL);
	send_from_to(1, 5);
	come(0, HISTORY);
	send_from_to(6, 9); /* as many as its ring has */
	receives_from_to(0, 3, 9);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	go(0);
	come(0, HISTORY);
	send_from_to(10, 20);
	receives_from_to(0, 17, 20);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 3 + 7);
	ck_assert_uint_eq(records[0]->failed, 3);
	teardown();
}
END_TEST

START_TEST(a_sample_that_is_held_outlives_its_place_in_the_kept_ring)
{
	struct kickmsg_sample sample;

	setup(POOL);
	send_from_to(1, 1);
	come(0, 1);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample), 0);
	send_from_to(2, 40);
	ck_assert_uint_eq(*(const uint32_t *)sample.data, 1);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	teardown();
}
END_TEST

/* A publisher that hasn't seen ring 0's owner: its message is in the kept ring alone. */
static uint64_t commit_unknowing(uint32_t value)
{
	struct km_place *here = &pub[1].handle.place;
	struct km_ring_result result = { 0 };
	uint32_t slot;

	ck_assert_int_eq(km_slot_cache_claim(&here->cache, &f.region, 2, UINT32_MAX, &slot), 0);
	memcpy(km_region_payload(&f.region, slot), &value, sizeof value);
	km_region_sample(&f.region, slot)->len = sizeof value;
	km_region_sample(&f.region, slot)->sequence = ++pub[1].sequence;
	km_region_sample(&f.region, slot)->publisher_id = 2;
	f.region.slots[slot].opening = 0;
	f.region.slots[slot].word = KM_KEPT_BIT;
	ck_assert_int_eq(km_ring_commit(&here->kept, KM_KEPT_RING, slot, senders[1],
				 &here->kept_cursor, &result),
		0);
	km_ring_drop_evicted(&f.region, &result.drops);
	senders[1]->evicting = KM_HAZARD_NONE;
	return result.position;
}

static void commit_late(uint32_t ring, uint64_t position)
{
	struct km_ring_result result = { 0 };

	ck_assert_int_eq(km_ring_commit(&f.region, ring, km_kept_late_number(position), senders[1],
				 &pub[1].handle.place.cursors[ring], &result),
		0);
	km_ring_drop_evicted(&f.region, &result.drops);
	senders[1]->evicting = KM_HAZARD_NONE;
}

START_TEST(late_cell_brings_the_message_from_the_kept_ring)
{
	setup(POOL);
	send_from_to(1, 1);
	come(0, HISTORY);
	send_from_to(2, 2);
	uint64_t position = commit_unknowing(77);
	commit_late(0, position);
	send_from_to(3, 3);
	ck_assert_int_eq(receive_u32(0), 1);
	ck_assert_int_eq(receive_u32(0), 2);
	ck_assert_int_eq(receive_u32(0), 77);
	receives_from_to(0, 3, 3);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	teardown();
}
END_TEST

/* A late cell stands for one message. If that cell is pushed out, the message is lost. */
START_TEST(late_cell_that_is_pushed_out_is_a_loss)
{
	setup(POOL);
	come(0, HISTORY);
	commit_late(0, commit_unknowing(77));
	send_from_to(1, 5);
	receives_from_to(0, 2, 5);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 2);
	teardown();
}
END_TEST

START_TEST(late_cell_whose_message_is_gone_is_a_loss)
{
	struct km_region *region = &sub[0].handle.place.region;

	setup(POOL);
	come(0, HISTORY);
	commit_late(0, commit_unknowing(77));
	/* the late cell's message is pushed out of the kept ring by messages that the subscriber's
	 * ring doesn't get */
	live = 0;
	f.region.header->live = 0;
	send_from_to(1, 10);
	ck_assert_uint_eq(region->geometry.history, HISTORY);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 1);
	teardown();
}
END_TEST

/* A late cell for a position before kept_behind is passed over: its message was for the ring's
 * former owner, or came by the history. */
START_TEST(late_cell_of_what_came_by_history_is_passed_over)
{
	setup(POOL);
	uint64_t position = commit_unknowing(77);
	come(0, HISTORY);
	commit_late(0, position);
	ck_assert_int_eq(receive_u32(0), 77);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	teardown();
}
END_TEST

/* A subscriber that comes back after a broker's end has no history. The messages
 * that its late cells stand for are counted as lost.h says. */
START_TEST(one_that_comes_back_takes_no_history)
{
	setup(POOL);
	send_from_to(1, 5);
	come(0, HISTORY);
	go(0);
	come(0, 0);
	sub[0].handle.place.newcomer.late = KM_LATE_IGNORED;
	commit_late(0, commit_unknowing(77));
	send_from_to(6, 6);
	receives_from_to(0, 6, 6);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	teardown();
}
END_TEST

/* Between the positions kept_before and kept_behind some messages are in the kept ring alone, and
 * others in the subscriber's own ring too. */
START_TEST(a_message_of_both_rings_comes_once)
{
	setup(POOL);
	send_from_to(1, 2);
	come(0, HISTORY);
	uint64_t before = sub[0].handle.place.newcomer.end;
	commit_unknowing(77);
	send_from_to(3, 4);
	/* as if the broker had looked only now */
	km_region_ring(&f.region, 0)->kept_behind = km_kept_behind_word(1, 0);
	ck_assert_int_eq(km_kept_opened(&f.region, km_region_ring(&f.region, 0), 1), 0);
	km_place_look_back(&sub[0].handle.place, 1);
	ck_assert_uint_eq(sub[0].handle.place.newcomer.end, before + 3);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	ck_assert_int_eq(receive_u32(0), 2);
	ck_assert_int_eq(receive_u32(0), 77);
	receives_from_to(0, 3, 4);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	teardown();
}
END_TEST

/* A publisher that hadn't seen the change of owner put the message into the former owner's ring,
 * which is this subscriber's now. */
START_TEST(a_message_whose_word_has_the_own_bit_comes_by_the_ring)
{
	struct km_ring_result result = { 0 };

	setup(POOL);
	uint64_t position = commit_unknowing(77);
	uint32_t slot = km_cell_slot(f.region.kept->cells[position % KEPT]);
	come(0, HISTORY);
	f.region.slots[slot].word |= BIT(0);
	ck_assert_int_eq(km_ring_commit(&f.region, 0, slot, senders[1],
				 &pub[1].handle.place.cursors[0], &result),
		0);
	ck_assert_int_eq(receive_u32(0), 77);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
	teardown();
}
END_TEST

/* A publisher stood still while the ring was drained. Then it put a message for the former owner there and
 * sent two more, before the broker found out where the history ends. The newcomer gets what its history
 * has, in order, and not what lies before. */
START_TEST(a_message_for_the_former_owner_comes_in_its_order)
{
	for (uint32_t history = 1; history <= 3; history++) {
		struct km_ring *ring;
		struct km_ring_result result = { 0 };

		setup(POOL);
		let_in(0);
		ring = km_region_ring(&f.region, 0);
		uint64_t position = commit_unknowing(1);
		uint32_t slot = km_cell_slot(f.region.kept->cells[position % KEPT]);
		f.region.slots[slot].word |= BIT(0);
		ck_assert_int_eq(km_ring_commit(&f.region, 0, slot, senders[1],
					 &pub[1].handle.place.cursors[0], &result),
			0);
		commit_unknowing(2);
		commit_unknowing(3);
		ring->kept_before = position + 3;
		ring->kept_behind = km_kept_behind_word(1, 0);
		ck_assert_int_eq(km_kept_opened(&f.region, ring, 1), 0);
		km_place_look_back(&sub[0].handle.place, history);
		ck_assert_uint_eq(records[0]->evicting, KM_HAZARD_NONE);
		send_from_to(4, 4);
		receives_from_to(0, 4 - history, 4);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
		teardown();
	}
}
END_TEST

/* Between the subscriber's look at a message and its CAS the slot was freed and sent again. */
START_TEST(take_of_a_slot_that_was_sent_again_gives_the_bit_back)
{
	_Atomic uint32_t held = KM_HAZARD_NONE;
	uint32_t slot;

	setup(POOL);
	uint64_t position = commit_unknowing(77);
	struct km_slot *word = &f.region.slots[km_cell_slot(f.region.kept->cells[position % KEPT])];
	come(0, HISTORY);
	ck_assert_int_eq(km_kept_take(&kept, 0, 1, position, &held, &slot), 0);
	ck_assert_uint_eq(word->word, KM_KEPT_BIT | BIT(0));
	/* refused: the publisher knew this newcomer, whose own ring gets the message */
	ck_assert_int_eq(km_kept_take(&kept, 1, 0, position, &held, &slot), -EALREADY);
	/* refused: the newcomer's bit is there already */
	ck_assert_int_eq(km_kept_take(&kept, 0, 1, position, &held, &slot), -EALREADY);
	km_slot_drop(word, BIT(0));
	held = KM_HAZARD_NONE;
	ck_assert_int_eq(km_kept_take(&kept, 0, 1, position + 1, &held, &slot), -ESTALE);
	ck_assert_uint_eq(held, KM_HAZARD_NONE);
	teardown();
}
END_TEST

START_TEST(short_pool_keeps_what_newcomers_are_promised)
{
	setup(6); /* the kept ring alone could name 8 */
	send_from_to(1, 20);
	come(0, HISTORY);
	receives_from_to(0, 18, 20);
	teardown();
}
END_TEST

/* A publisher that finds no slot has no hazard after the call. */
START_TEST(pool_that_is_held_leaves_no_hazard_behind)
{
	struct kickmsg_sample samples[HISTORY];

	setup(6);
	send_from_to(1, 3);
	come(0, HISTORY);
	for (uint32_t i = 0; i < HISTORY; i++)
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &samples[i]), 0);
	send_from_to(4, 6);
	ck_assert_int_eq(send_u32(0, 7), -EAGAIN);
	ck_assert_uint_eq(senders[0]->evicting, KM_HAZARD_NONE);
	for (uint32_t i = 0; i < HISTORY; i++) {
		ck_assert_uint_eq(fixture_word(&f, records[0]->held[samples[i].hold]), BIT(0));
		ck_assert_int_eq(kickmsg_sample_release(&samples[i]), 0);
	}
	receives_from_to(0, 4, 6);
	teardown();
}
END_TEST

START_TEST(depth_counts_history_as_the_oldest)
{
	setup(POOL);
	send_from_to(1, 5);
	come(0, HISTORY);
	send_from_to(6, 6);
	sub[0].depth = 2;
	sub[0].handle.place.region.path |= KM_PATH_NEWEST;
	ck_assert_int_eq(receive_u32(0), 5);
	send_from_to(7, 9);
	ck_assert_int_eq(receive_u32(0), 8);
	ck_assert_int_eq(receive_u32(0), 9);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 2 + 2);
	teardown();
}
END_TEST

START_TEST(each_way_to_receive_begins_with_the_history)
{
	struct kickmsg_subscriber_stats stats;
	struct kickmsg_sample samples[4];
	uint32_t value;

	setup(POOL);
	send_from_to(1, 5);
	come(0, HISTORY);
	send_from_to(6, 6);
	kickmsg_subscriber_get_stats(&sub[0], &stats);
	ck_assert_uint_eq(stats.waiting, 4);
	ck_assert_int_eq(kickmsg_receive_into(&sub[0], &value, 2, 0, samples), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_receive_into(&sub[0], &value, sizeof value, 0, samples), 0);
	ck_assert_uint_eq(value, 3);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 3), 1);
	ck_assert_uint_eq(*(const uint32_t *)samples[0].data, 4);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples + 1, 2), 1);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples + 2, 2), 1);
	ck_assert_int_eq(kickmsg_release_many(samples, 3), 3);
	kickmsg_subscriber_get_stats(&sub[0], &stats);
	ck_assert_uint_eq(stats.waiting, 0);
	ck_assert_uint_eq(stats.received, 4);
	ck_assert_uint_eq(senders[0]->messages, 6);
	ck_assert_uint_eq(senders[0]->bytes, 6 * sizeof value);
	teardown();
}
END_TEST

/* --- repair --------------------------------------------------------------------------------------- */

static struct km_reconcile_result repair(bool publishers_live, enum km_endpoint_state subscriber)
{
	struct km_known_endpoint endpoints[] = {
		{ senders[0], publishers_live ? KM_ENDPOINT_LIVE : KM_ENDPOINT_DEAD,
			KM_ROLE_PUBLISHER, 1, 0, 0 },
		{ records[0], subscriber, KM_ROLE_SUBSCRIBER, 0, 0,
			f.region.geometry.max_borrows + 1 },
	};
	struct km_reconcile_result result;
	const char *reason;

	ck_assert_int_eq(test_reconcile(&f.region, endpoints, records[0] ? 2 : 1, KM_REPAIR_ALL, 1,
				 NULL, &result, &reason),
		0);
	return result;
}

START_TEST(reconcile_keeps_the_last_value_of_the_dead)
{
	setup(POOL);
	send_from_to(1, 5);
	struct km_reconcile_result result = repair(false, KM_ENDPOINT_LIVE);
	ck_assert_uint_eq(
		result.bits_cleared + result.slots_reclaimed + result.messages_drained, 0);
	ck_assert_uint_eq(result.health.slots_in_flight, 5);
	come(0, 1);
	receives_from_to(0, 5, 5);
	teardown();
}
END_TEST

START_TEST(reconcile_drops_what_a_dead_newcomer_held_and_keeps_the_message)
{
	struct kickmsg_sample sample;

	setup(POOL);
	send_from_to(1, 2);
	come(0, 1);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample), 0);
	ck_assert_uint_eq(repair(true, KM_ENDPOINT_LIVE).bits_cleared, 0);
	ck_assert_uint_eq(repair(true, KM_ENDPOINT_DEAD).bits_cleared, 1);
	sub[0].handle.place.holds[sample.hold].position = KM_HOLD_FREE;
	records[0]->held[sample.hold] = KM_HAZARD_NONE;
	go(0);
	come(0, 1);
	receives_from_to(0, 2, 2);
	teardown();
}
END_TEST

/* A publisher that died between W = targets and its commit to the kept ring. */
START_TEST(reconcile_drops_a_kept_bit_that_no_cell_explains)
{
	setup(POOL);
	send_from_to(1, 2);
	uint32_t slot = 9;
	while (fixture_word(&f, slot))
		slot++;
	f.region.slots[slot].word = KM_KEPT_BIT;
	senders[0]->delivering = slot;
	ck_assert_uint_eq(repair(true, KM_ENDPOINT_LIVE).health.left_by_hazard, 1);
	ck_assert_uint_eq(repair(false, KM_ENDPOINT_LIVE).bits_cleared, 1);
	senders[0]->delivering = KM_HAZARD_NONE;
	teardown();
}
END_TEST

START_TEST(reconcile_and_drains_pass_late_cells_over)
{
	setup(POOL);
	come(0, HISTORY);
	commit_late(0, commit_unknowing(77));
	ck_assert_uint_eq(repair(true, KM_ENDPOINT_LIVE).bits_cleared, 0);
	struct km_reconcile_result result = repair(true, KM_ENDPOINT_DEAD);
	ck_assert_uint_eq(result.messages_drained, 1);
	ck_assert_uint_eq(result.bits_cleared, 0);
	live = f.region.header->live;
	teardown();
}
END_TEST

/* --- memory that makes no sense ------------------------------------------------------------------- */

START_TEST(senseless_kept_ring_ends_each_call)
{
	static const struct {
		uint64_t cell, head;
	} table[] = { { UINT64_C(1) << 24 | 999, KEPT }, { UINT64_C(9) << 24, KEPT },
		{ UINT64_C(1) << 24 | KM_CELL_LATE, KEPT }, { UINT64_C(1) << 63, KEPT },
		{ 0, 1 << 20 } };
	struct km_reconcile_result result;
	const char *reason = NULL;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		setup(POOL);
		send_from_to(1, 1);
		come(0, HISTORY);
		f.region.kept->cells[0] = table[i].cell;
		f.region.kept->head = table[i].head;
		int64_t r = receive_u32(0);
		ck_assert(r == -ESTALE || r == -EAGAIN);
		for (uint32_t value = 0; value < 3 * KEPT; value++) {
			r = send_u32(0, value);
			ck_assert(r == 4 || r == -ESTALE || r == -EAGAIN);
			receive_u32(0);
		}
		struct km_known_endpoint none;
		int reconciled = test_reconcile(
			&f.region, &none, 0, KM_REPAIR_ALL, 1, NULL, &result, &reason);
		ck_assert(reconciled == 0 || reconciled == -ESTALE);
		km_place_end(&sub[0].handle.place);
		free(records[0]);
		for (uint32_t k = 0; k < 2; k++) {
			km_place_end(&pub[k].handle.place);
			free(senders[k]);
		}
		fixture_region_deinit(&f);
	}
}
END_TEST

/* A publisher knows openings by `live`, also when more rings have been opened since. */
START_TEST(known_openings_follow_live)
{
	const uint64_t numbers = KM_LIVE_OPENINGS / KM_LIVE_OPENING + 1;

	setup(POOL);
	for (uint64_t opened = numbers - 3; opened < numbers + 3; opened++)
		for (uint64_t since = 0; since < 3; since++) {
			f.region.header->openings = opened + since;
			ck_assert_uint_eq(
				km_kept_known(&f.region, opened % numbers * KM_LIVE_OPENING),
				opened);
		}
	f.region.header->openings = 0;
	teardown();
}
END_TEST

static uint64_t opened_meanwhile;
static unsigned looks;

int __real_km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t seen, uint32_t slot, size_t len);
int __wrap_km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t seen, uint32_t slot, size_t len);

/* The publisher has loaded `live` and stands still. So many rings are opened, the last one stays. Or a ring is
 * opened and closed in each of its looks but the last, in which a newcomer comes and sleeps. */
int __wrap_km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t seen, uint32_t slot, size_t len)
{
	if (opened_meanwhile > 0) {
		f.region.header->openings += opened_meanwhile - 1;
		live = (live & ~KM_LIVE_OPENINGS) |
		       (f.region.header->openings * KM_LIVE_OPENING & KM_LIVE_OPENINGS);
		opened_meanwhile = 0;
		come(0, HISTORY);
	}
	if (looks > 1) {
		come(0, 0);
		go(0);
	} else if (looks == 1) {
		come(0, 0);
		km_waiter_announce(km_region_ring(&f.region, 0));
	}
	looks -= looks > 0;
	return __real_km_publisher_look(publisher, seen, slot, len);
}

/* A publisher that stood still while rings were opened as often as `live` can say, and about so often,
 * doesn't take itself to know of the newcomer: its message comes. */
START_TEST(publisher_that_stood_still_for_all_numbers_loses_nothing)
{
	const uint64_t numbers = KM_LIVE_OPENINGS / KM_LIVE_OPENING + 1;

	for (uint64_t opened = numbers - 1; opened <= numbers + 1; opened++) {
		setup(POOL);
		send_from_to(1, 2);
		come(1, 0); /* so that the publisher looks around */
		opened_meanwhile = opened;
		send_from_to(3, 4);
		receives_from_to(0, 1, 4);
		receives_from_to(1, 3, 4);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
		teardown();
	}
}
END_TEST

/* One that came behind the publisher's last look, and sleeps, is woken by the late cell. */
START_TEST(late_cell_wakes_a_newcomer)
{
	struct km_ring *ring;

	setup(POOL);
	ring = km_region_ring(&f.region, 0);
	send_from_to(1, 2);
	come(1, 0); /* so that the publisher looks around */
	looks = 4;
	send_from_to(3, 3);
	ck_assert_uint_eq(looks, 0);
	ck_assert_uint_ne(
		km_cell_slot(ring->cells[ring->head & f.region.cell_mask]) & KM_CELL_LATE, 0);
	ck_assert_uint_ne(ring->waiting & KM_WAITING_WOKEN, 0);
	receives_from_to(0, 3, 3);
	receives_from_to(1, 3, 3);
	teardown();
}
END_TEST

/* The number of a late cell is short; positions may be long. */
START_TEST(late_positions_are_found_again)
{
	setup(POOL);
	for (uint64_t head = (UINT64_C(1) << 40) - 9; head < (UINT64_C(1) << 40) + 9; head++) {
		f.region.kept->head = head;
		for (uint64_t p = head - 100; p < head + 70000; p += 33)
			ck_assert_uint_eq(km_kept_late_position(&kept, km_kept_late_number(p)), p);
	}
	f.region.kept->head = KEPT;
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("kept");

	tcase_add_test(tc, newcomer_gets_the_last_and_then_what_comes);
	tcase_add_test(tc, newcomer_wants_fewer_or_none);
	tcase_add_test(tc, newcomer_of_a_young_topic_gets_what_there_is);
	tcase_add_test(tc, history_is_borrowed_in_place);
	tcase_add_test(tc, a_slow_newcomer_loses_what_is_pushed_out_and_counts_it);
	tcase_add_test(tc, a_sample_that_is_held_outlives_its_place_in_the_kept_ring);
	tcase_add_test(tc, late_cell_brings_the_message_from_the_kept_ring);
	tcase_add_test(tc, late_cell_that_is_pushed_out_is_a_loss);
	tcase_add_test(tc, late_cell_whose_message_is_gone_is_a_loss);
	tcase_add_test(tc, late_cell_of_what_came_by_history_is_passed_over);
	tcase_add_test(tc, one_that_comes_back_takes_no_history);
	tcase_add_test(tc, a_message_of_both_rings_comes_once);
	tcase_add_test(tc, a_message_whose_word_has_the_own_bit_comes_by_the_ring);
	tcase_add_test(tc, a_message_for_the_former_owner_comes_in_its_order);
	tcase_add_test(tc, take_of_a_slot_that_was_sent_again_gives_the_bit_back);
	tcase_add_test(tc, short_pool_keeps_what_newcomers_are_promised);
	tcase_add_test(tc, pool_that_is_held_leaves_no_hazard_behind);
	tcase_add_test(tc, depth_counts_history_as_the_oldest);
	tcase_add_test(tc, each_way_to_receive_begins_with_the_history);
	tcase_add_test(tc, reconcile_keeps_the_last_value_of_the_dead);
	tcase_add_test(tc, reconcile_drops_what_a_dead_newcomer_held_and_keeps_the_message);
	tcase_add_test(tc, reconcile_drops_a_kept_bit_that_no_cell_explains);
	tcase_add_test(tc, reconcile_and_drains_pass_late_cells_over);
	tcase_add_test(tc, senseless_kept_ring_ends_each_call);
	tcase_add_test(tc, known_openings_follow_live);
	tcase_add_test(tc, publisher_that_stood_still_for_all_numbers_loses_nothing);
	tcase_add_test(tc, late_cell_wakes_a_newcomer);
	tcase_add_test(tc, late_positions_are_found_again);
	return fixture_run("kept", tc);
}
