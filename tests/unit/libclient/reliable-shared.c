/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable subscribers of a shared ring on fabricated regions, no broker: publisher 0 is the privileged one,
 * the others have slots. Reader 0 is a reliable subscriber, the other one an ordinary one.
 *
 * The file is long because it is a list: one short case for each state.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/reliable.h"

#define CAPACITY   8u
#define PUBLISHERS 3u
#define POOL       32u

static struct fixture_region f;
static struct km_bell_page page;
static struct kickmsg_publisher pubs[PUBLISHERS];
static struct kickmsg_subscriber subs[2], *sub = &subs[0];
static struct km_endpoint *records[PUBLISHERS + 2];

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	geometry.transport = KM_TRANSPORT_SHARED;
	geometry.max_publishers = PUBLISHERS;
	geometry.max_reliable = 1;
	geometry.stall_ns = 1000000;
	ck_assert_ptr_null(km_geometry_check(&geometry));
	fixture_region_init(&f, &geometry);
	memset(&page, 0, sizeof page);
	f.region.bell = &page.bell;
	page.bell.word = page.room.word = KM_BELL_WOKEN;
	f.region.header->privileged = 1;
	km_reader_begin(&f.region, 0, CAPACITY);
	km_room_say(&f.region, 1);
	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		memset(&pubs[i], 0, sizeof pubs[i]);
		pubs[i].handle.place.region = f.region;
		records[i] = fixture_endpoint(KM_ROLE_PUBLISHER, i + 1, 0, 0);
		ck_assert_int_eq(km_place_publish(&pubs[i].handle.place, records[i], i + 1), 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		memset(&subs[i], 0, sizeof subs[i]);
		subs[i].handle.place.region = f.region;
		records[PUBLISHERS + i] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, i, 0);
		ck_assert_int_eq(km_place_subscribe(&subs[i].handle.place, records[PUBLISHERS + i],
					 i, CAPACITY),
			0);
	}
	sub->handle.place.region.path |= KM_PATH_RELIABLE;
}

static uint32_t slots_in_use(void)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < POOL; i++)
		used += fixture_word(&f, i) != 0;
	return used;
}

static void teardown(void)
{
	uint32_t named = 0;

	for (uint32_t i = 0; i < CAPACITY; i++)
		named += km_shared_is_slot(km_cell_slot(km_region_cell(&f.region, i)->word));
	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		ck_assert_uint_eq(records[i]->delivering, KM_HAZARD_NONE);
		ck_assert_uint_eq(records[i]->evicting, KM_HAZARD_NONE);
		km_place_end(&pubs[i].handle.place);
	}
	/* nothing leaks, ever */
	ck_assert_uint_eq(slots_in_use(), named);
	for (uint32_t i = 0; i < 2; i++)
		km_place_end(&subs[i].handle.place);
	for (uint32_t i = 0; i < PUBLISHERS + 2; i++)
		free(records[i]);
	fixture_region_deinit(&f);
}

static int64_t send_by(uint32_t publisher, uint32_t value)
{
	return kickmsg_send(&pubs[publisher], &value, sizeof value);
}

/* By all publishers in turn. Returns how many went. */
static uint32_t send_till_full(void)
{
	uint32_t count = 0;

	while (send_by(count % PUBLISHERS, count) == sizeof count)
		count++;
	return count;
}

/* The frontier is at 100. The reader says `next`, and the publisher knows a floor. */
START_TEST(room_is_before_what_a_reader_needs)
{
	static const struct {
		uint64_t next, floor;
		bool room;
	} table[] = {
		{ 100, 100 - CAPACITY, true },
		{ 99, 0, true },
		{ 100 - CAPACITY + 1, 100 - CAPACITY, true },
		{ 100 - CAPACITY, 100 - CAPACITY, false },
		{ 100 - CAPACITY, 0, false },
		{ 5, 3, false },
		{ 0, 0, false },
		{ 101, 0, true }, /* lies: beyond the frontier */
		{ 100 + KM_READER_GONE, 0, true },
		{ UINT64_MAX, 0, false },        /* far behind, as differences go */
		{ 5, 100 - CAPACITY + 1, true }, /* known for good */
		{ 99, UINT64_MAX - 7, true },
	};

	setup();
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		uint64_t floor = table[i].floor;

		page.readers[0].next = table[i].next;
		ck_assert_msg(
			km_reader_has_room(&f.region, 100, &floor) == table[i].room, "row %zu", i);
		/* no floor is kept that a newcomer at the frontier could have to hold down */
		ck_assert_msg((int64_t)(floor - 100) <= 0, "row %zu", i);
	}
	km_room_say(&f.region, 0);
	uint64_t floor = 0;
	ck_assert(km_reader_has_room(&f.region, 100, &floor));
	ck_assert_uint_eq(floor, 100);
	teardown();
}
END_TEST

START_TEST(send_to_full_ring_is_refused_and_changes_nothing)
{
	setup();
	ck_assert_uint_eq(send_till_full(), CAPACITY);
	void *before = fixture_snapshot(&f);
	for (uint32_t i = 0; i < 3 * PUBLISHERS; i++) {
		pubs[i % PUBLISHERS].handle.place.cursors[0].next = CAPACITY * 2;
		ck_assert_int_eq(send_by(i % PUBLISHERS, 77), -ENOBUFS);
	}
	ck_assert(fixture_unchanged(&f, before));
	free(before);
	for (uint32_t i = 0; i < PUBLISHERS; i++)
		ck_assert_uint_eq(records[i]->messages, pubs[i].sequence);
	for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
		ck_assert_int_eq(receive(sub), i);
		/* where one was read there is room for one */
		ck_assert_int_eq(send_by(i % PUBLISHERS, CAPACITY + i), sizeof i);
		ck_assert_int_eq(send_by((i + 1) % PUBLISHERS, 77), -ENOBUFS);
	}
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	/* the ordinary one lost what it was too slow for */
	ck_assert_int_eq(receive(&subs[1]), 3 * CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&subs[1]), 3 * CAPACITY);
	teardown();
}
END_TEST

/* The publisher is alone, and knows of room: the usual case. */
START_TEST(usual_sends_are_counted)
{
	setup();
	for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
		ck_assert_int_eq(send_by(0, i), sizeof i);
		ck_assert_int_eq(receive(sub), i);
	}
	ck_assert_uint_eq(records[0]->messages, 3 * CAPACITY);
	ck_assert_uint_eq(records[0]->bytes, 3 * CAPACITY * sizeof(uint32_t));
	teardown();
}
END_TEST

/* Publishers that know of old times claim a slot, and find at the commit that there is no room. */
START_TEST(publisher_that_finds_out_late_gives_all_back)
{
	setup();
	for (uint32_t i = 0; i < CAPACITY; i++)
		ck_assert_int_eq(send_by(i % 2, i), sizeof i);
	ck_assert_uint_eq(pubs[2].handle.place.cursors[0].next, 0);
	const uint32_t used = slots_in_use();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(send_by(2, 77), -ENOBUFS);
	ck_assert_uint_eq(slots_in_use(), used);
	ck_assert_uint_eq(pubs[2].sequence, 0);
	ck_assert_int_eq(receive(sub), 0);
	ck_assert_int_eq(send_by(2, CAPACITY), sizeof(uint32_t));
	ck_assert_uint_eq(pubs[2].sequence, 1);
	for (uint32_t i = 1; i <= CAPACITY; i++)
		ck_assert_int_eq(receive(sub), i);
	teardown();
}
END_TEST

/* Each finds room for one before any of them commits: one gets in. */
START_TEST(all_publishers_after_their_look_fill_one_cell)
{
	uint32_t value = 7, in = 0;

	setup();
	for (uint32_t i = 0; i + 1 < CAPACITY; i++)
		ck_assert_int_eq(send_by(i % PUBLISHERS, i), sizeof i);
	for (uint32_t i = 0; i < PUBLISHERS; i++)
		ck_assert(km_reader_has_room(
			&f.region, 2 * CAPACITY - 1, &pubs[i].handle.place.cursors[0].head));
	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		struct km_shared_message message = { &value, sizeof value, 1, i + 1 };
		struct km_ring_cursor cursor = pubs[i].handle.place.cursors[0];
		int r = km_shared_commit(&f.region, records[i], KM_SHARED_INLINE, &message, NULL,
			&cursor.next, &cursor.head);

		in += r == 0;
		ck_assert_int_eq(r, i == 0 ? 0 : -ENOBUFS);
		km_hazard_clear(&records[i]->evicting);
	}
	ck_assert_uint_eq(in, 1);
	for (uint32_t i = 0; i + 1 < CAPACITY; i++)
		ck_assert_int_eq(receive(sub), i);
	ck_assert_int_eq(receive(sub), value);
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	teardown();
}
END_TEST

START_TEST(publish_without_room_leaves_the_loan_lent)
{
	void *loan;

	setup();
	ck_assert_int_eq(kickmsg_loan(&pubs[1], 4, &loan), 0);
	memcpy(loan, &(uint32_t){ 99 }, 4);
	for (uint32_t i = 0; i < CAPACITY; i++)
		ck_assert_int_eq(send_by(0, i), sizeof i);
	const uint32_t slot = pubs[1].handle.place.loans[0].slot;
	const uint64_t generation = f.region.slots[slot].generation;
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(kickmsg_publish(&pubs[1], loan, 4), -ENOBUFS);
		ck_assert_uint_eq(fixture_word(&f, slot), km_slot_id_word(2));
		/* a reconciler takes the next bit for another */
		ck_assert_uint_eq(f.region.slots[slot].generation, generation + i + 1);
	}
	ck_assert_int_eq(kickmsg_publish(&pubs[1], loan, 5), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_publish_wait(&pubs[1], loan, 4, 0), -ENOBUFS);
	ck_assert_int_eq(kickmsg_publish_wait(&pubs[1], loan, 4, 1), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_publish(&pubs[1], loan, 4), -ENOBUFS);
	struct kickmsg_publisher_stats stats;
	kickmsg_publisher_get_stats(&pubs[1], &stats);
	ck_assert_uint_eq(stats.no_room, 6);
	ck_assert_int_eq(receive(sub), 0);
	ck_assert_int_ge(kickmsg_publish_wait(&pubs[1], loan, 4, 0), 0);
	for (uint32_t by = 0; by < 2; by++) {
		kickmsg_publisher_get_stats(&pubs[by], &stats);
		ck_assert_uint_eq(stats.sent, by == 0 ? CAPACITY : 1);
		ck_assert_uint_eq(stats.bytes, 4 * stats.sent);
	}
	ck_assert_uint_eq(pubs[1].sequence, 1);
	ck_assert_int_eq(kickmsg_publish(&pubs[1], loan, 4), -EINVAL);
	for (uint32_t i = 1; i < CAPACITY; i++)
		ck_assert_int_eq(receive(sub), i);
	ck_assert_int_eq(receive(sub), 99);
	teardown();
}
END_TEST

START_TEST(send_many_sends_what_there_is_room_for)
{
	uint32_t values[2 * CAPACITY] = { 0 };
	struct iovec messages[2 * CAPACITY];

	for (uint32_t by = 0; by < 2; by++) {
		setup();
		for (uint32_t i = 0; i < 2 * CAPACITY; i++)
			messages[i] = (struct iovec){ &values[i], sizeof values[i] };
		ck_assert_int_eq(kickmsg_send_many(&pubs[by], messages, 2 * CAPACITY), CAPACITY);
		ck_assert_int_eq(kickmsg_send_many(&pubs[by], messages, 2 * CAPACITY), -ENOBUFS);
		ck_assert_int_eq(receive(sub), 0);
		ck_assert_int_eq(kickmsg_send_many(&pubs[by], messages, 2 * CAPACITY), 1);
		teardown();
	}
}
END_TEST

/* Where no slot is free, no message that a reader needs gives up its own. */
START_TEST(empty_pool_takes_no_message_that_is_needed)
{
	setup();
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(send_by(1, i), sizeof i);
	for (uint32_t i = 0; i < POOL; i++)
		if (fixture_word(&f, i) == 0)
			fixture_set_word(&f, i, km_slot_id_word(PUBLISHERS));
	ck_assert_int_eq(receive(sub), 0);
	ck_assert_int_eq(receive(sub), 1);
	ck_assert_int_eq(send_by(1, 4), sizeof(uint32_t));
	ck_assert_int_eq(send_by(2, 5), sizeof(uint32_t));
	ck_assert_int_eq(send_by(1, 6), -EAGAIN);
	for (uint32_t i = 2; i < 6; i++)
		ck_assert_int_eq(receive(sub), i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	for (uint32_t i = 0; i < POOL; i++)
		if (fixture_word(&f, i) == km_slot_id_word(PUBLISHERS))
			fixture_set_word(&f, i, 0);
	teardown();
}
END_TEST

/* A reader's line is written by anybody: each call ends, and what is lost by it is counted. */
START_TEST(reader_that_lies_costs_no_more_than_messages)
{
	static const uint64_t lies[] = { 0, 1, CAPACITY + 3, 3 * CAPACITY, KM_READER_GONE,
		UINT64_MAX };

	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		uint64_t sent = 0, got = 0;
		int64_t r;

		setup();
		for (uint32_t k = 0; k < 4 * CAPACITY; k++) {
			page.readers[0].next = lies[i];
			r = send_by(k % PUBLISHERS, k);
			ck_assert(r == sizeof k || r == -ENOBUFS);
			ck_assert_int_le(kickmsg_send_wait(&pubs[k % PUBLISHERS], "", 0, 1), 0);
		}
		for (uint32_t k = 0; k < PUBLISHERS; k++)
			sent += records[k]->messages;
		while ((r = receive(sub)) != -EAGAIN)
			got++;
		ck_assert_uint_eq(got + kickmsg_subscriber_lost(sub), sent);
		teardown();
	}
}
END_TEST

START_TEST(receive_after_demotion_says_so_once_by_each_way)
{
	struct kickmsg_sample samples[2];

	for (int way = 0; way < RECEIVE_WAYS; way++) {
		setup();
		ck_assert_int_eq(send_by(0, 5), sizeof(uint32_t));
		km_room_say(&f.region, 0);
		ck_assert_int_eq(receive_by(way, sub, samples, 2), -ENOLINK);
		ck_assert_int_eq(receive(sub), 5); /* what was there is still there */
		ck_assert_int_eq(receive(sub), -EAGAIN);
		for (uint32_t i = 0; i < 2 * CAPACITY; i++)
			ck_assert_int_eq(send_by(i % PUBLISHERS, i), sizeof i);
		ck_assert_int_eq(receive(sub), CAPACITY);
		ck_assert_uint_eq(kickmsg_subscriber_lost(sub), CAPACITY);
		teardown();
	}
}
END_TEST

/* --- waiting -------------------------------------------------------------------------------------- */

/* A publisher that sleeps for want of room, in the kernel. */
static void begin_wait(struct kickmsg_publisher *by)
{
	send_till_full();
	begin_wait_by(by);
}

START_TEST(send_wait_is_woken_by_a_receive)
{
	setup();
	for (int way = 0; way < 2 * RECEIVE_WAYS; way++) {
		begin_wait(&pubs[way % 2]);
		ck_assert(page.room.word & KM_BELL_ANNOUNCED);
		uint32_t before = page.room.word;
		take_by(way / 2, sub);
		ck_assert_uint_ne(page.room.word >> 2, before >> 2);
		ck_assert_int_eq(pthread_join(waiter, NULL), 0);
		ck_assert_int_eq(waited, sizeof(uint32_t));
	}
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	teardown();
}
END_TEST

/* The broker's ways: demoted, the region given up. The reader's own: it is gone from the region. */
START_TEST(send_wait_is_woken_by_the_broker)
{
	for (int way = 0; way < 3; way++) {
		setup();
		begin_wait(&pubs[way % 2]);
		if (way == 0)
			km_room_say(&f.region, 0);
		else if (way == 1)
			f.region.header->live |= KM_LIVE_QUARANTINED;
		else
			km_reader_say(&f.region, 0, CAPACITY + KM_READER_GONE);
		km_room_wake(&f.region);
		ck_assert_int_eq(pthread_join(waiter, NULL), 0);
		ck_assert_int_eq(waited, way == 1 ? -ESTALE : (int)sizeof(uint32_t));
		teardown();
	}
}
END_TEST

START_TEST(send_wait_with_little_room_sends_though_nobody_reads)
{
	struct km_ring_cursor *cursor = &pubs[0].handle.place.cursors[0];
	char buf[64];

	setup();
	for (uint32_t sent = 1; sent <= CAPACITY; sent++) {
		ck_assert_int_eq(kickmsg_send_wait(&pubs[0], "x", 1, -1), 1);
		ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), CAPACITY - sent);
	}
	ck_assert_int_eq(kickmsg_send_wait(&pubs[0], "x", 1, 1), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_try_receive_copy(sub, buf, sizeof buf), 1);
	ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), 1);
	ck_assert_int_eq(kickmsg_send_wait(&pubs[0], "x", 1, -1), 1);
	ck_assert_int_eq(kickmsg_send_wait(&pubs[0], "x", 1, 1), -ETIMEDOUT);
	/* without reliable subscribers there is always room */
	km_room_say(&f.region, 0);
	for (uint32_t i = 0; i < 2 * CAPACITY; i++)
		ck_assert_int_eq(kickmsg_send_wait(&pubs[0], "x", 1, -1), 1);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tcase = fixture_case("reliable-shared");

	tcase_add_test(tcase, room_is_before_what_a_reader_needs);
	tcase_add_test(tcase, send_to_full_ring_is_refused_and_changes_nothing);
	tcase_add_test(tcase, usual_sends_are_counted);
	tcase_add_test(tcase, publisher_that_finds_out_late_gives_all_back);
	tcase_add_test(tcase, all_publishers_after_their_look_fill_one_cell);
	tcase_add_test(tcase, publish_without_room_leaves_the_loan_lent);
	tcase_add_test(tcase, send_many_sends_what_there_is_room_for);
	tcase_add_test(tcase, empty_pool_takes_no_message_that_is_needed);
	tcase_add_test(tcase, reader_that_lies_costs_no_more_than_messages);
	tcase_add_test(tcase, receive_after_demotion_says_so_once_by_each_way);
	tcase_add_test(tcase, send_wait_is_woken_by_a_receive);
	tcase_add_test(tcase, send_wait_is_woken_by_the_broker);
	tcase_add_test(tcase, send_wait_with_little_room_sends_though_nobody_reads);
	return fixture_run("reliable-shared", tcase);
}
