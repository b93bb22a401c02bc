/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that stand in an io_uring (libclient/watch/standing.h), with the kernel's part. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "common/clock.h"
#include "common/memory/atomic.h"
#include "common/ring/futex.h"
#include "libclient/watch/standing.h"
#include "libclient/watch/uring.h"
#include "tests/support/suite.h"
#include "tests/support/uring.h"

#define SIZE 4096
#define MS   INT64_C(1000000)

static struct km_standing standing;

static void begin(void)
{
	ck_assert_int_eq(km_uring_new_hidden(&standing.uring), 0);
	ck_assert_int_eq(km_standing_reserve(&standing, 4), 0);
}

static int memory_new(void)
{
	int fd = memfd_create("standing", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	return fd;
}

static _Atomic uint32_t *map(int fd, void *at)
{
	void *memory = mmap(
		at, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	return memory;
}

/* Sleeps for a short time. Returns the only place whose wait ended, or -1. */
static int ended(void)
{
	size_t place;

	ck_assert_int_eq(km_uring_sleep(standing.uring, km_clock_ns() + 2 * MS), 0);
	int first = km_standing_next(&standing, &place) ? (int)place : -1;
	ck_assert(!km_standing_next(&standing, &place));
	return first;
}

static void put(size_t place, const _Atomic uint32_t *word, uint64_t key, uint32_t expected)
{
	ck_assert_int_eq(km_standing_put(&standing, place, word, key, expected), 0);
}

START_TEST(stands_until_it_is_woken)
{
	_Atomic uint32_t *word = map(memory_new(), NULL);

	begin();
	put(0, &word[0], 1, 0);
	put(1, &word[1], 1, 0);
	ck_assert_int_eq(ended(), -1);
	/* whatever the word is: what is put again is left alone */
	word[0] = 5;
	put(0, &word[0], 1, 0);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(&word[0]);
	ck_assert_int_eq(ended(), 0);
	/* a new wait compares */
	put(0, &word[0], 1, 0);
	ck_assert_int_eq(ended(), 0);
	put(0, &word[0], 1, 5);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(&word[1]);
	ck_assert_int_eq(ended(), 1);
	/* a wake before the sleep ends it */
	km_futex_wake(&word[0]);
	ck_assert_int_eq(ended(), 0);
	km_standing_free(&standing);
}
END_TEST

START_TEST(goes_with_its_word)
{
	_Atomic uint32_t *word = map(memory_new(), NULL);

	begin();
	put(2, &word[0], 1, 0);
	ck_assert_int_eq(ended(), -1);
	put(2, &word[1], 1, 0);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(&word[0]);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(&word[1]);
	ck_assert_int_eq(ended(), 2);
	put(2, &word[1], 1, 0);
	ck_assert_int_eq(ended(), -1);
	put(2, NULL, 0, 0);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(&word[1]);
	ck_assert_int_eq(ended(), -1);
	km_standing_free(&standing);
}
END_TEST

/* Another region is mapped where the first one was. */
START_TEST(other_memory_at_the_same_address)
{
	int first = memory_new(), second = memory_new();
	_Atomic uint32_t *word = map(first, NULL);

	begin();
	put(0, word, 1, 0);
	ck_assert_int_eq(ended(), -1);
	ck_assert_ptr_eq(map(second, (void *)word), word);
	put(0, word, 2, 0);
	ck_assert_int_eq(ended(), -1);
	km_futex_wake(word);
	ck_assert_int_eq(ended(), 0);
	km_standing_free(&standing);
	close(first);
	close(second);
}
END_TEST

/* Cancelled waits leave nothing in the kernel that would end later ones. */
START_TEST(moves_a_thousand_times)
{
	_Atomic uint32_t *word = map(memory_new(), NULL);

	begin();
	for (int i = 0; i < 1000; i++) {
		put(0, &word[i % 100], 1, 0);
		put(1, &word[i % 100 + 100], 1, 0);
		size_t place;
		ck_assert_int_eq(km_uring_sleep(standing.uring, km_clock_ns()), 0);
		while (km_standing_next(&standing, &place))
			ck_abort_msg("place %zu ended", place);
	}
	km_futex_wake(&word[99]);
	ck_assert_int_eq(ended(), 0);
	km_futex_wake(&word[199]);
	ck_assert_int_eq(ended(), 1);
	for (int i = 0; i < 200; i++)
		km_futex_wake(&word[i]);
	ck_assert_int_eq(ended(), -1);
	km_standing_free(&standing);
}
END_TEST

static void *is_mine(void *uring)
{
	return km_uring_is_mine(uring) ? uring : NULL;
}

static void *make_one(void *ret)
{
	return km_uring_new_hidden(ret) == 0 && km_uring_is_mine(*(struct km_uring **)ret) ? ret
											   : NULL;
}

/* A ring is its thread's, and is let go by any. */
START_TEST(is_one_threads)
{
	struct km_uring *others;
	pthread_t thread;
	void *said;

	begin();
	ck_assert(km_uring_is_mine(standing.uring));
	ck_assert_int_eq(pthread_create(&thread, NULL, is_mine, standing.uring), 0);
	pthread_join(thread, &said);
	ck_assert_ptr_null(said);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, make_one, &others), 0);
		pthread_join(thread, &said);
		ck_assert_ptr_nonnull(said);
		ck_assert(!km_uring_is_mine(others));
		km_uring_free(others);
	}
	/* the thread's own places come back */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(km_uring_new_hidden(&others), 0);
		km_uring_free(others);
	}
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(km_uring_is_mine(standing.uring));
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	km_standing_free(&standing);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("standing");
	Suite *suite = suite_create("standing");

	if (!test_has_hidden_uring()) {
		printf("skipped: there are no hidden io_urings with futex waits here\n");
		return 77;
	}
	tcase_add_test(tcase, stands_until_it_is_woken);
	tcase_add_test(tcase, goes_with_its_word);
	tcase_add_test(tcase, other_memory_at_the_same_address);
	tcase_add_test(tcase, moves_a_thousand_times);
	tcase_add_test(tcase, is_one_threads);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
