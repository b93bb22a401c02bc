/* SPDX-License-Identifier: Apache-2.0 */
/* Segments made ahead of time: what is made, when, how much of it at most, and that it goes again. */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory/layout.h"
#include "common/memory/segment.h"
#include "daemon/serve/spare.h"
#include "tests/support/broker/fixture.h"

#define SIZE UINT64_C(950400)

static struct km_broker broker;

static void begin(void)
{
	memset(&broker, 0, sizeof broker);
	broker.base = event_base_new();
	ck_assert_int_eq(km_spare_init(&broker), 0);
}

static void end(void)
{
	km_spare_deinit(&broker);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

static bool is_spare(int fd)
{
	char path[64], target[128] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ck_assert_int_gt(readlink(path, target, sizeof target - 1), 0);
	return strstr(target, "memfd:kickmsgd-spare") != NULL;
}

/* How many spares this process has, and the bytes of their pages. */
static unsigned count_spares(uint64_t *ret_bytes)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned count = 0;
	struct stat st;

	*ret_bytes = 0;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (*entry->d_name == '.' || fd == dirfd(dir) || !is_spare(fd))
			continue;
		ck_assert_int_eq(fstat(fd, &st), 0);
		*ret_bytes += 512 * (uint64_t)st.st_blocks;
		count++;
	}
	closedir(dir);
	return count;
}

/* Takes a segment of that size, which is whole, whatever it was made of, and gives it back. */
static bool take(uint64_t size)
{
	int fd = -1;
	struct stat st;
	unsigned char *memory;

	ck_assert_int_eq(km_spare_take(&broker, "a-topic", size, &fd), 0);
	bool ret = is_spare(fd);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, size);
	ck_assert_uint_eq((uint64_t)st.st_blocks * 512,
		(size + KM_PAGE_SIZE - 1) / KM_PAGE_SIZE * KM_PAGE_SIZE);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(ftruncate(fd, (off_t)size - 1), -1);
	ck_assert_int_eq(km_segment_map(fd, size, PROT_READ, (void **)&memory), 0);
	ck_assert(memory[0] == 0 && memcmp(memory, memory + 1, size - 1) == 0);
	km_segment_unmap(memory, size);
	close(fd);
	return ret;
}

/* Goes on until nothing is left to be made: the timer that gives spares back isn't due yet. */
static void make_all(void)
{
	uint64_t before, after = 0;

	do {
		before = after;
		event_base_loop(broker.base, EVLOOP_NONBLOCK);
		count_spares(&after);
	} while (after != before);
}

START_TEST(take_size_asked_for_twice_is_there_the_third_time)
{
	uint64_t bytes;

	begin();
	for (int i = 0; i < 2; i++) {
		make_all();
		ck_assert_uint_eq(count_spares(&bytes), 0);
		ck_assert(!take(SIZE));
	}
	for (int i = 0; i < 3; i++) {
		make_all();
		ck_assert_uint_eq(count_spares(&bytes), 1);
		ck_assert_uint_eq(bytes, (SIZE + KM_PAGE_SIZE - 1) / KM_PAGE_SIZE * KM_PAGE_SIZE);
		ck_assert(take(SIZE));
	}
	end();
}
END_TEST

START_TEST(take_half_made_is_made_whole)
{
	uint64_t bytes;

	begin();
	take(SIZE);
	take(SIZE);
	event_base_loop(broker.base, EVLOOP_ONCE);
	ck_assert_uint_eq(count_spares(&bytes), 1);
	ck_assert_uint_eq(bytes, KM_SPARE_PIECE);
	ck_assert(take(SIZE));
	end();
}
END_TEST

START_TEST(take_small_or_large_nothing_is_made)
{
	static const uint64_t sizes[] = { KM_PAGE_SIZE, KM_SPARE_MIN - 1, KM_SPARE_MAX + 1 };
	uint64_t bytes;

	begin();
	for (int i = 0; i < 9; i++) {
		ck_assert(!take(sizes[i % 3]));
		make_all();
		ck_assert_uint_eq(count_spares(&bytes), 0);
	}
	end();
}
END_TEST

START_TEST(take_many_sizes_the_last_ones_are_made)
{
	uint64_t bytes;

	begin();
	for (uint64_t size = KM_SPARE_MAX - 5 * KM_PAGE_SIZE; size <= KM_SPARE_MAX;
		size += KM_PAGE_SIZE) {
		take(size);
		take(size);
		make_all();
	}
	ck_assert_uint_eq(count_spares(&bytes), KM_SPARES);
	ck_assert_uint_le(bytes, KM_SPARES * KM_SPARE_MAX);
	ck_assert(take(KM_SPARE_MAX));
	ck_assert(!take(KM_SPARE_MAX - 5 * KM_PAGE_SIZE));
	end();
}
END_TEST

START_TEST(take_sizes_asked_for_once_push_nothing_out)
{
	uint64_t bytes;

	begin();
	take(SIZE);
	take(SIZE);
	make_all();
	for (uint64_t size = KM_SPARE_MIN; size < KM_SPARE_MIN + 9 * KM_PAGE_SIZE;
		size += KM_PAGE_SIZE)
		ck_assert(!take(size));
	make_all();
	ck_assert_uint_eq(count_spares(&bytes), 1);
	ck_assert(take(SIZE));
	end();
}
END_TEST

START_TEST(nobody_asks_any_more_spares_go)
{
	uint64_t bytes;

	begin();
	take(SIZE);
	take(SIZE);
	make_all();
	ck_assert_uint_eq(count_spares(&bytes), 1);
	event_base_dispatch(broker.base); /* ends when no timer is left */
	ck_assert_uint_eq(count_spares(&bytes), 0);
	ck_assert(!take(SIZE));
	end();
}
END_TEST

START_TEST(drop_says_how_much_and_begins_anew)
{
	uint64_t bytes;

	begin();
	ck_assert_uint_eq(km_spare_drop(&broker), 0);
	take(SIZE);
	take(SIZE);
	make_all();
	ck_assert_uint_eq(km_spare_drop(&broker), SIZE);
	make_all();
	ck_assert_uint_eq(count_spares(&bytes), 0);
	ck_assert(!take(SIZE));
	end();
}
END_TEST

START_TEST(descriptors_are_few_nothing_is_made)
{
	struct rlimit before, limit;
	uint64_t bytes;

	begin();
	take(SIZE);
	take(SIZE);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){ 8, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	event_base_loop(broker.base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	make_all();
	ck_assert_uint_eq(count_spares(&bytes), 0);
	end();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("spare");

	tcase_add_test(tc, take_size_asked_for_twice_is_there_the_third_time);
	tcase_add_test(tc, take_half_made_is_made_whole);
	tcase_add_test(tc, take_small_or_large_nothing_is_made);
	tcase_add_test(tc, take_many_sizes_the_last_ones_are_made);
	tcase_add_test(tc, take_sizes_asked_for_once_push_nothing_out);
	tcase_add_test(tc, nobody_asks_any_more_spares_go);
	tcase_add_test(tc, drop_says_how_much_and_begins_anew);
	tcase_add_test(tc, descriptors_are_few_nothing_is_made);
	return fixture_run("spare", tc);
}
