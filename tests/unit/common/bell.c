/* SPDX-License-Identifier: Apache-2.0 */
/* The bell of a shared ring: each state of its word, and real sleepers in processes of their own. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/memory/cell.h"
#include "common/ring/futex.h"
#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "tests/support/broker/fixture.h"

#define CAPACITY   4u
#define WOKEN      KM_BELL_WOKEN
#define ANNOUNCED  KM_BELL_ANNOUNCED
#define GENERATION KM_BELL_GENERATION

static struct fixture_region f;
static struct km_bell *bell;

/* Stands in for the km_futex_wait() that bell.c calls. For the first `moves` calls the word differs
 * from the announced one, as if others announced and rang all the time. Then a message is there. */
static unsigned moves, waits;

static void commit(void);

int __real_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	waits++;
	if (moves > 0) {
		*word += GENERATION;
		if (--moves == 0)
			commit();
	}
	return __real_km_futex_wait(word, expected, deadline_ns);
}

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, 16);

	geometry.transport = KM_TRANSPORT_SHARED;
	fixture_region_init(&f, &geometry);
	bell = mmap(NULL, KM_BELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(bell != MAP_FAILED);
	f.region.bell = bell;
}

static void teardown(void)
{
	munmap(bell, KM_BELL_SIZE);
	fixture_region_deinit(&f);
}

START_TEST(announce_any_word_announced_not_woken)
{
	static const struct {
		uint32_t before, after;
	} table[] = {
		{ 0, GENERATION | ANNOUNCED },
		{ 5 * GENERATION, 6 * GENERATION | ANNOUNCED },
		{ 5 * GENERATION | WOKEN, 6 * GENERATION | ANNOUNCED },
		{ 5 * GENERATION | ANNOUNCED | WOKEN, 6 * GENERATION | ANNOUNCED },
		{ UINT32_MAX, ANNOUNCED },
		/* somebody sleeps already, and another one joins */
		{ 5 * GENERATION | ANNOUNCED, 5 * GENERATION | ANNOUNCED },
	};

	setup();
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		bell->word = table[i].before;
		ck_assert_uint_eq(km_bell_announce(bell), table[i].after);
		ck_assert_uint_eq(bell->word, table[i].after);
	}
	teardown();
}
END_TEST

START_TEST(notify_each_word_rings_only_when_not_woken)
{
	static const struct {
		uint32_t before, after;
	} table[] = {
		{ 8 * GENERATION, 9 * GENERATION | WOKEN },
		{ 8 * GENERATION | ANNOUNCED, 9 * GENERATION | WOKEN },
		{ 8 * GENERATION | WOKEN, 8 * GENERATION | WOKEN },
		{ 8 * GENERATION | ANNOUNCED | WOKEN, 8 * GENERATION | ANNOUNCED | WOKEN },
		{ ~WOKEN, WOKEN },
	};

	setup();
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		bell->word = table[i].before;
		km_bell_notify(bell);
		ck_assert_uint_eq(bell->word, table[i].after);
	}
	teardown();
}
END_TEST

/* Between a publisher's look and its wake, one subscriber announces its sleep or another publisher
 * rings. */
START_TEST(ring_word_has_moved_announced_is_never_marked)
{
	setup();
	bell->word = 9 * GENERATION | ANNOUNCED;
	km_bell_ring(bell, 8 * GENERATION);
	ck_assert_uint_eq(bell->word, 10 * GENERATION | ANNOUNCED);
	bell->word = 9 * GENERATION;
	km_bell_ring(bell, 8 * GENERATION | ANNOUNCED);
	ck_assert_uint_eq(bell->word, 9 * GENERATION | ANNOUNCED);
	km_bell_notify(bell);
	ck_assert_uint_eq(bell->word, 10 * GENERATION | WOKEN);
	teardown();
}
END_TEST

START_TEST(ring_anyway_any_word_moves_generation_keeps_woken)
{
	setup();
	bell->word = 8 * GENERATION | WOKEN;
	km_bell_ring_anyway(bell);
	ck_assert_uint_eq(bell->word, 9 * GENERATION | WOKEN);
	bell->word = 8 * GENERATION;
	km_bell_ring_anyway(bell);
	ck_assert_uint_eq(bell->word, 9 * GENERATION);
	teardown();
}
END_TEST

START_TEST(look_each_cell_state)
{
	_Atomic uint64_t *word;

	setup();
	word = &km_region_cell(&f.region, 40)->word;
	*word = km_cell_word(9, KM_SHARED_INLINE);
	ck_assert(!km_bell_look(&f.region, 40));
	*word = km_cell_word(10, KM_SHARED_INLINE);
	ck_assert(km_bell_look(&f.region, 40));
	*word = km_cell_word(10, KM_SHARED_VOID);
	ck_assert(km_bell_look(&f.region, 40));
	*word = km_cell_word(12, 3); /* overwritten */
	ck_assert(km_bell_look(&f.region, 40));
	*word = km_cell_word(2, 3); /* corrupt: the read finds it */
	ck_assert(km_bell_look(&f.region, 40));
	teardown();
}
END_TEST

static void commit(void)
{
	km_region_cell(&f.region, CAPACITY)->word = km_cell_word(1, KM_SHARED_INLINE);
}

static int sleep_until(uint64_t ends, int64_t deadline_ns)
{
	const struct km_sleep sleep = { .ends = ends, .deadline_ns = deadline_ns };

	return km_bell_sleep(&f.region, CAPACITY, &sleep);
}

START_TEST(sleep_message_there_returns)
{
	setup();
	commit();
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, KM_WAIT_FOREVER), 0);
	teardown();
}
END_TEST

START_TEST(sleep_quarantined_region_returns)
{
	setup();
	f.region.header->live = KM_LIVE_QUARANTINED;
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, KM_WAIT_FOREVER), 0);
	teardown();
}
END_TEST

START_TEST(sleep_deadline_passed_etimedout)
{
	setup();
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, 1), -ETIMEDOUT);
	teardown();
}
END_TEST

START_TEST(sleep_word_moves_all_the_time_deadline_ends_it)
{
	setup();
	moves = 1000;
	waits = 0;
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, 1), -ETIMEDOUT);
	ck_assert_uint_eq(waits, 1);
	/* without a deadline the sleeper goes on until there is a message */
	moves = 1000;
	waits = 0;
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, KM_WAIT_FOREVER), 0);
	ck_assert_uint_eq(waits, 1000);
	teardown();
}
END_TEST

/* Subscribers have left: from then on each commit rings, and its publisher is told. */
START_TEST(ring_left_is_told_never_woken)
{
	setup();
	bell->word = 8 * GENERATION | WOKEN;
	ck_assert(!km_bell_notify(bell));
	km_bell_say_left(bell);
	ck_assert_uint_eq(bell->word, 10 * GENERATION | ANNOUNCED);
	for (uint32_t i = 11; i < 14; i++) {
		ck_assert(km_bell_notify(bell));
		ck_assert_uint_eq(bell->word, i * GENERATION);
	}
	teardown();
}
END_TEST

START_TEST(sleep_left_ends_only_who_asks_for_it)
{
	setup();
	km_bell_say_left(bell);
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED | KM_LIVE_LEFT, KM_WAIT_FOREVER), 0);
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, 1), -ETIMEDOUT);
	bell->left = 0;
	f.region.header->live = KM_LIVE_LEFT;
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED | KM_LIVE_LEFT, KM_WAIT_FOREVER), 0);
	ck_assert_int_eq(sleep_until(KM_LIVE_QUARANTINED, 1), -ETIMEDOUT);
	teardown();
}
END_TEST

#define SLEEPERS 3

/* Sleepers without a deadline, in the kernel when `wake` is called; all must end. A lost wake ends
 * in a child's alarm. */
static void must_wake(void (*wake)(void))
{
	pid_t pids[SLEEPERS];
	bool asleep = true;

	setup();
	for (int i = 0; i < SLEEPERS; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			alarm(20);
			_exit(sleep_until(KM_LIVE_QUARANTINED | KM_LIVE_LEFT, KM_WAIT_FOREVER) == 0
					? 0
					: 1);
		}
		asleep = fixture_wait_futex(pids[i]) && asleep;
	}
	wake();
	for (int i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(fixture_reap(pids[i]), 0);
	ck_assert(asleep);
	teardown();
}

static void commit_and_notify(void)
{
	commit();
	km_bell_notify(bell);
}

static void dead_then_ring_anyway(void)
{
	commit();
	km_bell_ring_anyway(bell);
}

static void say_left(void)
{
	km_bell_say_left(bell);
}

START_TEST(sleep_say_left_wakes_all)
{
	must_wake(say_left);
}
END_TEST

START_TEST(sleep_notify_wakes_all)
{
	must_wake(commit_and_notify);
}
END_TEST

START_TEST(sleep_ring_anyway_wakes_all)
{
	must_wake(dead_then_ring_anyway);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("bell");

	tcase_add_test(tc, announce_any_word_announced_not_woken);
	tcase_add_test(tc, notify_each_word_rings_only_when_not_woken);
	tcase_add_test(tc, ring_word_has_moved_announced_is_never_marked);
	tcase_add_test(tc, ring_anyway_any_word_moves_generation_keeps_woken);
	tcase_add_test(tc, look_each_cell_state);
	tcase_add_test(tc, sleep_message_there_returns);
	tcase_add_test(tc, sleep_quarantined_region_returns);
	tcase_add_test(tc, sleep_deadline_passed_etimedout);
	tcase_add_test(tc, sleep_word_moves_all_the_time_deadline_ends_it);
	tcase_add_test(tc, ring_left_is_told_never_woken);
	tcase_add_test(tc, sleep_left_ends_only_who_asks_for_it);
	tcase_add_test(tc, sleep_say_left_wakes_all);
	tcase_add_test(tc, sleep_notify_wakes_all);
	tcase_add_test(tc, sleep_ring_anyway_wakes_all);
	return fixture_run("bell", tc);
}
