/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's hot path on fabricated regions, no broker: a publisher (id 1) and two subscribers
 * (rings 0 and 1), and what each public call does to the memory.
 * (Long, because it is a list: one short case for each call and state, over one fixture.)
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "libclient/handle/handle.h"
#include "libclient/rejoin/move.h"
#include "libclient/rejoin/past.h"
#include "tests/support/broker/fixture.h"

#define CAPACITY 4u
#define BIT(r)   (UINT64_C(1) << (r))

static struct fixture_region f;
static struct kickmsg_publisher pub;
static struct kickmsg_subscriber sub[2];
static struct km_endpoint *records[3];
static char buf[128];

static void setup(uint32_t capacity, uint32_t pool)
{
	struct km_geometry geometry = fixture_geometry(capacity, pool);

	fixture_region_init(&f, &geometry);
	memset(&pub, 0, sizeof pub);
	memset(sub, 0, sizeof sub);
	f.region.header->live = BIT(0) | BIT(1);
	pub.handle.place.region = f.region;
	records[2] = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	ck_assert_int_eq(km_place_publish(&pub.handle.place, records[2], 1), 0);
	for (uint32_t i = 0; i < 2; i++) {
		sub[i].handle.place.region = f.region;
		records[i] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, i, geometry.max_borrows + 1);
		ck_assert_int_eq(
			km_place_subscribe(&sub[i].handle.place, records[i], i, capacity), 0);
	}
}

static uint32_t slots_free(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < f.region.geometry.pool_size; i++)
		count += fixture_word(&f, i) == 0;
	return count;
}

static void hazards_clear(void)
{
	ck_assert_uint_eq(records[2]->delivering, KM_HAZARD_NONE);
	ck_assert_uint_eq(records[2]->evicting, KM_HAZARD_NONE);
}

static void teardown(void)
{
	hazards_clear();
	km_place_end(&pub.handle.place);
	for (uint32_t i = 0; i < 2; i++) {
		km_place_end(&sub[i].handle.place);
		for (uint32_t k = 0; k <= f.region.geometry.max_borrows; k++)
			ck_assert_uint_eq(records[i]->held[k], KM_HAZARD_NONE);
		_Atomic uint32_t evicting;
		ck_assert_int_ge(km_ring_drain(&f.region, i, &evicting), 0);
	}
	ck_assert_uint_eq(slots_free(), f.region.geometry.pool_size); /* nothing leaks, ever */
	for (uint32_t i = 0; i < 3; i++)
		free(records[i]);
	fixture_region_deinit(&f);
}

static int64_t send_u32(uint32_t value)
{
	return kickmsg_send(&pub, &value, sizeof value);
}

static int64_t receive_u32(uint32_t i)
{
	uint32_t value;
	ssize_t n = kickmsg_try_receive_copy(&sub[i], &value, sizeof value);

	return n < 0 ? n : value;
}

/* Counted are subscribers whose rings are live and aren't left out. */
START_TEST(publish_says_how_many_it_reached)
{
	static const struct {
		uint64_t live, rings;
		int count;
	} table[] = { { 3, 3, 2 }, { 1, 3, 1 }, { 3, 2, 1 }, { 0, 3, 0 }, { 3, 3, 2 } };
	void *loan;

	setup(CAPACITY, 16);
	ck_assert_uint_eq(kickmsg_publisher_reached(&pub), 0);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		f.region.header->live = table[i].live;
		pub.handle.place.rings = table[i].rings;
		ck_assert_int_eq(kickmsg_loan(&pub, 1, &loan), 0);
		ck_assert_int_eq(kickmsg_publish(&pub, loan, 1), table[i].count);
		ck_assert_int_eq(kickmsg_send(&pub, "x", 1), 1);
		ck_assert_uint_eq(kickmsg_publisher_reached(&pub), (uint32_t)table[i].count);
	}
	teardown();
}
END_TEST

START_TEST(send_two_live_rings_both_receive)
{
	setup(CAPACITY, 16);
	ck_assert_int_eq(kickmsg_send(&pub, "hello", 5), 5);
	ck_assert_uint_eq(slots_free(), 15);
	for (uint32_t i = 0; i < 2; i++) {
		struct kickmsg_sample sample;

		ck_assert_int_eq(kickmsg_try_receive(&sub[i], &sample), 0);
		ck_assert_uint_eq(sample.len, 5);
		ck_assert_int_eq(memcmp(sample.data, "hello", 5), 0);
		ck_assert_uint_eq((uintptr_t)sample.data % 64, 0);
		ck_assert_uint_eq(sample.ring_pos, CAPACITY);
		ck_assert_uint_eq(sample.publisher_id, 1);
		ck_assert_uint_eq(sample.publisher_sequence, 1);
		ck_assert_uint_eq(slots_free(), 15);
		struct kickmsg_sample copy = sample;

		ck_assert_int_eq(kickmsg_sample_is_held(&sample), 1);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		ck_assert_int_eq(kickmsg_sample_is_held(&sample), 0);
		ck_assert_int_eq(kickmsg_sample_is_held(&copy), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), -EINVAL);
	}
	ck_assert_uint_eq(slots_free(), 16); /* consumed: free at once */
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(records[2]->messages, 1);
	ck_assert_uint_eq(records[2]->bytes, 5);
	teardown();
}
END_TEST

START_TEST(send_no_live_ring_slot_free_again)
{
	setup(CAPACITY, 16);
	f.region.header->live = 0;
	ck_assert_int_eq(send_u32(7), 4);
	ck_assert_uint_eq(slots_free(), 16);
	hazards_clear();
	teardown();
}
END_TEST

START_TEST(send_live_bits_beyond_geometry_ignored)
{
	setup(CAPACITY, 16);
	f.region.header->live = BIT(0) | BIT(4) | BIT(47) | BIT(62);
	ck_assert_int_eq(send_u32(7), 4);
	ck_assert_int_eq(receive_u32(0), 7);
	ck_assert_uint_eq(slots_free(), 16);
	teardown();
}
END_TEST

START_TEST(send_each_length_limit)
{
	setup(CAPACITY, 16);
	memset(buf, 'x', sizeof buf);
	ck_assert_int_eq(kickmsg_send(&pub, buf, 64), 64);
	ck_assert_int_eq(kickmsg_send(&pub, buf, 65), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_send(&pub, buf, SIZE_MAX), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_send(&pub, NULL, 0), 0);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 64), 64);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 64), 0);
	ck_assert_uint_eq(slots_free(), 14);
	teardown();
}
END_TEST

/* Every slot is somebody's: found only after a look at all; then the one that is free is found. */
START_TEST(send_exhausted_pool_eagain_until_any_slot_free)
{
	for (uint32_t only = 0; only < 16; only++) {
		setup(CAPACITY, 16);
		for (uint32_t i = 0; i < 16; i++)
			fixture_set_word(&f, i, km_slot_id_word(2));
		ck_assert_int_eq(send_u32(1), -EAGAIN);
		ck_assert_uint_eq(records[2]->failed, 1);
		fixture_set_word(&f, only, 0);
		ck_assert_int_eq(send_u32(2), 4);
		ck_assert_uint_eq(fixture_word(&f, only), BIT(0) | BIT(1));
		for (uint32_t i = 0; i < 16; i++)
			if (i != only)
				fixture_set_word(&f, i, 0);
		teardown();
	}
}
END_TEST

/* The pool is full of messages in a ring that nobody has any more. */
START_TEST(send_exhausted_pool_takes_from_ring_not_live)
{
	setup(CAPACITY, 4);
	fixture_ring_write(&f, 3, 100, 104, 104);
	ck_assert_uint_eq(slots_free(), 0);
	ck_assert_int_eq(send_u32(9), 4);
	ck_assert_uint_eq(fixture_head(&f, 3), 104);
	ck_assert_int_eq(receive_u32(1), 9);
	teardown();
}
END_TEST

START_TEST(send_exhausted_pool_never_takes_from_live_ring)
{
	setup(CAPACITY, 4);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(send_u32(i), 4);
	ck_assert_int_eq(send_u32(4), -EAGAIN);
	ck_assert_uint_eq(fixture_head(&f, 0), CAPACITY);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(receive_u32(0), i);
	teardown();
}
END_TEST

START_TEST(send_quarantined_estale_slot_free)
{
	setup(CAPACITY, 16);
	f.region.header->live |= KM_LIVE_QUARANTINED;
	ck_assert_int_eq(send_u32(1), -ESTALE);
	ck_assert_int_eq(receive_u32(0), -ESTALE);
	ck_assert_int_eq(kickmsg_receive_copy(&sub[0], buf, 64, -1), -ESTALE);
	ck_assert_uint_eq(slots_free(), 16);
	hazards_clear();
	teardown();
}
END_TEST

/* One ring makes no sense: its bit is dropped, the other ring gets the message. */
START_TEST(send_one_corrupt_ring_estale_others_get_it)
{
	setup(CAPACITY, 16);
	struct km_ring *ring = km_region_ring(&f.region, 0);
	for (uint32_t i = 0; i < CAPACITY; i++)
		ring->cells[i] = km_cell_word(UINT64_C(1) << 39, 0);
	ck_assert_int_eq(send_u32(5), -ESTALE);
	ck_assert_int_eq(receive_u32(1), 5);
	ck_assert_uint_eq(slots_free(), 16);
	ck_assert_int_eq(receive_u32(0), -ESTALE);
	hazards_clear();
	for (uint32_t i = 0; i < CAPACITY; i++)
		ring->cells[i] = 0;
	teardown();
}
END_TEST

/* received + lost = sent, for a subscriber that takes every third. */
START_TEST(receive_overrun_lost_is_exact)
{
	setup(CAPACITY, 16);
	uint32_t received = 0;
	for (uint32_t sent = 0; sent < 50; sent++) {
		ck_assert_int_eq(send_u32(sent), 4);
		while (receive_u32(1) >= 0)
			;
		if (sent % 3 == 2) {
			ck_assert_int_eq(
				receive_u32(0), received + kickmsg_subscriber_lost(&sub[0]));
			received++;
		}
		uint64_t waiting = sent + 1 - received - kickmsg_subscriber_lost(&sub[0]);
		ck_assert_uint_le(waiting, CAPACITY);
	}
	while (receive_u32(0) >= 0)
		received++;
	ck_assert_uint_eq(received + kickmsg_subscriber_lost(&sub[0]), 50);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[1]), 0);
	ck_assert_uint_eq(records[2]->evicted, kickmsg_subscriber_lost(&sub[0]));
	ck_assert_uint_eq(records[0]->lost, kickmsg_subscriber_lost(&sub[0]));
	teardown();
}
END_TEST

START_TEST(receive_hazard_names_sample_until_release)
{
	struct kickmsg_sample samples[3], more;

	setup(CAPACITY, 16);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(send_u32(i), 4);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &samples[i]), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &more), -EDQUOT);
	uint32_t named = 0;
	for (uint32_t k = 0; k <= 3; k++)
		named += records[0]->held[k] != KM_HAZARD_NONE;
	ck_assert_uint_eq(named, 3);
	for (uint32_t i = 0; i < 30; i++) /* whatever goes by, a borrowed sample stands */
		ck_assert_int_eq(send_u32(100 + i), 4);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(*(const uint32_t *)samples[i].data, i);
	ck_assert_int_eq(kickmsg_sample_release(&samples[1]), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &samples[1]), 0);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_sample_release(&samples[i]), 0);
	teardown();
}
END_TEST

START_TEST(receive_copy_too_long_stays_and_hazard_stays)
{
	struct kickmsg_sample sample;

	/* so many more are sent, which fit into the ring or push each other out */
	for (uint32_t more = CAPACITY; more <= 10; more += 10 - CAPACITY) {
		setup(CAPACITY, 16);
		ck_assert_int_eq(send_u32(99), 4);
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample), 0);
		ck_assert_int_eq(kickmsg_send(&pub, "twelve bytes", 12), 12);
		ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 11), -EMSGSIZE);
		ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 0), -EMSGSIZE);
		/* a hold is free now, and not for a message behind the one that stays */
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		for (uint32_t i = 0; i < more; i++)
			ck_assert_int_eq(send_u32(i), 4);
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample), 0);
		ck_assert_int_eq(memcmp(sample.data, "twelve bytes", 12), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		ck_assert_int_eq(receive_u32(0), more - CAPACITY);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), more - CAPACITY);
		teardown();
	}
}
END_TEST

/* Written by a hostile publisher after the commit. */
START_TEST(receive_sample_length_lies_estale_slot_free)
{
	setup(CAPACITY, 16);
	ck_assert_int_eq(send_u32(1), 4);
	for (uint32_t i = 0; i < 16; i++)
		km_region_sample(&f.region, i)->len = 65;
	ck_assert_int_eq(receive_u32(0), -ESTALE);
	ck_assert_int_eq(receive_u32(1), -ESTALE);
	ck_assert_uint_eq(slots_free(), 16);
	teardown();
}
END_TEST

/* A ring that was opened since: what was sent before is counted there, once for each opening. */
START_TEST(send_ring_opened_meanwhile_lost_before_is_exact)
{
	setup(CAPACITY, 16);
	struct km_ring *ring = km_region_ring(&f.region, 1);
	f.region.header->live = BIT(0);
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_int_eq(send_u32(i), 4);
	for (uint32_t opened = 1; opened < 4; opened++) {
		km_lost_open(ring);
		f.region.header->live = BIT(0) | BIT(1) | opened * KM_LIVE_OPENING;
		for (uint32_t i = 0; i < 3; i++)
			ck_assert_int_eq(send_u32(i), 4);
		ck_assert_uint_eq(km_lost_before(ring), 5 + 3 * (opened - 1));
	}
	ck_assert_uint_eq(km_lost_before(km_region_ring(&f.region, 0)), 0);
	teardown();
}
END_TEST

/* Subscriber 0 has left the region and subscriber 1 is still there. Subscriber 1 gets messages
 * until its ring is closed; later ones are counted for it. */
START_TEST(send_left_region_delivers_and_counts_lost_after)
{
	setup(CAPACITY, 16);
	struct km_ring *ring = km_region_ring(&f.region, 1);
	km_lost_open(ring);
	ck_assert_int_eq(send_u32(1), 4);
	km_past_announce(&sub[0].handle.place);
	ck_assert_int_eq(send_u32(2), 4);
	ck_assert_uint_eq(km_lost_after(ring), 0);
	f.region.header->live &= ~BIT(1);
	for (uint32_t i = 3; i < 6; i++)
		ck_assert_int_eq(send_u32(i), 4);
	ck_assert_uint_eq(km_lost_after(ring), 3);
	ck_assert_uint_eq(km_lost_after(km_region_ring(&f.region, 0)), 0);
	for (uint32_t i = 1; i < 3; i++)
		ck_assert_int_eq(receive_u32(1), i);
	ck_assert_int_eq(receive_u32(1), -EAGAIN);
	ck_assert_int_eq(receive_u32(0), 2);
	teardown();
}
END_TEST

START_TEST(receive_timeouts_as_documented)
{
	struct kickmsg_sample sample;

	setup(CAPACITY, 16);
	ck_assert_int_eq(kickmsg_receive(&sub[0], 0, &sample), -EAGAIN);
	ck_assert_int_eq(kickmsg_receive(&sub[0], 1000, &sample), -ETIMEDOUT);
	sub[0].spin_ns = 1000;
	ck_assert_int_eq(kickmsg_receive(&sub[0], 2000, &sample), -ETIMEDOUT);
	ck_assert_uint_eq(km_region_ring(&f.region, 0)->waiting & KM_WAITING_ASLEEP, 0);
	ck_assert_int_eq(send_u32(3), 4);
	ck_assert_int_eq(kickmsg_receive(&sub[0], -1, &sample), 0);
	ck_assert_int_eq(kickmsg_receive_copy(&sub[1], buf, 64, INT64_MAX), 4);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	teardown();
}
END_TEST

/* With a spin that never ends, a subscriber that sleeps has given up spinning. */
START_TEST(receive_spins_in_vain_sleeps)
{
	struct kickmsg_sample sample;

	setup(CAPACITY, 16);
	sub[0].spin_ns = 1000;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(kickmsg_receive(&sub[0], 2000000, &sample), -ETIMEDOUT);
	sub[0].spin_ns = INT64_MAX;
	pid_t pid = fork();
	if (pid == 0)
		_exit(kickmsg_receive_copy(&sub[0], buf, 64, -1) == 4 ? 0 : 1);
	ck_assert(fixture_wait_futex(pid));
	ck_assert_int_eq(send_u32(3), 4);
	ck_assert_int_eq(fixture_reap(pid), 0);
	/* A spin that finds a message makes later spins worth while again. Where this process is
	 * slow, the message is there before the spin, so it is tried several times. */
	for (int i = 0; i < 100 && sub[0].spins_in_vain > 0; i++) {
		sub[0].spins_in_vain = 16;
		pid = fork();
		if (pid == 0) {
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
			_exit(send_u32(4) == 4 ? 0 : 1);
		}
		ck_assert_int_eq(kickmsg_receive_copy(&sub[0], buf, 64, -1), 4);
		ck_assert_int_eq(fixture_reap(pid), 0);
	}
	ck_assert_uint_eq(sub[0].spins_in_vain, 0);
	teardown();
}
END_TEST

START_TEST(send_sleeping_ring_told)
{
	setup(CAPACITY, 16);
	struct km_ring *ring = km_region_ring(&f.region, 1);
	uint32_t word = km_waiter_announce(ring);
	ck_assert_int_eq(send_u32(3), 4);
	ck_assert_uint_eq(ring->waiting,
		(word + KM_WAITING_GENERATION) | KM_WAITING_ASLEEP | KM_WAITING_WOKEN);
	ck_assert_uint_eq(km_region_ring(&f.region, 0)->waiting, 0);
	teardown();
}
END_TEST

START_TEST(loan_several_limit_and_shortened_publish)
{
	void *a, *b, *c = NULL;

	setup(CAPACITY, 16);
	ck_assert_int_eq(kickmsg_loan(&pub, 65, &a), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_loan(&pub, 64, &a), 0);
	ck_assert_int_eq(kickmsg_loan(&pub, 10, &b), 0);
	ck_assert_int_eq(kickmsg_loan(&pub, 10, &c), -EDQUOT);
	ck_assert_ptr_null(c);
	ck_assert(a != b && (uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
	memset(a, 'a', 64);
	ck_assert_int_eq(kickmsg_publish(&pub, b, 11), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_publish(&pub, buf, 1), -EINVAL);
	ck_assert_int_eq(kickmsg_publish(&pub, a, 3), 2);
	ck_assert_int_eq(kickmsg_publish(&pub, a, 3), -EINVAL);
	ck_assert_int_eq(kickmsg_discard(&pub, a), -EINVAL);
	ck_assert_int_eq(kickmsg_discard(&pub, b), 0);
	ck_assert_int_eq(kickmsg_discard(&pub, b), -EINVAL);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 64), 3);
	ck_assert_int_eq(memcmp(buf, "aaa", 3), 0);
	ck_assert_uint_eq(slots_free(), 15);
	teardown();
}
END_TEST

/* deinit gives back what is out; teardown() counts the pool. */
START_TEST(deinit_loans_and_samples_out_all_back)
{
	struct kickmsg_sample sample;
	void *loan;

	setup(CAPACITY, 16);
	ck_assert_int_eq(send_u32(1), 4);
	ck_assert_int_eq(kickmsg_loan(&pub, 1, &loan), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &sample), 0);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[1], buf, 1), -EMSGSIZE);
	teardown();
}
END_TEST

/* A ring of one cell and the smallest pool that it needs. */
START_TEST(send_ring_of_one_newest_survives)
{
	setup(1, 3);
	for (uint32_t i = 0; i < 20; i++)
		ck_assert_int_eq(send_u32(i), 4);
	ck_assert_int_eq(receive_u32(0), 19);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 19);
	teardown();
}
END_TEST

/* --- going over to a fresh region ------------------------------------------------------------------ */

static struct kickmsg_client client;

/* A fresh place in the same region, at ring 1 or with id 2: what it is in doesn't matter here. */
static struct km_place *prepare(struct km_handle *handle)
{
	struct km_place *fresh = calloc(1, sizeof *fresh);

	client.link = KM_LINK_UP;
	pthread_mutex_init(&client.turn, NULL);
	pthread_mutex_init(&client.lock, NULL);
	client.poll_fd = client.socket = client.timer_fd = -1;
	client.pid = getpid();
	/* the publisher departs when it has moved, and not before */
	f.region.header->publishers = 1;
	fresh->region = f.region;
	if (handle->place.role == KM_ROLE_PUBLISHER)
		ck_assert_int_eq(km_place_publish(fresh, records[2], 2), 0);
	else
		ck_assert_int_eq(km_place_subscribe(fresh, records[1], 1, CAPACITY + 3), 0);
	if (handle->place.role == KM_ROLE_PUBLISHER)
		fresh->greeted[3] = fresh->cursors[3].next = 5;
	else
		/* A field that a move by hand, one field after the other, once forgot. */
		fresh->own_lost = 5;
	handle->client = &client;
	handle->fresh = fresh;
	return fresh;
}

/* Fields that a place takes along from the one before it; all else is swapped. */
static void forget_what_goes_along(struct km_place *place)
{
	place->past = NULL;
	if (place->role == KM_ROLE_PUBLISHER) {
		place->live = place->base = 0;
		place->rings = 0;
	} else {
		place->offset = place->lost_before = 0;
		place->closed = false;
	}
}

static void is_swapped_whole(
	struct km_handle *handle, struct km_place before, struct km_place fresh)
{
	struct km_place here = handle->place, past = *handle->place.past;

	ck_assert_ptr_null(handle->fresh);
	forget_what_goes_along(&before);
	forget_what_goes_along(&fresh);
	forget_what_goes_along(&here);
	forget_what_goes_along(&past);
	ck_assert_int_eq(memcmp(&here, &fresh, sizeof here), 0);
	ck_assert_int_eq(memcmp(&past, &before, sizeof past), 0);
}

START_TEST(move_publisher_place_is_swapped_whole)
{
	setup(CAPACITY, 16);
	ck_assert_int_eq(send_u32(1), 4);
	struct km_place fresh = *prepare(&pub.handle), before = pub.handle.place;

	ck_assert(km_publisher_move(&pub));
	is_swapped_whole(&pub.handle, before, fresh);
	ck_assert_uint_eq(pub.handle.place.base, 1);
	km_past_settle(&pub.handle.place, true);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(receive_u32(i), 1);
	teardown();
}
END_TEST

START_TEST(move_subscriber_place_is_swapped_whole)
{
	setup(CAPACITY, 16);
	for (uint32_t i = 0; i < CAPACITY + 2; i++)
		ck_assert_int_eq(send_u32(i), 4);
	ck_assert_int_eq(receive_u32(0), 2); /* two are lost */
	struct km_place fresh = *prepare(&sub[0].handle);
	sub[0].handle.place.closed = true;
	struct km_place before = sub[0].handle.place;

	ck_assert(km_subscriber_move(&sub[0], 0));
	is_swapped_whole(&sub[0].handle, before, fresh);
	ck_assert_uint_eq(sub[0].handle.place.lost_before, 2);
	ck_assert_uint_eq(sub[0].handle.place.offset, before.next - fresh.next);
	km_past_settle(&sub[0].handle.place, true);
	teardown();
}
END_TEST

/* A message that waits for a larger buffer is of the place where it was taken. */
START_TEST(move_subscriber_message_pending_aborts)
{
	setup(CAPACITY, 16);
	ck_assert_int_eq(send_u32(1), 4);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 1), -EMSGSIZE);
	prepare(&sub[0].handle);
	sub[0].handle.place.closed = true;
	km_subscriber_move(&sub[0], 0);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("client");

	tcase_add_test(tc, publish_says_how_many_it_reached);
	tcase_add_test(tc, send_two_live_rings_both_receive);
	tcase_add_test(tc, send_no_live_ring_slot_free_again);
	tcase_add_test(tc, send_live_bits_beyond_geometry_ignored);
	tcase_add_test(tc, send_each_length_limit);
	tcase_add_test(tc, send_exhausted_pool_eagain_until_any_slot_free);
	tcase_add_test(tc, send_exhausted_pool_takes_from_ring_not_live);
	tcase_add_test(tc, send_exhausted_pool_never_takes_from_live_ring);
	tcase_add_test(tc, send_quarantined_estale_slot_free);
	tcase_add_test(tc, send_one_corrupt_ring_estale_others_get_it);
	tcase_add_test(tc, receive_overrun_lost_is_exact);
	tcase_add_test(tc, receive_hazard_names_sample_until_release);
	tcase_add_test(tc, receive_copy_too_long_stays_and_hazard_stays);
	tcase_add_test(tc, receive_sample_length_lies_estale_slot_free);
	tcase_add_test(tc, send_ring_opened_meanwhile_lost_before_is_exact);
	tcase_add_test(tc, send_left_region_delivers_and_counts_lost_after);
	tcase_add_test(tc, receive_timeouts_as_documented);
	tcase_add_test(tc, receive_spins_in_vain_sleeps);
	tcase_add_test(tc, send_sleeping_ring_told);
	tcase_add_test(tc, loan_several_limit_and_shortened_publish);
	tcase_add_test(tc, deinit_loans_and_samples_out_all_back);
	tcase_add_test(tc, send_ring_of_one_newest_survives);
	tcase_add_test(tc, move_publisher_place_is_swapped_whole);
	tcase_add_test(tc, move_subscriber_place_is_swapped_whole);
	tcase_add_test_raise_signal(tc, move_subscriber_message_pending_aborts, SIGABRT);
	return fixture_run("client", tc);
}
