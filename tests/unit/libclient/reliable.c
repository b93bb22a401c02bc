/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable subscribers on fabricated regions, no broker: publishers of all the topic's places, a reliable
 * subscriber at ring 0 and an ordinary one at ring 1. Room for MOST + 1 messages is what one publisher finds.
 *
 * The file is long because it is a list: one short case for each state.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/shared/room.h"
#include "libclient/client/client.h"
#include "libclient/handle/handle.h"
#include "libclient/rejoin/past.h"
#include "tests/support/broker/reliable.h"

#define CAPACITY   8u
#define PUBLISHERS 3u
#define MOST       (CAPACITY - PUBLISHERS)
#define POOL       64u
#define WRAP       ((UINT64_C(1) << 40) * CAPACITY) /* positions */
#define BIT(r)     (UINT64_C(1) << (r))

static struct fixture_region f;
static struct kickmsg_publisher pubs[PUBLISHERS], *pub = &pubs[0];
static struct kickmsg_subscriber subs[2], *sub = &subs[0];
static struct km_endpoint *records[PUBLISHERS + 2];

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	geometry.max_publishers = PUBLISHERS;
	geometry.max_reliable = 1;
	geometry.stall_ns = 1000000;
	ck_assert_ptr_null(km_geometry_check(&geometry));
	fixture_region_init(&f, &geometry);
	f.region.header->live = BIT(0) | BIT(1);
	km_room_say(&f.region, BIT(0));
	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		memset(&pubs[i], 0, sizeof pubs[i]);
		pubs[i].handle.place.region = f.region;
		records[i] = fixture_endpoint(KM_ROLE_PUBLISHER, i + 1, 0, 0);
		ck_assert_int_eq(km_place_publish(&pubs[i].handle.place, records[i], i + 1), 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		memset(&subs[i], 0, sizeof subs[i]);
		subs[i].handle.place.region = f.region;
		records[PUBLISHERS + i] = fixture_endpoint(
			KM_ROLE_SUBSCRIBER, 0, i, geometry.max_borrows + 1);
		ck_assert_int_eq(km_place_subscribe(&subs[i].handle.place, records[PUBLISHERS + i],
					 i, CAPACITY),
			0);
	}
	sub->handle.place.region.path |= KM_PATH_RELIABLE;
}

static void teardown(void)
{
	uint32_t used = 0;
	_Atomic uint32_t evicting;

	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		ck_assert_uint_eq(records[i]->delivering, KM_HAZARD_NONE);
		ck_assert_uint_eq(records[i]->evicting, KM_HAZARD_NONE);
		km_place_end(&pubs[i].handle.place);
	}
	for (uint32_t i = 0; i < 2; i++) {
		km_place_end(&subs[i].handle.place);
		ck_assert_int_ge(km_ring_drain(&f.region, i, &evicting), 0);
	}
	for (uint32_t i = 0; i < POOL; i++)
		used += fixture_word(&f, i) != 0;
	ck_assert_uint_eq(used, 0); /* nothing leaks, ever */
	for (uint32_t i = 0; i < PUBLISHERS + 2; i++)
		free(records[i]);
	fixture_region_deinit(&f);
}

static int64_t send_by(uint32_t publisher, uint32_t value)
{
	return kickmsg_send(&pubs[publisher], &value, sizeof value);
}

/* Returns how many went. */
static uint32_t send_till_full(uint32_t publisher)
{
	uint32_t count = 0;

	while (send_by(publisher, count) == sizeof count)
		count++;
	return count;
}

START_TEST(geometry_of_reliable_needs_cells_slots_and_a_time)
{
	static const struct {
		uint32_t max_reliable, subscribers, publishers, capacity, pool;
		uint64_t stall_ns;
		const char *bad;
	} table[] = {
		{ 1, 1, 1, 2, 0, KM_MIN_STALL_NS, NULL },
		{ KM_MAX_RINGS, KM_MAX_RINGS, 63, 64, 0, KM_MAX_STALL_NS, NULL },
		{ 0, 1, 8, 4, 2, 0, NULL },
		{ 0, 1, 1, 2, 0, KM_MIN_STALL_NS, "stall_ns" },
		{ 1, 1, 1, 2, 0, 0, "stall_ns" },
		{ 1, 1, 1, 2, 0, KM_MIN_STALL_NS - 1, "stall_ns" },
		{ 1, 1, 1, 2, 0, KM_MAX_STALL_NS + 1, "stall_ns" },
		{ 2, 1, 1, 2, 0, KM_MIN_STALL_NS, "max_reliable" },
		{ KM_MAX_RINGS + 1, KM_MAX_RINGS, 1, 2, 0, KM_MIN_STALL_NS, "max_reliable" },
		{ 1, 1, 64, 64, 0, KM_MIN_STALL_NS, "ring_capacity" },
		{ 1, 1, 1, 2, 12, KM_MIN_STALL_NS, "pool_size" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct km_geometry geometry;
		uint64_t min = 0, max = 0;

		km_geometry_init(&geometry);
		geometry.max_reliable = table[i].max_reliable;
		geometry.stall_ns = table[i].stall_ns;
		geometry.max_subscribers = table[i].subscribers;
		geometry.max_publishers = table[i].publishers;
		geometry.ring_capacity = table[i].capacity;
		geometry.pool_size = table[i].pool;
		geometry.pool_size = km_geometry_pool(&geometry, false);
		const char *bad = km_geometry_check(&geometry);
		ck_assert_msg(
			bad == table[i].bad || (bad && table[i].bad && !strcmp(bad, table[i].bad)),
			"row %zu: %s", i, bad ? bad : "good");
		if (!bad)
			continue;
		km_geometry_limits(&geometry, bad, &min, &max);
		uint64_t value = km_geometry_field(&geometry, bad);
		ck_assert_msg(value < min || value > max, "row %zu: %s from %lu to %lu", i, bad,
			min, max);
	}
}
END_TEST

/* Cursors of all ages, also where the laps wrap. */
START_TEST(room_is_there_until_most_lie_in_the_ring)
{
	static const uint64_t heads[] = { CAPACITY, CAPACITY + 3, 2 * CAPACITY - 1, WRAP - 1,
		WRAP - MOST, WRAP, WRAP + 1, WRAP / 2 - 2 };

	setup();
	for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++)
		for (uint64_t count = 0; count <= CAPACITY; count++) {
			const uint64_t head = heads[h], frontier = head + count;
			struct km_ring_cursor cursors[] = {
				{ 0 },                              /* a new publisher's */
				{ .head = head, .next = frontier }, /* it put the last one there */
				{ .head = head - 1, .next = head }, /* others did */
				{ .head = head - 2, .next = head - 1 },
			};

			fixture_ring_write(&f, 0, head, frontier, frontier);
			for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
				bool has_own = cursors[i].next != 0;
				uint64_t own = has_own ? cursors[i].next - head : count;

				/* what is known for sure is where its own last message went */
				if (has_own && (int64_t)own <= (int64_t)MOST - 2 && i != 1)
					continue;
				ck_assert_msg(km_room_is_there(&f.region, 0, &cursors[i]) ==
						      (count <= MOST),
					"head %lu, %lu messages, cursor %zu", head, count, i);
			}
		}
	for (uint32_t i = 0; i < POOL; i++)
		fixture_set_word(&f, i, 0);
	fixture_ring_write(&f, 0, CAPACITY, CAPACITY, CAPACITY);
	teardown();
}
END_TEST

START_TEST(send_full_reliable_ring_is_refused_and_changes_nothing)
{
	void *before;

	setup();
	ck_assert_uint_eq(send_till_full(0), MOST + 1);
	before = fixture_snapshot(&f);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(send_by(0, 77), -ENOBUFS);
	ck_assert(fixture_unchanged(&f, before));
	free(before);
	ck_assert_uint_eq(records[0]->messages, MOST + 1);
	for (uint32_t i = 0; i <= MOST; i++) {
		ck_assert_int_eq(receive(sub), i);
		/* a message that was taken makes room for one */
		ck_assert_int_eq(send_by(0, MOST + 1 + i), sizeof(uint32_t));
		ck_assert_int_eq(send_by(0, 77), -ENOBUFS);
	}
	for (uint32_t i = 0; i <= MOST; i++)
		ck_assert_int_eq(receive(sub), MOST + 1 + i);
	ck_assert_int_eq(receive(sub), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	/* the ordinary subscriber lost what it was too slow for */
	ck_assert_uint_eq(kickmsg_subscriber_lost(&subs[1]), 2 * (MOST + 1) - CAPACITY);
	teardown();
}
END_TEST

/* Each publisher may stand still between its look for room and its commit. */
START_TEST(all_publishers_after_their_look_push_nothing_out)
{
	struct km_ring_result result = { 0 };
	struct km_ring_cursor *cursors[PUBLISHERS];

	setup();
	/* so that the publishers' cursors are of all ages: the last one's knows nothing */
	ck_assert_int_eq(send_by(1, 0), sizeof(uint32_t));
	for (uint32_t i = 1; i < MOST; i++)
		ck_assert_int_eq(send_by(0, i), sizeof(uint32_t));
	for (uint32_t i = 0; i < PUBLISHERS; i++) {
		cursors[i] = &pubs[i].handle.place.cursors[0];
		ck_assert(km_room_is_there(&f.region, 0, cursors[i]));
	}
	for (uint32_t i = PUBLISHERS; i-- > 0;) {
		fixture_set_word(&f, POOL - 1 - i, BIT(0));
		ck_assert_int_eq(
			km_ring_commit(&f.region, 0, POOL - 1 - i, records[i], cursors[i], &result),
			0);
	}
	ck_assert_uint_eq(result.evictions, 0);
	for (uint32_t i = 0; i < PUBLISHERS; i++)
		ck_assert(!km_room_is_there(&f.region, 0, cursors[i]));
	ck_assert_uint_eq(km_place_frontier(&sub->handle.place, &(uint64_t){ 0 }), 2 * CAPACITY);
	for (uint32_t i = 0; i < MOST; i++)
		ck_assert_int_eq(receive(sub), i);
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	teardown();
}
END_TEST

/* A publisher that has sent nothing for long goes by its own last message: it may go on where others fill
 * the rest, and then pushes nothing out. */
START_TEST(late_publisher_that_takes_turns_pushes_nothing_out)
{
	setup();
	ck_assert_int_eq(send_by(2, 0), sizeof(uint32_t));
	ck_assert_uint_eq(send_till_full(0), MOST);
	ck_assert_int_eq(send_by(1, 1), -ENOBUFS);
	ck_assert_int_eq(send_by(2, 2), sizeof(uint32_t));
	for (int i = 0; i < 4; i++)
		for (uint32_t p = 0; p < 2; p++)
			ck_assert_int_eq(send_by(p, 3), -ENOBUFS);
	while (send_by(2, 4) == sizeof(uint32_t))
		;
	for (uint32_t p = 0; p < PUBLISHERS; p++) {
		struct kickmsg_publisher_stats stats;

		kickmsg_publisher_get_stats(&pubs[p], &stats);
		/* only messages of the ordinary ring could be pushed out */
		ck_assert_uint_eq(stats.evicted, 0);
	}
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	teardown();
}
END_TEST

static uint64_t no_room(const struct kickmsg_publisher *publisher)
{
	struct kickmsg_publisher_stats stats;

	kickmsg_publisher_get_stats(publisher, &stats);
	return stats.no_room;
}

START_TEST(publish_without_room_leaves_the_loan_lent)
{
	void *loan;

	setup();
	ck_assert_int_eq(kickmsg_loan(pub, 4, &loan), 0);
	ck_assert_uint_eq(send_till_full(0), MOST + 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_publish(pub, loan, 4), -ENOBUFS);
	ck_assert_int_eq(kickmsg_publish(pub, loan, 5), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_publish_wait(pub, loan, 4, 0), -ENOBUFS);
	ck_assert_int_eq(kickmsg_publish_wait(pub, loan, 4, 1), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_publish_wait(pub, NULL, 4, -1), -EINVAL);
	/* the last one of send_till_full() as well; the one that waited and tried again counts once */
	ck_assert_uint_eq(no_room(pub), 6);
	ck_assert_int_eq(receive(sub), 0);
	ck_assert_int_eq(kickmsg_publish_wait(pub, loan, 4, 0), 2);
	ck_assert_int_eq(kickmsg_publish(pub, loan, 4), -EINVAL);
	ck_assert_uint_eq(records[0]->messages, MOST + 2);
	ck_assert_uint_eq(records[0]->bytes, 4 * (MOST + 2));
	teardown();
}
END_TEST

START_TEST(send_many_sends_what_there_is_room_for)
{
	uint32_t values[2 * CAPACITY] = { 0 };
	struct iovec messages[2 * CAPACITY];

	setup();
	for (uint32_t i = 0; i < 2 * CAPACITY; i++)
		messages[i] = (struct iovec){ &values[i], sizeof values[i] };
	ck_assert_int_eq(kickmsg_send_many(pub, messages, 2 * CAPACITY), MOST + 1);
	ck_assert_int_eq(kickmsg_send_many(pub, messages, 2 * CAPACITY), -ENOBUFS);
	ck_assert_int_eq(receive(sub), 0);
	ck_assert_int_eq(kickmsg_send_many(pub, messages, 2 * CAPACITY), 1);
	teardown();
}
END_TEST

/* Nobody waits for room in a ring that isn't live, or isn't reliable (any more). */
START_TEST(send_waits_for_live_reliable_rings_alone)
{
	static const struct {
		uint64_t live, reliable;
		bool waits;
	} table[] = { { 3, 1, true }, { 2, 1, false }, { 3, 0, false }, { 3, 2, true },
		{ 1, 2, false }, { 3, 3, true }, { 0, 3, false } };

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		setup();
		ck_assert_uint_eq(send_till_full(0), MOST + 1);
		f.region.header->live = table[i].live;
		km_room_say(&f.region, table[i].reliable);
		ck_assert_int_eq(send_by(0, 1), table[i].waits ? -ENOBUFS : (int)sizeof(uint32_t));
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
			ck_assert_int_eq(send_by(0, i), sizeof(uint32_t));
		ck_assert_uint_eq(kickmsg_subscriber_lost(sub), CAPACITY);
		teardown();
	}
}
END_TEST

START_TEST(corrupt_reliable_ring_ends_each_call)
{
	static const uint64_t heads[] = { 0, 1, CAPACITY + 5, 3 * CAPACITY, WRAP, UINT64_MAX };

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
		for (int full = 0; full < 2; full++) {
			setup();
			if (full)
				send_till_full(0);
			km_region_ring(&f.region, 0)->head = heads[i];
			/* each send ends, and none says that it sent what it didn't */
			for (uint32_t p = 0; p < PUBLISHERS; p++) {
				int64_t r = send_by(p, 1);
				ck_assert(r == -ENOBUFS || r == -ESTALE || r == sizeof(uint32_t));
				ck_assert_int_le(kickmsg_send_wait(&pubs[p], "x", 1, 1), 1);
			}
			km_region_ring(&f.region, 0)->head = CAPACITY;
			memset((void *)f.region.slots, 0, POOL * sizeof *f.region.slots);
			memset(&records[0]->messages, 0, sizeof records[0]->messages);
			fixture_ring_write(&f, 0, CAPACITY, CAPACITY, CAPACITY);
			fixture_ring_write(&f, 1, CAPACITY, CAPACITY, CAPACITY);
			teardown();
		}
}
END_TEST

/* --- a publisher that goes to another region -------------------------------------------------------- */

/* The other region is full for its reliable subscriber, and all its slots are others' loans. */
static struct fixture_region other;
static struct km_endpoint *other_record;
static struct kickmsg_client *client;

static void prepare_other(void)
{
	struct km_place *fresh = calloc(1, sizeof *fresh);

	fixture_region_init(&other, &f.region.geometry);
	fixture_ring_write(&other, 0, CAPACITY, CAPACITY + MOST + 1, CAPACITY + MOST + 1);
	other.region.header->live = BIT(0);
	km_room_say(&other.region, BIT(0));
	for (uint32_t i = 0; i < POOL; i++)
		if (fixture_word(&other, i) == 0)
			fixture_set_word(&other, i, km_slot_id_word(2));
	fresh->region = other.region;
	other_record = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	ck_assert_int_eq(km_place_publish(fresh, other_record, 1), 0);
	client = calloc(1, sizeof *client);
	pthread_mutex_init(&client->lock, NULL);
	client->connection = 1; /* which no place came by: nobody is told */
	client->poked_ns = client->look_ns = INT64_MAX / 2;
	pub->handle.client = client;
	pub->handle.fresh = fresh;
}

static void forget_other(void)
{
	km_past_settle(&pub->handle.place, true);
	pub->handle.client = NULL;
	free(client);
	for (uint32_t i = 0; i < POOL; i++) {
		if (fixture_word(&other, i) == km_slot_id_word(2))
			fixture_set_word(&other, i, 0);
		/* the publisher left nothing where it was */
		ck_assert_uint_eq(fixture_word(&f, i), 0);
	}
}

static void *page;

/* The bytes of a message are read by its send for the first time: now the region is left. */
static void on_first_look(int number)
{
	f.region.header->live |= KM_LIVE_LEFT;
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE) < 0)
		abort();
}

/* The publisher has claimed a slot and then goes, with the message, to a region without room. The slot is given
 * back once, in the region that it is of. */
START_TEST(send_that_moves_and_is_refused_frees_its_slot_once)
{
	struct sigaction action = { .sa_handler = on_first_look };

	setup();
	prepare_other();
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	void *before = fixture_snapshot(&other);
	ck_assert_int_eq(kickmsg_send(pub, page, 8), -ENOBUFS);
	ck_assert_ptr_eq(pub->handle.place.region.header, other.region.header);
	ck_assert(fixture_unchanged(&other, before));
	ck_assert_int_eq(kickmsg_send(pub, page, 8), -ENOBUFS);
	ck_assert(fixture_unchanged(&other, before));
	free(before);
	munmap(page, 4096);
	forget_other();
	teardown();
	free(other_record);
	fixture_region_deinit(&other);
}
END_TEST

/* The publisher has claimed a slot and then goes, with the message, to a region with room for one. It is sent
 * there, once. */
START_TEST(send_that_moves_is_sent_once)
{
	struct sigaction action = { .sa_handler = on_first_look };
	const uint64_t frontier = CAPACITY + MOST + 1;

	setup();
	prepare_other();
	km_region_ring(&other.region, 0)->head++;
	fixture_set_word(&other, fixture_slot_at(&other, CAPACITY), 0);
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	const uint64_t next_cell = fixture_cell(&other, 0, frontier + 1);
	ck_assert_int_eq(kickmsg_send(pub, page, 8), 8);
	ck_assert_ptr_eq(pub->handle.place.region.header, other.region.header);
	ck_assert_uint_eq(km_cell_laps_ahead(fixture_cell(&other, 0, frontier), frontier,
				  other.region.cell_shift),
		0);
	ck_assert_uint_eq(fixture_cell(&other, 0, frontier + 1), next_cell);
	ck_assert_uint_eq(other_record->messages, 1);
	ck_assert_int_eq(kickmsg_send(pub, page, 8), -ENOBUFS);
	munmap(page, 4096);
	forget_other();
	teardown();
	free(other_record);
	fixture_region_deinit(&other);
}
END_TEST

/* A loan stays lent in the region that is left, until there is room in the other one. */
START_TEST(publish_that_moves_and_is_refused_leaves_the_loan_lent)
{
	void *loan;

	setup();
	ck_assert_int_eq(kickmsg_loan(pub, 4, &loan), 0);
	const uint32_t slot = pub->handle.place.loans[0].slot;
	prepare_other();
	f.region.header->live |= KM_LIVE_LEFT;
	void *before = fixture_snapshot(&other);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kickmsg_publish(pub, loan, 4), -ENOBUFS);
		ck_assert_uint_eq(fixture_word(&f, slot), km_slot_id_word(1));
		ck_assert(fixture_unchanged(&other, before));
	}
	free(before);
	km_region_ring(&other.region, 0)->head++; /* one is taken */
	fixture_set_word(&other, fixture_slot_at(&other, CAPACITY), 0);
	ck_assert_int_eq(kickmsg_publish(pub, loan, 4), 1);
	ck_assert_int_eq(kickmsg_publish(pub, loan, 4), -EINVAL);
	ck_assert_int_eq(kickmsg_discard(pub, loan), -EINVAL);
	forget_other();
	teardown();
	free(other_record);
	fixture_region_deinit(&other);
}
END_TEST

/* --- waiting -------------------------------------------------------------------------------------- */

/* Starts a publisher that sleeps in the kernel for want of room. */
static void begin_wait(void)
{
	send_till_full(0);
	begin_wait_by(pub);
}

/* The word of the sleep. It is unchanged where the sleep ends without a wake. */
static uint32_t room_word(void)
{
	return f.region.header->room.word;
}

START_TEST(send_wait_is_woken_by_a_receive)
{
	setup();
	for (int way = 0; way < RECEIVE_WAYS; way++) {
		begin_wait();
		ck_assert(room_word() & KM_BELL_ANNOUNCED);
		uint32_t before = room_word();
		take_by(way, sub);
		ck_assert_uint_ne(room_word() >> 2, before >> 2);
		ck_assert_int_eq(pthread_join(waiter, NULL), 0);
		ck_assert_int_eq(waited, sizeof(uint32_t));
	}
	ck_assert_uint_eq(kickmsg_subscriber_lost(sub), 0);
	teardown();
}
END_TEST

/* The broker's ways: demoted, its ring closed, the region given up. */
START_TEST(send_wait_is_woken_by_the_broker)
{
	for (int way = 0; way < 3; way++) {
		setup();
		begin_wait();
		if (way == 0)
			km_room_say(&f.region, 0);
		else if (way == 1)
			km_and(L2, release, &f.region.header->live, ~BIT(0));
		else
			f.region.header->live |= KM_LIVE_QUARANTINED;
		km_room_wake(&f.region);
		ck_assert_int_eq(pthread_join(waiter, NULL), 0);
		ck_assert_int_eq(waited, way == 2 ? -ESTALE : (int)sizeof(uint32_t));
		teardown();
	}
}
END_TEST

static void on_signal(int number)
{
}

START_TEST(send_wait_ends_with_a_signal)
{
	struct sigaction action = { .sa_handler = on_signal };

	setup();
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	begin_wait();
	/* a publisher that can't tell a broker looks each ms, and a signal between two of its
	 * sleeps ends none of them */
	while (waited == 0) {
		ck_assert_int_eq(pthread_kill(waiter, SIGUSR1), 0);
		sched_yield();
	}
	ck_assert_int_eq(pthread_join(waiter, NULL), 0);
	ck_assert_int_eq(waited, -EINTR);
	ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, 0), -ENOBUFS);
	ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, 1), -ETIMEDOUT);
	teardown();
}
END_TEST

/* Others have left the region, and no fresh one is there. A publisher that looks for room before it sleeps finds
 * none there, however often it is woken: each of its looks is in vain. */
START_TEST(send_wait_in_a_region_that_is_left_looks_in_vain)
{
	setup();
	pub->spin_ns = 1000;
	send_till_full(0);
	f.region.header->live |= KM_LIVE_LEFT;
	ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, 1000000), -ETIMEDOUT);
	ck_assert_uint_ge(pub->spins_in_vain, 1);
	teardown();
}
END_TEST

START_TEST(count_of_room_is_what_a_send_finds)
{
	struct km_ring_cursor *cursor = &pub->handle.place.cursors[0];
	struct kickmsg_sample sample;

	setup();
	f.region.header->live = BIT(0);
	for (uint32_t sent = 1; send_by(0, sent) > 0; sent++)
		ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), MOST + 1 - sent);
	ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), 0);
	ck_assert_int_eq(kickmsg_try_receive(sub, &sample), 0);
	kickmsg_sample_release(&sample);
	ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), 1);
	/* a head that makes no sense is as good as any: it is a hint */
	km_store(R6, relaxed, &km_region_ring(&f.region, 0)->head, 0);
	ck_assert_uint_eq(km_room_count(&f.region, 0, cursor), 0);
	km_store(R6, relaxed, &km_region_ring(&f.region, 0)->head, CAPACITY + 1);
	teardown();
}
END_TEST

/* There is room for one message, less than a publisher waits for, and nobody reads on. */
START_TEST(send_wait_with_little_room_sends_though_nobody_reads)
{
	struct kickmsg_sample sample;

	setup();
	f.region.header->live = BIT(0);
	ck_assert_uint_eq(send_till_full(0), MOST + 1);
	ck_assert_int_eq(kickmsg_try_receive(sub, &sample), 0);
	kickmsg_sample_release(&sample);
	ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, -1), 1);
	ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, 1), -ETIMEDOUT);
	/* an ordinary subscriber's oldest messages are pushed out */
	km_room_say(&f.region, 0);
	for (uint32_t i = 0; i < 2 * CAPACITY; i++)
		ck_assert_int_eq(kickmsg_send_wait(pub, "x", 1, -1), 1);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tcase = fixture_case("reliable");

	tcase_add_test(tcase, geometry_of_reliable_needs_cells_slots_and_a_time);
	tcase_add_test(tcase, room_is_there_until_most_lie_in_the_ring);
	tcase_add_test(tcase, send_full_reliable_ring_is_refused_and_changes_nothing);
	tcase_add_test(tcase, all_publishers_after_their_look_push_nothing_out);
	tcase_add_test(tcase, late_publisher_that_takes_turns_pushes_nothing_out);
	tcase_add_test(tcase, publish_without_room_leaves_the_loan_lent);
	tcase_add_test(tcase, send_many_sends_what_there_is_room_for);
	tcase_add_test(tcase, send_waits_for_live_reliable_rings_alone);
	tcase_add_test(tcase, receive_after_demotion_says_so_once_by_each_way);
	tcase_add_test(tcase, corrupt_reliable_ring_ends_each_call);
	tcase_add_test(tcase, send_that_moves_and_is_refused_frees_its_slot_once);
	tcase_add_test(tcase, send_that_moves_is_sent_once);
	tcase_add_test(tcase, publish_that_moves_and_is_refused_leaves_the_loan_lent);
	tcase_add_test(tcase, send_wait_is_woken_by_a_receive);
	tcase_add_test(tcase, send_wait_is_woken_by_the_broker);
	tcase_add_test(tcase, send_wait_ends_with_a_signal);
	tcase_add_test(tcase, send_wait_in_a_region_that_is_left_looks_in_vain);
	tcase_add_test(tcase, count_of_room_is_what_a_send_finds);
	tcase_add_test(tcase, send_wait_with_little_room_sends_though_nobody_reads);
	return fixture_run("reliable", tcase);
}
