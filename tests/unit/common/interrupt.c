/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a sleep from another thread or a signal handler: each state, then a sleeper in the kernel. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/ring/interrupt.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/fixture.h"

#define G KM_WAITING_GENERATION

static struct fixture_region f;
static struct km_ring *ring;
static struct km_interrupt interrupt;

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(4, 16);

	fixture_region_init(&f, &geometry);
	ring = km_region_ring(&f.region, 0);
	interrupt = (struct km_interrupt){ 0 };
}

static int sleep_until(int64_t deadline_ns)
{
	const struct km_sleep sleep = { .stop = &interrupt.asked, .deadline_ns = deadline_ns };

	km_interrupt_begin_sleep(&interrupt, &ring->waiting);
	int r = km_waiter_sleep(&f.region, ring, &sleep);
	km_interrupt_end_sleep(&interrupt);
	return r;
}

START_TEST(interrupt_nobody_sleeps_moves_nothing)
{
	setup();
	ring->waiting = 8 * G;
	km_interrupt(&interrupt);
	ck_assert_uint_eq(ring->waiting, 8 * G);
	ck_assert(km_interrupt_is_asked(&interrupt));
	ck_assert(!km_interrupt_is_busy(&interrupt));
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(take_several_asked_one_heard)
{
	setup();
	ck_assert(!km_interrupt_take(&interrupt));
	for (int i = 0; i < 3; i++)
		km_interrupt(&interrupt);
	ck_assert(km_interrupt_take(&interrupt));
	ck_assert(!km_interrupt_take(&interrupt));
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(interrupt_sleeper_announced_moves_its_word)
{
	setup();
	km_interrupt_begin_sleep(&interrupt, &ring->waiting);
	uint32_t word = km_waiter_announce(ring);
	km_interrupt(&interrupt);
	ck_assert_uint_eq(ring->waiting, word + G);
	km_interrupt_end_sleep(&interrupt);
	km_interrupt(&interrupt);
	ck_assert_uint_eq(ring->waiting, word + G);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(sleep_asked_before_does_not_sleep)
{
	setup();
	km_interrupt(&interrupt);
	ck_assert_int_eq(sleep_until(KM_WAIT_FOREVER), 0);
	ck_assert_uint_eq(ring->waiting, G);
	fixture_region_deinit(&f);
}
END_TEST

static void *asks(void *unused)
{
	/* the sleeper may need this CPU to get to its announce */
	while (!(km_load(W1, seq_cst, &ring->waiting) & KM_WAITING_ASLEEP))
		sched_yield();
	km_interrupt(&interrupt);
	return unused;
}

/* The interruption comes at any moment between the announce and the end of the sleep. A sleep that
 * missed it would last until the case's time is over. */
START_TEST(sleep_asked_meanwhile_ends)
{
	/* an emulator takes ms for each thread */
	const int rounds = test_is_emulated() ? 200 : 2000;

	setup();
	for (int i = 0; i < rounds; i++) {
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, asks, NULL), 0);
		ck_assert_int_eq(sleep_until(KM_WAIT_FOREVER), 0);
		pthread_join(thread, NULL);
		ck_assert(km_interrupt_take(&interrupt));
		ck_assert(!km_interrupt_is_busy(&interrupt));
	}
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("interrupt");

	tcase_add_test(tc, interrupt_nobody_sleeps_moves_nothing);
	tcase_add_test(tc, take_several_asked_one_heard);
	tcase_add_test(tc, interrupt_sleeper_announced_moves_its_word);
	tcase_add_test(tc, sleep_asked_before_does_not_sleep);
	tcase_add_test(tc, sleep_asked_meanwhile_ends);
	return fixture_run("interrupt", tc);
}
