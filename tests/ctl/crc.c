/* SPDX-License-Identifier: Apache-2.0 */
/* The CRC32 of recordings, both ways that it is computed, against a bit at a time. */
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctl/mcap.h"
#include "tests/support/suite.h"

enum { MOST = 1200 };

typedef uint32_t crc32_function(uint32_t crc, const void *data, size_t size);

static uint32_t by_bits(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *at = data;

	for (crc = ~crc; size > 0; size--, at++) {
		crc ^= *at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* Returns the end of MOST bytes; the next page can't be read. */
static unsigned char *bytes_before_a_hole(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *pages = mmap(
		NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t random = 1;

	ck_assert(pages != MAP_FAILED && page >= MOST);
	ck_assert_int_eq(mprotect(pages + page, page, PROT_NONE), 0);
	for (size_t i = 0; i < page; i++) {
		random = random * 1664525 + 1013904223;
		pages[i] = (unsigned char)(random >> 24);
	}
	return pages + page;
}

/* The test's index is the way: as the processor can, as any can. */
START_TEST(crc_of_any_length_and_beginning_is_right)
{
	crc32_function *const crc32 = _i ? mcap_crc32_by_tables : mcap_crc32;
	const unsigned char *end = bytes_before_a_hole();

	ck_assert_uint_eq(crc32(0, "123456789", 9), 0xcbf43926);
	ck_assert_uint_eq(crc32(0x12345678, end, 0), 0x12345678);
	/* a block that ends at the hole begins at each alignment */
	for (size_t size = 0; size <= MOST; size++)
		ck_assert_msg(crc32(0, end - size, size) == by_bits(0, end - size, size),
			"of %zu bytes", size);
	/* blocks that end anywhere, going on from what came before */
	for (size_t gap = 1; gap <= 16; gap++)
		for (size_t size = 0; size <= 300; size++) {
			const unsigned char *at = end - gap - size;
			const uint32_t before = (uint32_t)(size * 2654435761u + gap);

			ck_assert_uint_eq(crc32(before, at, size), by_bits(before, at, size));
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-crc");
	TCase *tc = tcase_create("ctl-crc");

	tcase_add_loop_test(tc, crc_of_any_length_and_beginning_is_right, 0, 2);
	suite_add_tcase(suite, tc);
	return test_suite_run(suite);
}
