/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking: each state of the waiting word, and real sleepers in processes of their own.
 * */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/repair/live.h"
#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "tests/support/broker/fixture.h"

#define ASLEEP     KM_WAITING_ASLEEP
#define WOKEN      KM_WAITING_WOKEN
#define GENERATION KM_WAITING_GENERATION

static struct fixture_region f;
static struct km_ring *ring;

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(4, 16);

	fixture_region_init(&f, &geometry);
	ring = km_region_ring(&f.region, 0);
}

START_TEST(announce_any_word_new_generation_asleep)
{
	static const struct {
		uint32_t before, after;
	} table[] = {
		{ 0, GENERATION | ASLEEP },
		{ 5 * GENERATION | WOKEN, 6 * GENERATION | ASLEEP },
		{ 5 * GENERATION | ASLEEP, 6 * GENERATION | ASLEEP },
		{ 5 * GENERATION | ASLEEP | WOKEN, 6 * GENERATION | ASLEEP },
		{ UINT32_MAX, ASLEEP },
	};

	setup();
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		ring->waiting = table[i].before;
		ck_assert_uint_eq(km_waiter_announce(ring), table[i].after);
		ck_assert_uint_eq(ring->waiting, table[i].after);
	}
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(retract_any_word_clears_asleep_only)
{
	setup();
	ring->waiting = 9 * GENERATION | ASLEEP | WOKEN;
	km_waiter_retract(ring);
	ck_assert_uint_eq(ring->waiting, 9 * GENERATION | WOKEN);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(look_each_ring_state)
{
	setup();
	ck_assert(!km_waiter_look(&f.region, ring));
	fixture_ring_write(&f, 0, 104, 104, 104);
	ck_assert(!km_waiter_look(&f.region, ring));
	fixture_ring_write(&f, 0, 103, 104, 104);
	ck_assert(km_waiter_look(&f.region, ring));
	ring->head = 99; /* an eviction went by */
	ck_assert(km_waiter_look(&f.region, ring));
	/* A head that can't be is no reason to sleep: the receive that follows finds the damage. */
	ring->head = 4000;
	ck_assert(km_waiter_look(&f.region, ring));
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(notify_each_word_wakes_only_sleeper_not_woken)
{
	static const struct {
		uint32_t before, after;
	} table[] = {
		{ 8 * GENERATION, 8 * GENERATION },
		{ 8 * GENERATION | WOKEN, 8 * GENERATION | WOKEN },
		{ 8 * GENERATION | ASLEEP | WOKEN, 8 * GENERATION | ASLEEP | WOKEN },
		{ 8 * GENERATION | ASLEEP, 9 * GENERATION | ASLEEP | WOKEN },
		{ ~WOKEN, ASLEEP | WOKEN },
	};

	setup();
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		ring->waiting = table[i].before;
		km_waiter_notify(ring);
		ck_assert_uint_eq(ring->waiting, table[i].after);
	}
	fixture_region_deinit(&f);
}
END_TEST

/* A publisher saw ASLEEP and stood still. When it wakes, the sleeper is up, or sleeps anew. */
START_TEST(wake_old_look_never_says_asleep)
{
	setup();
	ring->waiting = 8 * GENERATION; /* retracted meanwhile */
	km_waiter_wake(ring, 8 * GENERATION | ASLEEP);
	ck_assert(!(ring->waiting & ASLEEP));
	ck_assert_uint_eq(km_waiter_announce(ring) & (ASLEEP | WOKEN), ASLEEP);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(wake_anyway_asleep_moves_generation_whatever_woken)
{
	setup();
	ring->waiting = 8 * GENERATION | ASLEEP | WOKEN;
	km_waiter_wake_anyway(ring);
	ck_assert_uint_eq(ring->waiting, 9 * GENERATION | ASLEEP | WOKEN);
	ring->waiting = 8 * GENERATION | WOKEN;
	km_waiter_wake_anyway(ring);
	ck_assert_uint_eq(ring->waiting, 8 * GENERATION | WOKEN);
	fixture_region_deinit(&f);
}
END_TEST

static int sleep_until(int64_t deadline_ns)
{
	const struct km_sleep sleep = { .ends = KM_LIVE_QUARANTINED, .deadline_ns = deadline_ns };

	return km_waiter_sleep(&f.region, ring, &sleep);
}

START_TEST(sleep_message_there_returns_and_retracts)
{
	setup();
	fixture_ring_write(&f, 0, 103, 104, 104);
	ck_assert_int_eq(sleep_until(KM_WAIT_FOREVER), 0);
	ck_assert_uint_eq(ring->waiting, GENERATION);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(sleep_quarantined_region_returns)
{
	setup();
	f.region.header->live = KM_LIVE_QUARANTINED;
	ck_assert_int_eq(sleep_until(KM_WAIT_FOREVER), 0);
	ck_assert_uint_eq(ring->waiting & ASLEEP, 0);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(sleep_deadline_passed_etimedout_and_retracts)
{
	setup();
	ck_assert_int_eq(sleep_until(1), -ETIMEDOUT);
	int64_t deadline = km_clock_ns() + 20000000;
	ck_assert_int_eq(sleep_until(deadline), -ETIMEDOUT);
	ck_assert_int_ge(km_clock_ns(), deadline);
	ck_assert_uint_eq(ring->waiting & ASLEEP, 0);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(futex_wait_other_word_returns_at_once)
{
	_Atomic uint32_t word = 3;

	ck_assert_int_eq(km_futex_wait(&word, 4, KM_WAIT_FOREVER), 0);
	ck_assert_int_eq(km_futex_wait(&word, 3, 1), -ETIMEDOUT);
	km_futex_wake(&word);
	ck_assert_uint_eq(word, 3);
}
END_TEST

static void on_signal(int number)
{
}

/* Starts a child that sleeps on the ring without a deadline. Returns once it sleeps in the
 * kernel. */
static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct sigaction action = { .sa_handler = on_signal };

		sigaction(SIGUSR1, &action, NULL);
		alarm(20);
		_exit(-sleep_until(KM_WAIT_FOREVER));
	}
	if (!fixture_wait_futex(pid)) {
		kill(pid, SIGKILL);
		fixture_reap(pid);
		ck_abort_msg("the sleeper doesn't sleep");
	}
	return pid;
}

/* Does something to a sleeping child, which must end its sleep. A wake that is lost ends in the
 * child's alarm. */
static void must_wake(void (*wake)(void))
{
	setup();
	pid_t pid = start_sleeper();
	wake();
	int status = fixture_reap(pid);
	ck_assert_msg(
		WIFEXITED(status) && WEXITSTATUS(status) == 0, "not woken: status %x", status);
	ck_assert_uint_eq(ring->waiting & ASLEEP, 0);
	fixture_region_deinit(&f);
}

static void commit_and_notify(void)
{
	fixture_ring_write(&f, 0, 103, 104, 104);
	km_waiter_notify(ring);
}

/* The first publisher stands still, or is dead, between its change of the word and its wake. */
static void bump_then_other_notifies(void)
{
	ring->waiting += GENERATION;
	commit_and_notify();
}

/* The publisher committed and died: only the reconciler comes. */
static void dead_then_wake_anyway(void)
{
	fixture_ring_write(&f, 0, 103, 104, 104);
	km_waiter_wake_anyway(ring);
}

static void give_up_and_wake(void)
{
	km_live_give_up(&f.region, f.region.header->live);
}

START_TEST(sleep_notify_wakes)
{
	must_wake(commit_and_notify);
}
END_TEST

START_TEST(sleep_notify_after_frozen_waker_wakes)
{
	must_wake(bump_then_other_notifies);
}
END_TEST

START_TEST(sleep_wake_anyway_wakes)
{
	must_wake(dead_then_wake_anyway);
}
END_TEST

START_TEST(sleep_quarantine_wakes)
{
	must_wake(give_up_and_wake);
}
END_TEST

START_TEST(sleep_signal_handler_eintr_and_retracts)
{
	setup();
	pid_t pid = start_sleeper();
	kill(pid, SIGUSR1);
	int status = fixture_reap(pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EINTR);
	ck_assert_uint_eq(ring->waiting & ASLEEP, 0);
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("waiter");

	tcase_add_test(tc, announce_any_word_new_generation_asleep);
	tcase_add_test(tc, retract_any_word_clears_asleep_only);
	tcase_add_test(tc, look_each_ring_state);
	tcase_add_test(tc, notify_each_word_wakes_only_sleeper_not_woken);
	tcase_add_test(tc, wake_old_look_never_says_asleep);
	tcase_add_test(tc, wake_anyway_asleep_moves_generation_whatever_woken);
	tcase_add_test(tc, sleep_message_there_returns_and_retracts);
	tcase_add_test(tc, sleep_quarantined_region_returns);
	tcase_add_test(tc, sleep_deadline_passed_etimedout_and_retracts);
	tcase_add_test(tc, futex_wait_other_word_returns_at_once);
	tcase_add_test(tc, sleep_notify_wakes);
	tcase_add_test(tc, sleep_notify_after_frozen_waker_wakes);
	tcase_add_test(tc, sleep_wake_anyway_wakes);
	tcase_add_test(tc, sleep_quarantine_wakes);
	tcase_add_test(tc, sleep_signal_handler_eintr_and_retracts);
	return fixture_run("waiter", tc);
}
