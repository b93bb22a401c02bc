/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's hot path on a fabricated region with a shared ring, no broker: two publishers (ids 1
 * and 2), two subscribers, and what each public call does to the memory.
 *
 * The file is long because it is a list: one short case for each call and state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/fixture.h"

#define CAPACITY 4u
#define NOBODY   0u

static struct fixture_region f;
static struct km_bell bell;
static struct kickmsg_publisher pub[2];
static struct kickmsg_subscriber sub[2];
static struct km_endpoint *pub_records[2], *sub_records[2];
static char buf[128];

static void setup_with(const struct km_geometry *geometry, uint32_t privileged)
{
	fixture_region_init(&f, geometry);
	f.region.bell = &bell;
	bell.word = KM_BELL_WOKEN;
	f.region.header->privileged = privileged;
	memset(pub, 0, sizeof pub);
	memset(sub, 0, sizeof sub);
	for (uint32_t i = 0; i < 2; i++) {
		pub[i].handle.place.region = sub[i].handle.place.region = f.region;
		pub_records[i] = fixture_endpoint(KM_ROLE_PUBLISHER, i + 1, 0, 0);
		ck_assert_int_eq(km_place_publish(&pub[i].handle.place, pub_records[i], i + 1), 0);
		sub_records[i] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, i, 0);
		ck_assert_int_eq(
			km_place_subscribe(&sub[i].handle.place, sub_records[i], i, CAPACITY), 0);
	}
}

static void setup(uint32_t pool, uint32_t privileged)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, pool);

	geometry.transport = KM_TRANSPORT_SHARED;
	setup_with(&geometry, privileged);
}

static uint32_t slots_free(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < f.region.geometry.pool_size; i++)
		count += fixture_word(&f, i) == 0;
	return count;
}

static uint32_t ref_at(uint64_t position)
{
	return km_cell_slot(km_region_cell(&f.region, position)->word);
}

/* Each slot is free or named by one cell: nothing leaks, ever. */
static void teardown(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(pub_records[i]->delivering, KM_HAZARD_NONE);
		ck_assert_uint_eq(pub_records[i]->evicting, KM_HAZARD_NONE);
		km_place_end(&pub[i].handle.place);
		km_place_end(&sub[i].handle.place);
		free(pub_records[i]);
		free(sub_records[i]);
	}
	for (uint32_t i = 0; i < CAPACITY; i++)
		if (km_shared_is_slot(ref_at(i))) {
			ck_assert_uint_eq(fixture_word(&f, ref_at(i)), KM_SLOT_RING);
			fixture_set_word(&f, ref_at(i), 0);
		}
	ck_assert_uint_eq(slots_free(), f.region.geometry.pool_size);
	fixture_region_deinit(&f);
}

static int64_t send_u32(uint32_t i, uint32_t value)
{
	return kickmsg_send(&pub[i], &value, sizeof value);
}

static int64_t receive_u32(uint32_t i)
{
	uint32_t value;
	ssize_t n = kickmsg_try_receive_copy(&sub[i], &value, sizeof value);

	return n < 0 ? n : value;
}

static void both_get_hello(uint32_t publisher_id)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct kickmsg_sample sample;

		ck_assert_int_eq(kickmsg_try_receive(&sub[i], &sample), 0);
		ck_assert_uint_eq(sample.len, 5);
		ck_assert_int_eq(memcmp(sample.data, "hello", 5), 0);
		ck_assert_uint_eq((uintptr_t)sample.data % 64, 0);
		ck_assert_uint_eq(sample.ring_pos, CAPACITY);
		ck_assert_uint_eq(sample.publisher_id, publisher_id);
		ck_assert_uint_eq(sample.publisher_sequence, 1);
		struct kickmsg_sample copy = sample;

		ck_assert_int_eq(kickmsg_sample_is_held(&sample), 1);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
		ck_assert_int_eq(kickmsg_sample_is_held(&sample), 0);
		ck_assert_int_eq(kickmsg_sample_is_held(&copy), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), -EINVAL);
		ck_assert_int_eq(receive_u32(i), -EAGAIN);
		ck_assert_uint_eq(sub_records[i]->messages, 1);
	}
}

START_TEST(send_privileged_needs_no_slot)
{
	setup(4, 1);
	ck_assert_int_eq(kickmsg_send(&pub[0], "hello", 5), 5);
	ck_assert_uint_eq(slots_free(), 4);
	ck_assert_uint_eq(ref_at(CAPACITY), KM_SHARED_INLINE);
	ck_assert_uint_eq(pub_records[0]->messages, 1);
	ck_assert_uint_eq(pub_records[0]->bytes, 5);
	both_get_hello(1);
	teardown();
}
END_TEST

START_TEST(send_unprivileged_takes_slot_until_overwritten)
{
	setup(8, 1);
	ck_assert_int_eq(kickmsg_send(&pub[1], "hello", 5), 5);
	ck_assert_uint_eq(slots_free(), 7);
	ck_assert(km_shared_is_slot(ref_at(CAPACITY)));
	ck_assert_uint_eq(fixture_word(&f, ref_at(CAPACITY)), KM_SLOT_RING);
	both_get_hello(2);
	for (uint32_t i = 0; i < CAPACITY; i++)
		ck_assert_int_eq(send_u32(0, i), 4);
	ck_assert_uint_eq(slots_free(), 8);
	teardown();
}
END_TEST

/* max_publishers 1: commits by a store. */
START_TEST(send_sole_publisher_several_laps)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, 6);

	geometry.transport = KM_TRANSPORT_SHARED;
	geometry.max_publishers = 1;
	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup_with(&geometry, privileged);
		ck_assert(f.region.sole);
		for (uint32_t i = 0; i < 5 * CAPACITY; i++) {
			void *loan;

			if (i % 3 == 2) {
				ck_assert_int_eq(kickmsg_loan(&pub[0], sizeof i, &loan), 0);
				memcpy(loan, &i, sizeof i);
				ck_assert_int_eq(kickmsg_publish(&pub[0], loan, sizeof i), 0);
			} else {
				ck_assert_int_eq(send_u32(0, i), 4);
			}
			ck_assert_int_eq(receive_u32(0), i);
		}
		ck_assert_int_eq(receive_u32(1), 4 * CAPACITY);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[1]), 4 * CAPACITY);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
		teardown();
	}
}
END_TEST

START_TEST(send_each_length_arrives_whole)
{
	char out[128];

	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		for (uint32_t i = 0; i < 64; i++)
			buf[i] = (char)('A' + i);
		for (size_t len = 0; len <= 64; len++) {
			ck_assert_int_eq(kickmsg_send(&pub[0], buf, len), (ssize_t)len);
			memset(out, 0, sizeof out);
			ck_assert_int_eq(
				kickmsg_try_receive_copy(&sub[0], out, sizeof out), (ssize_t)len);
			ck_assert_int_eq(memcmp(out, buf, len), 0);
			ck_assert_int_eq(out[len], 0);
		}
		ck_assert_int_eq(kickmsg_send(&pub[0], buf, 65), -EMSGSIZE);
		ck_assert_int_eq(kickmsg_send(&pub[0], buf, SIZE_MAX), -EMSGSIZE);
		ck_assert_int_eq(kickmsg_send(&pub[0], NULL, 0), 0);
		teardown();
	}
}
END_TEST

START_TEST(loan_limit_publish_and_discard)
{
	void *a, *b, *c = NULL;

	setup(8, 1);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 65, &a), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 64, &a), 0);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 10, &b), 0);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 10, &c), -EDQUOT);
	ck_assert_ptr_null(c);
	memset(a, 'a', 64);
	ck_assert_int_eq(kickmsg_publish(&pub[0], b, 11), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_publish(&pub[0], buf, 1), -EINVAL);
	ck_assert_int_eq(kickmsg_publish(&pub[0], a, 3), 0);
	ck_assert_int_eq(kickmsg_publish(&pub[0], a, 3), -EINVAL);
	ck_assert_int_eq(kickmsg_discard(&pub[0], b), 0);
	ck_assert_int_eq(kickmsg_discard(&pub[0], b), -EINVAL);
	/* a loan stays in its slot, also where its publisher may write inline */
	ck_assert(km_shared_is_slot(ref_at(CAPACITY)));
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 64), 3);
	ck_assert_int_eq(memcmp(buf, "aaa", 3), 0);
	ck_assert_uint_eq(slots_free(), 7);
	teardown();
}
END_TEST

START_TEST(deinit_loan_out_is_given_back)
{
	void *loan;

	setup(8, NOBODY);
	ck_assert_int_eq(kickmsg_loan(&pub[0], 1, &loan), 0);
	ck_assert_uint_eq(slots_free(), 7);
	teardown();
}
END_TEST

START_TEST(send_exhausted_pool_voids_oldest)
{
	setup(2, NOBODY);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(send_u32(0, i), 4);
	ck_assert_uint_eq(ref_at(CAPACITY), KM_SHARED_VOID);
	ck_assert_int_eq(receive_u32(0), 1);
	ck_assert_int_eq(receive_u32(0), 2);
	ck_assert_int_eq(receive_u32(0), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 1);
	/* sub[1] knows of the loss before it has received */
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[1]), 1);
	teardown();
}
END_TEST

START_TEST(send_pool_all_loaned_eagain)
{
	void *loans[2];

	setup(2, NOBODY);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_loan(&pub[0], 1, &loans[i]), 0);
	ck_assert_int_eq(send_u32(1, 1), -EAGAIN);
	ck_assert_uint_eq(pub_records[1]->failed, 1);
	f.region.header->privileged = 2; /* a publisher that needs no slot goes on */
	ck_assert_int_eq(send_u32(1, 2), 4);
	ck_assert_int_eq(receive_u32(0), 2);
	teardown();
}
END_TEST

START_TEST(receive_overtaken_goes_on_at_oldest_loss_exact)
{
	struct kickmsg_subscriber_stats stats;

	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		for (uint32_t i = 0; i < 10; i++)
			ck_assert_int_eq(send_u32(0, i), 4);
		kickmsg_subscriber_get_stats(&sub[0], &stats);
		ck_assert_uint_eq(stats.lost, 6);
		ck_assert_uint_eq(stats.waiting, CAPACITY);
		for (uint32_t i = 6; i < 10; i++)
			ck_assert_int_eq(receive_u32(0), i);
		ck_assert_int_eq(receive_u32(0), -EAGAIN);
		kickmsg_subscriber_get_stats(&sub[0], &stats);
		ck_assert_uint_eq(stats.received, 4);
		ck_assert_uint_eq(stats.lost, 6);
		ck_assert_uint_eq(stats.waiting, 0);
		ck_assert_uint_eq(sub_records[0]->lost, 6);
		teardown();
	}
}
END_TEST

START_TEST(receive_borrowed_copy_stands_until_release)
{
	struct kickmsg_sample samples[3], more;

	setup(8, 1);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(send_u32(0, i), 4);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_try_receive(&sub[0], &samples[i]), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &more), -EDQUOT);
	for (uint32_t i = 0; i < 30; i++)
		ck_assert_int_eq(send_u32(i % 2, 100 + i), 4);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(*(const uint32_t *)samples[i].data, i);
	ck_assert_int_eq(kickmsg_sample_release(&samples[1]), 0);
	ck_assert_int_eq(kickmsg_try_receive(&sub[0], &samples[1]), 0);
	ck_assert_int_eq(*(const uint32_t *)samples[1].data, 126);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 27);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_sample_release(&samples[i]), 0);
	teardown();
}
END_TEST

START_TEST(receive_copy_too_long_stays)
{
	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		ck_assert_int_eq(kickmsg_send(&pub[0], "twelve bytes", 12), 12);
		ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 11), -EMSGSIZE);
		ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 0), -EMSGSIZE);
		ck_assert_uint_eq(sub_records[0]->messages, 0);
		ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, 12), 12);
		ck_assert_int_eq(memcmp(buf, "twelve bytes", 12), 0);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
		teardown();
	}
}
END_TEST

/* A member hears none of its own messages, and what it lost of them is no loss. */
START_TEST(receive_own_passed_over_and_no_loss)
{
	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		sub[0].handle.place.own_id = 1;
		ck_assert_int_eq(send_u32(0, 1), 4);
		ck_assert_int_eq(receive_u32(0), -EAGAIN);
		ck_assert_int_eq(receive_u32(1), 1);
		for (uint32_t i = 0; i < 6; i++)
			ck_assert_int_eq(send_u32(0, i), 4);
		ck_assert_int_eq(send_u32(1, 77), 4);
		ck_assert_int_eq(receive_u32(0), 77); /* 3 own overwritten, 3 own passed over */
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 0);
		ck_assert_uint_eq(sub_records[0]->messages, 1);
		ck_assert_int_eq(send_u32(1, 78), 4);
		for (uint32_t i = 0; i < 4; i++)
			ck_assert_int_eq(send_u32(0, i), 4);
		ck_assert_int_eq(receive_u32(0), -EAGAIN);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 1); /* the one of publisher 2 */
		teardown();
	}
}
END_TEST

START_TEST(send_quarantined_estale_slots_free)
{
	void *loan;

	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		ck_assert_int_eq(kickmsg_loan(&pub[0], 1, &loan), 0);
		f.region.header->live |= KM_LIVE_QUARANTINED;
		ck_assert_int_eq(send_u32(0, 1), -ESTALE);
		ck_assert_int_eq(kickmsg_publish(&pub[0], loan, 1), -ESTALE);
		ck_assert_int_eq(receive_u32(0), -ESTALE);
		ck_assert_int_eq(kickmsg_receive_copy(&sub[0], buf, 64, -1), -ESTALE);
		ck_assert_uint_eq(slots_free(), 8);
		teardown();
	}
}
END_TEST

START_TEST(send_corrupt_ring_estale_slot_free)
{
	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		for (uint32_t i = 0; i < CAPACITY; i++)
			km_region_cell(&f.region, i)->word = km_cell_word(
				KM_CELL_LAP_MASK, KM_SHARED_VOID);
		ck_assert_int_eq(send_u32(0, 5), -ESTALE);
		ck_assert_uint_eq(slots_free(), 8);
		ck_assert_int_eq(receive_u32(0), -ESTALE);
		teardown();
	}
}
END_TEST

/* Written by a hostile publisher after the commit. */
START_TEST(receive_length_lies_estale)
{
	for (uint32_t privileged = 0; privileged < 2; privileged++) {
		setup(8, privileged);
		ck_assert_int_eq(send_u32(0, 1), 4);
		struct km_shared_head *head =
			privileged ? &km_region_cell(&f.region, CAPACITY)->heads[1]
				   : km_shared_slot_head(&f.region, ref_at(CAPACITY));
		head->about = UINT64_C(65) << KM_SHARED_ID_BITS | 1;
		ck_assert_int_eq(receive_u32(0), -ESTALE);
		teardown();
	}
}
END_TEST

START_TEST(receive_timeouts_as_documented)
{
	struct kickmsg_sample sample;

	setup(8, 1);
	ck_assert_int_eq(kickmsg_receive(&sub[0], 0, &sample), -EAGAIN);
	ck_assert_uint_eq(bell.word, KM_BELL_WOKEN);
	ck_assert_int_eq(kickmsg_receive(&sub[0], 1000, &sample), -ETIMEDOUT);
	ck_assert_uint_eq(bell.word & KM_BELL_WOKEN, 0); /* it had announced its sleep */
	ck_assert_int_eq(send_u32(0, 3), 4);
	ck_assert_uint_ne(bell.word & KM_BELL_WOKEN, 0);
	ck_assert_int_eq(kickmsg_receive(&sub[0], -1, &sample), 0);
	ck_assert_int_eq(kickmsg_receive_copy(&sub[1], buf, 64, INT64_MAX), 4);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("client-shared");

	tcase_add_test(tc, send_privileged_needs_no_slot);
	tcase_add_test(tc, send_unprivileged_takes_slot_until_overwritten);
	tcase_add_test(tc, send_sole_publisher_several_laps);
	tcase_add_test(tc, send_each_length_arrives_whole);
	tcase_add_test(tc, loan_limit_publish_and_discard);
	tcase_add_test(tc, deinit_loan_out_is_given_back);
	tcase_add_test(tc, send_exhausted_pool_voids_oldest);
	tcase_add_test(tc, send_pool_all_loaned_eagain);
	tcase_add_test(tc, receive_overtaken_goes_on_at_oldest_loss_exact);
	tcase_add_test(tc, receive_borrowed_copy_stands_until_release);
	tcase_add_test(tc, receive_copy_too_long_stays);
	tcase_add_test(tc, receive_own_passed_over_and_no_loss);
	tcase_add_test(tc, send_quarantined_estale_slots_free);
	tcase_add_test(tc, send_corrupt_ring_estale_slot_free);
	tcase_add_test(tc, receive_length_lies_estale);
	tcase_add_test(tc, receive_timeouts_as_documented);
	return fixture_run("client-shared", tc);
}
