/* SPDX-License-Identifier: Apache-2.0 */
/* The shared ring: each state of a cell, and what commit, void, read and frontier make of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/shared/shared.h"
#include "tests/support/broker/fixture.h"

#define CAPACITY 4u
#define POOL     8u

/* In the middle of a ring of KM_MAX_CAPACITY, near no half of it. */
#define FRONTIER_INDEX 43210u

static struct fixture_region f;
static struct km_endpoint *record;

static void setup_with(uint64_t max_payload, uint32_t timestamps)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, POOL);

	geometry.transport = KM_TRANSPORT_SHARED;
	geometry.max_payload_size = max_payload;
	geometry.timestamps = timestamps;
	fixture_region_init(&f, &geometry);
	record = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
}

static void setup(uint64_t max_payload)
{
	setup_with(max_payload, 0);
}

static void teardown(void)
{
	ck_assert_uint_eq(record->evicting, KM_HAZARD_NONE);
	free(record);
	fixture_region_deinit(&f);
}

static _Atomic uint64_t *word_at(uint64_t position)
{
	return &km_region_cell(&f.region, position)->word;
}

/* The last CAPACITY positions before `frontier` carry `ref`, or from ref on a slot each. */
static void write_ring(uint64_t frontier, uint32_t ref, uint64_t hint)
{
	for (uint64_t p = frontier - CAPACITY; p != frontier; p++) {
		*word_at(p) = km_cell_word(p / CAPACITY & KM_CELL_LAP_MASK, ref);
		if (km_shared_is_slot(ref))
			f.region.slots[ref++].word = KM_SLOT_RING;
	}
	f.region.shared->hint = hint;
}

static int commit(const void *data, uint64_t len, uint64_t sequence, uint64_t *next)
{
	struct km_shared_message message = { data, len, sequence, 1 };

	return km_shared_commit(&f.region, record, KM_SHARED_INLINE, &message, NULL, next, NULL);
}

START_TEST(commit_any_hint_lands_at_frontier)
{
	for (uint64_t hint = 96; hint <= 100; hint++) {
		uint64_t next = CAPACITY;

		setup(64);
		write_ring(100, KM_SHARED_VOID, hint);
		ck_assert_int_eq(commit("x", 1, 7, &next), 0);
		ck_assert_uint_eq(next, 101);
		ck_assert_uint_eq(f.region.shared->hint, 101);
		ck_assert_uint_eq(*word_at(100), km_cell_word(25, KM_SHARED_INLINE));
		teardown();
	}
}
END_TEST

START_TEST(commit_near_last_lap_wraps)
{
	const uint64_t first = ((UINT64_C(1) << 40) - 1) * CAPACITY;
	uint64_t next = first;
	uint32_t value;
	struct km_shared_seen seen;

	setup(64);
	write_ring(first, KM_SHARED_VOID, first);
	for (uint32_t i = 0; i < 2 * CAPACITY; i++) {
		ck_assert_int_eq(commit(&i, sizeof i, i + 1, &next), 0);
		ck_assert_uint_eq(next, first + i + 1);
		ck_assert_int_eq(
			km_shared_read(&f.region, first + i, &value, sizeof value, &seen, NULL), 0);
		ck_assert_uint_eq(value, i);
		ck_assert_uint_eq(seen.sequence, i + 1);
	}
	teardown();
}
END_TEST

START_TEST(commit_over_slot_drops_ring)
{
	uint64_t next = CAPACITY;

	setup(64);
	write_ring(100, 2, 100);
	ck_assert_int_eq(commit("x", 1, 1, &next), 0);
	ck_assert_uint_eq(fixture_word(&f, 2), 0);
	for (uint32_t i = 3; i < 6; i++)
		ck_assert_uint_eq(fixture_word(&f, i), KM_SLOT_RING);
	teardown();
}
END_TEST

START_TEST(commit_lap_parity_leaves_other_buffer)
{
	uint64_t next = CAPACITY;
	char text[] = "lap of a buffer.";

	setup(64);
	for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
		struct km_shared_cell *cell = km_region_cell(&f.region, next);
		uint64_t lap = next / CAPACITY, before = cell->heads[~lap & 1].sequence;

		text[0] = (char)('A' + i);
		ck_assert_int_eq(commit(text, sizeof text, i + 1, &next), 0);
		ck_assert_uint_eq(cell->heads[lap & 1].sequence, i + 1);
		ck_assert_uint_eq(cell->heads[~lap & 1].sequence, before);
		ck_assert_int_eq(
			*(char *)km_shared_buffer(&f.region, cell, lap, 16, false), 'A' + (int)i);
	}
	teardown();
}
END_TEST

START_TEST(commit_corrupt_ring_estale_nothing_changed)
{
	static const uint64_t words[] = {
		UINT64_C(20) << 24 | 1,    /* laps behind */
		UINT64_C(24) << 24 | POOL, /* a slot that isn't there */
		(UINT64_C(24) << 24) | 0xfffffdu,
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		uint64_t next = CAPACITY;

		setup(64);
		write_ring(100, KM_SHARED_VOID, 100);
		*word_at(100) = words[i];
		void *before = fixture_snapshot(&f);
		ck_assert_int_eq(commit("x", 1, 1, &next), -ESTALE);
		ck_assert_uint_eq(next, CAPACITY);
		ck_assert(fixture_unchanged(&f, before));
		free(before);
		teardown();
	}
}
END_TEST

START_TEST(read_each_length_whole)
{
	static const uint64_t lengths[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 17, 63, 64, 65, 127,
		200 };
	unsigned char in[200], out[208];
	struct km_shared_seen seen;
	uint64_t next = CAPACITY;

	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (unsigned char)(i * 7 + 1);
	setup(200);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(out, 0xee, sizeof out);
		ck_assert_int_eq(commit(in, lengths[i], i + 1, &next), 0);
		ck_assert_int_eq(km_shared_read(&f.region, next - 1, out, 200, &seen, NULL), 0);
		ck_assert_uint_eq(seen.len, lengths[i]);
		ck_assert_uint_eq(seen.publisher_id, 1);
		ck_assert_int_eq(memcmp(in, out, lengths[i]), 0);
		ck_assert_uint_eq(out[lengths[i]], 0xee); /* not a byte more */
	}
	teardown();
}
END_TEST

/* In topics with timestamps a message of these lengths can't lie in its cell's line, where the time
 * is. It comes back whole, with its time. */
START_TEST(read_with_time_each_length_whole)
{
	struct km_shared_seen seen;
	uint64_t next = CAPACITY, time, bytes = UINT64_C(0x0807060504030201), out;

	setup_with(8, 1);
	for (uint64_t i = 0; i < 4 * CAPACITY; i++) {
		struct km_shared_message message = { &bytes, i % 9, i + 1, 1 };
		const uint64_t publish_ns = 1000 + i, written = next;

		ck_assert_int_eq(km_shared_commit(&f.region, record, KM_SHARED_INLINE, &message,
					 &publish_ns, &next, NULL),
			0);
		ck_assert_int_eq(km_shared_read(&f.region, written, &out, 8, &seen, &time), 0);
		ck_assert_uint_eq(time, publish_ns);
		ck_assert_uint_eq(seen.len, i % 9);
		ck_assert_mem_eq(&out, &bytes, seen.len);
	}
	teardown();
}
END_TEST

START_TEST(read_each_state)
{
	struct km_shared_seen seen = { 0 };
	uint64_t next = CAPACITY;
	char buf[64];

	setup(64);
	write_ring(100, KM_SHARED_VOID, 100);
	ck_assert_int_eq(km_shared_read(&f.region, 100, buf, 64, &seen, NULL), -EAGAIN);
	ck_assert_int_eq(km_shared_read(&f.region, 99, buf, 64, &seen, NULL), -ENODATA);
	ck_assert_int_eq(km_shared_read(&f.region, 91, buf, 64, &seen, NULL), -EOVERFLOW);
	ck_assert_uint_eq(seen.newest, 99);
	ck_assert_int_eq(km_shared_read(&f.region, 104, buf, 64, &seen, NULL), -ESTALE);
	ck_assert_int_eq(commit("hello", 5, 9, &next), 0);
	ck_assert_int_eq(km_shared_read(&f.region, 100, buf, 4, &seen, NULL), -EMSGSIZE);
	ck_assert_uint_eq(seen.len, 5);
	km_region_cell(&f.region, 100)->heads[1].about = UINT64_MAX; /* torn, and stands still */
	ck_assert_int_eq(km_shared_read(&f.region, 100, buf, 64, &seen, NULL), -ESTALE);
	*word_at(100) = km_cell_word(25, POOL);
	ck_assert_int_eq(km_shared_read(&f.region, 100, buf, 64, &seen, NULL), -ESTALE);
	teardown();
}
END_TEST

/* Slot 3 is also a publisher's, so taking its message out doesn't free it: the next oldest message
 * is taken as well. */
START_TEST(claim_oldest_takes_oldest_slot_first)
{
	uint32_t slot = 99;

	setup(64);
	write_ring(100, 2, 100);
	*word_at(96) = km_cell_word(24, KM_SHARED_INLINE);
	f.region.slots[2].word = 0;
	fixture_set_word(&f, 3, km_slot_id_word(2) | KM_SLOT_RING);
	for (uint32_t i = 4; i < 6; i++) {
		ck_assert_int_eq(km_shared_claim_oldest(&f.region, record, 1, CAPACITY, &slot), 0);
		ck_assert_uint_eq(slot, i);
		ck_assert_uint_eq(fixture_word(&f, i), km_slot_id_word(1));
		ck_assert_uint_eq(*word_at(94 + i), km_cell_word(24, KM_SHARED_VOID));
	}
	ck_assert_uint_eq(*word_at(97), km_cell_word(24, KM_SHARED_VOID));
	ck_assert_uint_eq(fixture_word(&f, 3), km_slot_id_word(2));
	ck_assert_int_eq(km_shared_claim_oldest(&f.region, record, 1, CAPACITY, &slot), -EAGAIN);
	*word_at(97) = km_cell_word(24, POOL);
	ck_assert_int_eq(km_shared_claim_oldest(&f.region, record, 1, CAPACITY, &slot), -ESTALE);
	teardown();
}
END_TEST

START_TEST(frontier_any_hint_found)
{
	uint64_t frontier;

	setup(64);
	for (uint64_t hint = 96; hint <= 100; hint++) {
		write_ring(100, KM_SHARED_VOID, hint);
		ck_assert_int_eq(km_shared_frontier(&f.region, CAPACITY, &frontier), 0);
		ck_assert_uint_eq(frontier, 100);
	}
	f.region.shared->hint = 400;
	frontier = 1;
	ck_assert_int_eq(km_shared_frontier(&f.region, CAPACITY, &frontier), -ESTALE);
	ck_assert_uint_eq(frontier, 1);
	teardown();
}
END_TEST

/* All cells committed, the hint at the first of them. Pages that the search touches are counted by
 * the faults of a mapping that nobody has looked at before: a walk would touch each. */
START_TEST(frontier_hint_set_back_few_cells_looked_at)
{
	const uint32_t capacity = KM_MAX_CAPACITY;
	struct km_geometry geometry = fixture_geometry(capacity, POOL);
	struct km_region written, fresh;
	struct rusage before, after;
	uint64_t frontier, at;
	void *memory;

	geometry.transport = KM_TRANSPORT_SHARED;
	uint64_t size = km_geometry_control_size(&geometry);
	int fd = memfd_create("frontier", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	km_region_format(memory, &geometry, "/frontier", "frontier", 0);
	ck_assert_int_eq(km_region_attach(&written, &geometry, memory, size, NULL, 0), 0);
	for (uint32_t i = 0; i < capacity; i++)
		km_region_cell(&written, i)->word = km_cell_word(
			i < FRONTIER_INDEX ? 7 : 6, KM_SHARED_INLINE);
	memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(km_region_attach(&fresh, &geometry, memory, size, NULL, 0), 0);
	for (at = 6 * (uint64_t)capacity; at <= 7 * (uint64_t)capacity; at += capacity) {
		written.shared->hint = at;
		ck_assert_int_eq(getrusage(RUSAGE_THREAD, &before), 0);
		ck_assert_int_eq(km_shared_frontier(&fresh, capacity, &frontier), 0);
		ck_assert_int_eq(getrusage(RUSAGE_THREAD, &after), 0);
		ck_assert_uint_eq(frontier, 7 * (uint64_t)capacity + FRONTIER_INDEX);
#ifndef __SANITIZE_THREAD__ /* its shadow of the memory has faults of its own */
		ck_assert_int_le(after.ru_minflt - before.ru_minflt, 30);
#endif
	}
	munmap(written.header, size);
	munmap(fresh.header, size);
	close(fd);
}
END_TEST

/* Where no step from the hint finds it: each frontier of two laps, from each position before it. */
START_TEST(frontier_search_each_place_found)
{
	uint64_t found;

	setup(64);
	for (uint64_t frontier = 40; frontier < 40 + 2 * CAPACITY; frontier++) {
		write_ring(frontier, KM_SHARED_VOID, 0);
		for (uint64_t from = CAPACITY; from <= frontier; from++) {
			ck_assert_int_eq(km_shared_search(&f.region, from, &found), 0);
			ck_assert_uint_eq(found, frontier);
		}
		ck_assert_int_eq(km_shared_search(&f.region, frontier + CAPACITY, &found), -ESTALE);
	}
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("shared");

	tcase_add_test(tc, commit_any_hint_lands_at_frontier);
	tcase_add_test(tc, commit_near_last_lap_wraps);
	tcase_add_test(tc, commit_over_slot_drops_ring);
	tcase_add_test(tc, commit_lap_parity_leaves_other_buffer);
	tcase_add_test(tc, commit_corrupt_ring_estale_nothing_changed);
	tcase_add_test(tc, read_each_length_whole);
	tcase_add_test(tc, read_with_time_each_length_whole);
	tcase_add_test(tc, read_each_state);
	tcase_add_test(tc, claim_oldest_takes_oldest_slot_first);
	tcase_add_test(tc, frontier_any_hint_found);
	tcase_add_test(tc, frontier_hint_set_back_few_cells_looked_at);
	tcase_add_test(tc, frontier_search_each_place_found);
	return fixture_run("shared", tc);
}
