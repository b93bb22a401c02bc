/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many messages at a time on fabricated regions, no broker: a publisher (id 1, privileged and alone
 * where the ring is shared) and two subscribers. Most cases run with both transports, since a batch
 * must mean the same as single calls. (Long, because it is a list: one short case for each call and
 * state, over one fixture.)
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/fixture.h"

#define RINGS    0
#define SHARED   1
#define CAPACITY 8u
#define BORROWS  8u
#define POOL     40u
#define MOST     200

static struct fixture_region f;
static struct km_bell bell;
static struct kickmsg_publisher pub;
static struct kickmsg_subscriber sub[2];
static struct km_endpoint *pub_record, *sub_records[2];
static uint64_t words[MOST];
static struct iovec messages[MOST];
static struct kickmsg_sample samples[MOST];
static bool shared;

static void attach(void)
{
	fixture_region_init(&f, &pub.handle.place.region.geometry);
	f.region.bell = shared ? &bell : NULL;
	bell.word = KM_BELL_WOKEN;
	f.region.header->privileged = 1;
	f.region.header->live = shared ? KM_LIVE_OPENING : 3;
	pub.handle.place.region = f.region;
	pub_record = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	ck_assert_int_eq(km_place_publish(&pub.handle.place, pub_record, 1), 0);
	for (uint32_t i = 0; i < 2; i++) {
		sub[i].handle.place.region = f.region;
		sub_records[i] = fixture_endpoint(
			KM_ROLE_SUBSCRIBER, 0, i, km_geometry_held_count(&f.region.geometry));
		ck_assert_int_eq(
			km_place_subscribe(&sub[i].handle.place, sub_records[i], i, CAPACITY), 0);
	}
}

static void setup(int transport)
{
	struct km_geometry *geometry = &pub.handle.place.region.geometry;

	memset(&pub, 0, sizeof pub);
	memset(sub, 0, sizeof sub);
	*geometry = fixture_geometry(CAPACITY, POOL);
	geometry->max_borrows = BORROWS;
	geometry->max_loans = 4;
	geometry->max_publishers = 1;
	geometry->transport = transport == SHARED ? KM_TRANSPORT_SHARED : KM_TRANSPORT_RINGS;
	shared = transport == SHARED;
	attach();
	for (uint64_t i = 0; i < MOST; i++) {
		words[i] = i;
		messages[i] = (struct iovec){ &words[i], sizeof words[i] };
	}
}

static uint32_t slots_free(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < POOL; i++)
		count += fixture_word(&f, i) == 0;
	return count;
}

static void teardown(void)
{
	ck_assert_uint_eq(pub_record->delivering, KM_HAZARD_NONE);
	ck_assert_uint_eq(pub_record->evicting, KM_HAZARD_NONE);
	km_place_end(&pub.handle.place);
	for (uint32_t i = 0; i < 2; i++) {
		_Atomic uint32_t evicting;

		km_place_end(&sub[i].handle.place);
		for (uint32_t k = 0; !shared && k <= BORROWS; k++)
			ck_assert_uint_eq(sub_records[i]->held[k], KM_HAZARD_NONE);
		ck_assert(shared || km_ring_drain(&f.region, i, &evicting) >= 0);
		free(sub_records[i]);
	}
	ck_assert_uint_eq(slots_free(), POOL); /* nothing leaks, ever */
	free(pub_record);
	fixture_region_deinit(&f);
}

/* `count` samples, the first of them `first`, and each behind the one before. */
static void check_samples(
	const struct kickmsg_subscriber *subscriber, uint64_t first, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++) {
		uint64_t number = first + (uint64_t)i;

		ck_assert_uint_eq(samples[i].len, sizeof(uint64_t));
		ck_assert_uint_eq(*(const uint64_t *)samples[i].data, number % MOST);
		ck_assert_uint_eq(samples[i].publisher_sequence, number + 1);
		ck_assert_uint_eq(samples[i].publisher_id, 1);
		ck_assert_uint_eq(samples[i].ring_pos, CAPACITY + number);
		ck_assert_int_eq(kickmsg_sample_is_held(&samples[i]), 1);
		ck_assert_ptr_eq(samples[i].subscriber, subscriber);
	}
}

static void receive_all(uint32_t i, uint64_t first, ssize_t count)
{
	ck_assert_int_eq(kickmsg_receive_many(&sub[i], 0, samples, MOST), count);
	check_samples(&sub[i], first, count);
	ck_assert_int_eq(kickmsg_release_many(samples, (size_t)count), count);
	ck_assert_int_eq(kickmsg_receive_many(&sub[i], 0, samples, MOST), -EAGAIN);
}

START_TEST(send_many_both_receive_all_in_order)
{
	struct kickmsg_publisher_stats stats;

	setup(_i);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 0), 0);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 3), 3);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 3, 5), 5);
	for (uint32_t i = 0; i < 2; i++) {
		receive_all(i, 0, 8);
		ck_assert_uint_eq(sub_records[i]->messages, 8);
		ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[i]), 0);
	}
	ck_assert_uint_eq(slots_free(), POOL);
	kickmsg_publisher_get_stats(&pub, &stats);
	ck_assert_uint_eq(stats.sent, 8);
	ck_assert_uint_eq(stats.bytes, 8 * sizeof words[0]);
	ck_assert_uint_eq(kickmsg_publisher_reached(&pub), shared ? 0 : 2);
	teardown();
}
END_TEST

/* More than the ring holds, and more than one piece. */
START_TEST(send_many_overrun_lost_is_exact)
{
	setup(_i);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 2), 2);
	receive_all(0, 0, 2);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 2, MOST - 2), MOST - 2);
	receive_all(0, MOST - CAPACITY, CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), MOST - CAPACITY - 2);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[1]), MOST - CAPACITY);
	receive_all(1, MOST - CAPACITY, CAPACITY);
	ck_assert_uint_eq(pub_record->messages, MOST);
	ck_assert_uint_eq(pub_record->bytes, MOST * sizeof words[0]);
	teardown();
}
END_TEST

START_TEST(send_many_one_too_long_says_how_many)
{
	setup(_i);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	messages[3].iov_len = 65;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 1, 5), 2);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 3, 3), -EMSGSIZE);
	receive_all(0, 0, 3);
	teardown();
}
END_TEST

START_TEST(send_many_nobody_or_given_up)
{
	setup(_i);
	f.region.header->live = shared ? KM_LIVE_OPENING : 0;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 4), 4);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 4), 4);
	f.region.header->live = KM_LIVE_QUARANTINED;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 4), -ESTALE);
	ck_assert_uint_eq(slots_free(), POOL);
	teardown();
}
END_TEST

/* A sleeper is woken once, and its word moves behind the last message. */
START_TEST(send_many_sleeper_told_once)
{
	setup(_i);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	receive_all(0, 0, 1);
	_Atomic uint32_t *word = shared ? &bell.word : &km_region_ring(&f.region, 0)->waiting;
	uint32_t announced = shared ? km_bell_announce(&bell)
				    : km_waiter_announce(km_region_ring(&f.region, 0));
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 1, 4), 4);
	if (shared)
		ck_assert_uint_eq(*word,
			(announced & ~KM_BELL_ANNOUNCED) + KM_BELL_GENERATION + KM_BELL_WOKEN);
	else
		ck_assert_uint_eq(*word, announced + KM_WAITING_GENERATION + KM_WAITING_WOKEN);
	receive_all(0, 1, 4);
	teardown();
}
END_TEST

START_TEST(receive_many_limits_and_refusals)
{
	struct kickmsg_sample copy;

	setup(_i);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 0), -EINVAL);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 1, samples, 3), -ETIMEDOUT);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 3), 3);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], -1, samples, 2), 2);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], -1, samples + 2, 9), 1);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 3, CAPACITY), CAPACITY);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples + 3, 9), BORROWS - 3);
	check_samples(&sub[0], 0, BORROWS);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples + BORROWS, 9), -EDQUOT);
	copy = samples[2];
	samples[2].hold = 99;
	ck_assert_int_eq(kickmsg_release_many(samples, BORROWS), 2);
	ck_assert_int_eq(kickmsg_release_many(samples + 2, 1), -EINVAL);
	ck_assert_int_eq(kickmsg_release_many(samples, 0), 0);
	samples[2] = copy;
	/* the holds in between are found */
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 2), 2);
	check_samples(&sub[0], BORROWS, 2);
	ck_assert_int_eq(kickmsg_release_many(samples, BORROWS), BORROWS);
	receive_all(0, BORROWS + 2, 1);
	teardown();
}
END_TEST

START_TEST(receive_many_depth_gives_the_newest)
{
	setup(_i);
	sub[0].depth = 2;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 5), 5);
	receive_all(0, 3, 2);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 3);
	teardown();
}
END_TEST

/* --- private rings --- */

START_TEST(publish_many_loans_in_any_order)
{
	void *loans[4];

	setup(RINGS);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	for (uint64_t i = 0; i < 4; i++) {
		ck_assert_int_eq(kickmsg_loan(&pub, 8, &loans[i]), 0);
		*(uint64_t *)loans[i] = 4 - i;
		messages[3 - i].iov_base = loans[i];
	}
	messages[4].iov_base = words; /* no loan */
	messages[2].iov_len = 9;
	ck_assert_int_eq(kickmsg_publish_many(&pub, messages, 5), 2);
	ck_assert_int_eq(kickmsg_publish_many(&pub, messages + 2, 3), -EMSGSIZE);
	messages[2].iov_len = 8;
	ck_assert_int_eq(kickmsg_publish_many(&pub, messages + 2, 3), 2);
	ck_assert_int_eq(kickmsg_publish_many(&pub, messages + 4, 1), -EINVAL);
	for (uint32_t i = 0; i < 2; i++)
		receive_all(i, 0, 5);
	teardown();
}
END_TEST

/* A batch has no more slots at a time than loans and one message could have: with as many free, none
 * of its messages meets an empty pool. */
START_TEST(send_many_few_slots_all_sent)
{
	struct kickmsg_publisher_stats stats;

	setup(RINGS);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	receive_all(0, 0, 1);
	receive_all(1, 0, 1);
	for (uint32_t i = CAPACITY + 5; i < POOL; i++)
		fixture_set_word(&f, i, km_slot_id_word(9));
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 1, 50), 50);
	kickmsg_publisher_get_stats(&pub, &stats);
	ck_assert_uint_eq(stats.failed, 0);
	ck_assert_uint_eq(CAPACITY + 5 - slots_free(), CAPACITY);
	for (uint32_t i = CAPACITY + 5; i < POOL; i++)
		fixture_set_word(&f, i, 0);
	receive_all(0, 51 - CAPACITY, CAPACITY);
	teardown();
}
END_TEST

static uint32_t most_owned;

/* The bytes of a message are read for the first time: how many slots has the publisher by now? */
static void on_look(int number, siginfo_t *info, void *context)
{
	void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)4095);
	uint32_t owned = 0;

	for (uint32_t i = 0; i < POOL; i++)
		owned += fixture_word(&f, i) == km_slot_id_word(1);
	most_owned = owned > most_owned ? owned : most_owned;
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE) < 0)
		abort();
}

/* The pool has max_loans + 1 slots for each publisher. A batch beside loans takes what these have left. */
START_TEST(send_many_beside_loans_has_no_more_slots_than_are_its_own)
{
	struct sigaction action = { .sa_sigaction = on_look, .sa_flags = SA_SIGINFO };
	const size_t count = 8;
	void *loans[2];

	setup(RINGS);
	unsigned char *pages = mmap(
		NULL, count * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(pages, MAP_FAILED);
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct iovec){ pages + i * 4096, sizeof(uint64_t) };
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_loan(&pub, 1, &loans[i]), 0);
	/* a publisher's first batch looks who is there, with single messages */
	ck_assert_int_eq(kickmsg_send(&pub, words, sizeof words[0]), sizeof words[0]);
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, count), count);
	ck_assert_uint_eq(most_owned, pub.handle.place.region.geometry.max_loans + 1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_discard(&pub, loans[i]), 0);
	munmap(pages, count * 4096);
	teardown();
}
END_TEST

START_TEST(receive_many_hazards_name_samples_until_release)
{
	setup(RINGS);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 4), 4);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 4), 4);
	ck_assert_uint_eq(fixture_head(&f, 0), CAPACITY + 4);
	for (int i = 0; i < 4; i++) {
		uint32_t slot = sub_records[0]->held[samples[i].hold];

		ck_assert_ptr_eq(km_region_payload(&f.region, slot), samples[i].data);
		ck_assert_uint_eq(fixture_word(&f, slot), 3);
	}
	ck_assert_int_eq(kickmsg_release_many(samples, 4), 4);
	teardown();
}
END_TEST

/* Ring 0 is corrupt where the batch's first message goes. The other ring has got that message, and
 * the call fails. */
START_TEST(send_many_corrupt_ring_estale_others_get_it)
{
	setup(RINGS);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	receive_all(1, 0, 1);
	uint64_t sane = km_region_ring(&f.region, 0)->cells[1];
	km_region_ring(&f.region, 0)->cells[1] = km_cell_word(77, 3);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 1, 5), -ESTALE);
	km_region_ring(&f.region, 0)->cells[1] = sane;
	receive_all(1, 1, 1);
	ck_assert_uint_eq(slots_free(), POOL - 1);
	receive_all(0, 0, 1);
	teardown();
}
END_TEST

/* Ring 1 is corrupt at a message in the middle. Ring 0 gets that message once, its sleeper is
 * woken, and the next call fails. */
START_TEST(send_many_corrupt_ring_behind_good_ones_once)
{
	setup(RINGS);
	struct km_ring *good = km_region_ring(&f.region, 0), *spoilt = km_region_ring(&f.region, 1);
	const uint64_t sane = spoilt->cells[2];

	spoilt->cells[2] = km_cell_word(77, 3);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 5), 2);
	receive_all(0, 0, 3);
	const uint32_t announced = km_waiter_announce(good);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 3, 2), -ESTALE);
	ck_assert_uint_ne(good->waiting, announced);
	spoilt->cells[2] = sane;
	receive_all(0, 3, 1);
	receive_all(1, 0, 2);
	teardown();
}
END_TEST

/* More samples of a past place are out than the present one may lend. */
/* One ring is a case of its own: it is overrun, makes no sense for a while, and gets company. */
START_TEST(send_many_only_ring_until_another_comes)
{
	setup(RINGS);
	struct km_ring *ring = km_region_ring(&f.region, 0);

	f.region.header->live = 1;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 20), 20);
	ck_assert_uint_eq(kickmsg_publisher_reached(&pub), 1);
	receive_all(0, 20 - CAPACITY, CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 20 - CAPACITY);

	const uint64_t sane = ring->cells[(20 + 1) % CAPACITY];
	ring->cells[(20 + 1) % CAPACITY] = km_cell_word(77, 3);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 20, 3), 1);
	ring->cells[(20 + 1) % CAPACITY] = sane;
	receive_all(0, 20, 1);
	ck_assert_uint_eq(slots_free(), POOL);
	ck_assert_uint_eq(pub_record->messages, 22);
	ck_assert_uint_eq(pub_record->bytes, 22 * sizeof words[0]);

	f.region.header->live = 3;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 22, 4), 4);
	ck_assert_uint_eq(kickmsg_publisher_reached(&pub), 2);
	ck_assert_int_eq(kickmsg_receive_many(&sub[1], 0, samples, MOST), 4);
	ck_assert_int_eq(kickmsg_release_many(samples, 4), 4);
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, MOST), 4);
	ck_assert_uint_eq(samples[0].publisher_sequence, 23);
	ck_assert_int_eq(kickmsg_release_many(samples, 4), 4);
	teardown();
}
END_TEST

START_TEST(receive_many_fresh_place_lends_less_edquot)
{
	setup(_i);
	struct km_place *place = &sub[0].handle.place;

	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 3), 3);
	place->region.geometry.max_borrows = place->lends = 1;
	sub[0].borrowed = 3;
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 9), -EDQUOT);
	sub[0].borrowed = 0;
	place->region.geometry.max_borrows = place->lends = BORROWS;
	receive_all(0, 0, 3);
	receive_all(1, 0, 3);
	teardown();
}
END_TEST

/* One of several has a length that can't be: the others come, and it isn't kept. */
START_TEST(receive_many_length_lies_others_come)
{
	setup(RINGS);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 3), 3);
	uint32_t slot = km_cell_slot(fixture_cell(&f, 0, CAPACITY + 1));
	km_region_sample(&f.region, slot)->len = 65;
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 9), 2);
	ck_assert_uint_eq(samples[1].publisher_sequence, 3);
	ck_assert_int_eq(kickmsg_release_many(samples, 2), 2);
	ck_assert_uint_eq(sub_records[0]->messages, 3);
	ck_assert_uint_eq(sub[0].borrowed, 0);
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 1), 1);
	slot = km_cell_slot(fixture_cell(&f, 0, CAPACITY + 3));
	km_region_sample(&f.region, slot)->len = UINT64_MAX;
	ck_assert_int_eq(kickmsg_receive_many(&sub[0], 0, samples, 9), -ESTALE);
	teardown();
}
END_TEST

/* --- a shared ring: one fence for a batch is one whose cells nobody else commits to --- */

START_TEST(send_many_unprivileged_takes_slots)
{
	setup(SHARED);
	f.region.header->privileged = 9;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages, 3), 3);
	ck_assert_uint_eq(slots_free(), POOL - 3);
	f.region.header->privileged = 1;
	ck_assert_int_eq(kickmsg_send_many(&pub, messages + 3, CAPACITY), CAPACITY);
	ck_assert_uint_eq(slots_free(), POOL);
	receive_all(0, 3, CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(&sub[0]), 3);
	teardown();
}
END_TEST

/* --- two threads --- */

#define BATCHES 3000

static void *send_all(void *argument)
{
	uint64_t random = 1, sent = 0;

	for (int i = 0; i < BATCHES; i++) {
		size_t count = 1 + fixture_random(&random) % 40;
		uint64_t batch[40];
		struct iovec some[40];

		for (size_t k = 0; k < count; k++) {
			batch[k] = sent++ % MOST;
			some[k] = (struct iovec){ &batch[k], sizeof batch[k] };
		}
		ck_assert_int_eq(kickmsg_send_many(&pub, some, count), (ssize_t)count);
	}
	*(uint64_t *)argument = sent;
	return NULL;
}

START_TEST(send_many_beside_receive_many_exact)
{
	uint64_t random = 2, received = 0, sent = 0, next = 0;
	pthread_t thread;

	setup(_i);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, &sent), 0);
	for (bool ended = false;;) {
		ssize_t count = kickmsg_receive_many(
			&sub[0], 0, samples, 1 + fixture_random(&random) % 12);

		if (count == -EAGAIN && ended)
			break;
		if (count == -EAGAIN) {
			ended = pthread_tryjoin_np(thread, NULL) == 0;
			continue;
		}
		ck_assert_int_gt(count, 0);
		for (ssize_t i = 0; i < count; i++) {
			/* some messages may be pushed out while the subscriber takes what is
			 * there */
			const uint64_t number = samples[i].publisher_sequence - 1;
			ck_assert_uint_ge(number, next);
			ck_assert_uint_eq(*(const uint64_t *)samples[i].data, number % MOST);
			next = number + 1;
		}
		ck_assert_int_eq(kickmsg_release_many(samples, (size_t)count), count);
		received += (uint64_t)count;
	}
	ck_assert_uint_eq(received + kickmsg_subscriber_lost(&sub[0]), sent);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("many");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, send_many_both_receive_all_in_order, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, send_many_overrun_lost_is_exact, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, send_many_one_too_long_says_how_many, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, send_many_nobody_or_given_up, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, send_many_sleeper_told_once, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, receive_many_limits_and_refusals, RINGS, SHARED + 1);
	tcase_add_loop_test(tc, receive_many_depth_gives_the_newest, RINGS, SHARED + 1);
	tcase_add_test(tc, publish_many_loans_in_any_order);
	tcase_add_test(tc, send_many_few_slots_all_sent);
	tcase_add_test(tc, send_many_beside_loans_has_no_more_slots_than_are_its_own);
	tcase_add_test(tc, receive_many_hazards_name_samples_until_release);
	tcase_add_test(tc, send_many_corrupt_ring_estale_others_get_it);
	tcase_add_test(tc, send_many_corrupt_ring_behind_good_ones_once);
	tcase_add_test(tc, send_many_only_ring_until_another_comes);
	tcase_add_loop_test(tc, receive_many_fresh_place_lends_less_edquot, RINGS, SHARED + 1);
	tcase_add_test(tc, receive_many_length_lies_others_come);
	tcase_add_test(tc, send_many_unprivileged_takes_slots);
	tcase_add_loop_test(tc, send_many_beside_receive_many_exact, RINGS, SHARED + 1);
	return fixture_run("many", tc);
}
