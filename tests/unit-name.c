/* SPDX-License-Identifier: Apache-2.0 */
/* Names: a table of what users write and what becomes of it. */
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "name.h"
#include "support/fixture.h"

START_TEST(sanitise_table_as_documented)
{
	static const struct {
		const char *in, *out; /* null: -EINVAL */
	} table[] = {
		{ "a", "a" },
		{ "Imu.raw_0-B", "Imu.raw_0-B" },
		{ "/imu", "imu" },
		{ "///imu", "imu" },
		{ "robot/arm/left", "robot.arm.left" },
		{ "imu/", "imu." },
		{ "a//b", "a..b" },
		{ "a b\tc", "a_b_c" },
		{ "a:b*c?", "a_b_c_" },
		{ "\xc3\xa4", "__" },
		{ "\x7f\x01", "__" },
		{ "..", ".." },
		{ "", NULL },
		{ "/", NULL },
		{ "////", NULL },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char out[32] = "untouched";
		int r = km_name_sanitise(table[i].in, out, sizeof out);

		ck_assert_int_eq(r, table[i].out ? 0 : -EINVAL);
		ck_assert_str_eq(out, table[i].out ? table[i].out : "untouched");
		if (table[i].out)
			ck_assert(km_name_is_clean(out));
	}
}
END_TEST

START_TEST(sanitise_exact_fit_and_one_longer)
{
	char name[KM_NAME_SIZE + 1], out[KM_NAME_SIZE + 1];

	memset(name, 'x', sizeof name);
	name[KM_NAME_SIZE - 1] = '\0';
	memset(out, 'u', sizeof out);
	ck_assert_int_eq(km_name_sanitise(name, out, KM_NAME_SIZE), 0);
	ck_assert_uint_eq(strlen(out), KM_NAME_SIZE - 1);
	ck_assert_int_eq(out[KM_NAME_SIZE], 'u');
	name[KM_NAME_SIZE - 1] = 'x';
	name[KM_NAME_SIZE] = '\0';
	memset(out, 'u', sizeof out);
	ck_assert_int_eq(km_name_sanitise(name, out, KM_NAME_SIZE), -EINVAL);
	ck_assert_int_eq(out[0], 'u');
	/* what is stripped doesn't count */
	name[0] = '/';
	ck_assert_int_eq(km_name_sanitise(name, out, KM_NAME_SIZE), 0);
}
END_TEST

START_TEST(is_clean_every_byte_as_kept)
{
	static const char kept[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	ck_assert(!km_name_is_clean(""));
	for (int c = 1; c < 256; c++) {
		char name[4] = { 'a', (char)c, 'b', 0 };

		ck_assert_msg(!km_name_is_clean(name) == !strchr(kept, c), "byte %d", c);
	}
}
END_TEST

START_TEST(region_two_parts_joined_or_einval)
{
	char out[12] = "untouched";

	ck_assert_int_eq(km_name_region("pre", "topic", out, 10), -EINVAL);
	ck_assert_str_eq(out, "untouched");
	ck_assert_int_eq(km_name_region("pre", "topic", out, 11), 0);
	ck_assert_str_eq(out, "/pre_topic");
}
END_TEST

START_TEST(region_longest_parts_fit)
{
	char prefix[KM_PREFIX_SIZE], topic[KM_NAME_SIZE], out[KM_REGION_NAME_SIZE];

	memset(prefix, 'p', sizeof prefix);
	memset(topic, 't', sizeof topic);
	prefix[sizeof prefix - 1] = topic[sizeof topic - 1] = '\0';
	ck_assert_int_eq(km_name_region(prefix, topic, out, sizeof out), 0);
	ck_assert_uint_eq(strlen(out), sizeof prefix + sizeof topic);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("name");

	tcase_add_test(tc, sanitise_table_as_documented);
	tcase_add_test(tc, sanitise_exact_fit_and_one_longer);
	tcase_add_test(tc, is_clean_every_byte_as_kept);
	tcase_add_test(tc, region_two_parts_joined_or_einval);
	tcase_add_test(tc, region_longest_parts_fit);
	return fixture_run("name", tc);
}
