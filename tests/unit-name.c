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

START_TEST(region_of_each_kind_joined)
{
	static const struct {
		uint32_t kind;
		const char *owner, *region;
	} table[] = {
		{ KM_KIND_PUBSUB, "", "/pre_x" },
		{ KM_KIND_PUBSUB, "ignored", "/pre_x" },
		{ KM_KIND_BROADCAST, "", "/pre_broadcast_x" },
		{ KM_KIND_BROADCAST, "ignored", "/pre_broadcast_x" },
		{ KM_KIND_MAILBOX, "node.a", "/pre_node.a_mbx_x" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		size_t len = strlen(table[i].region);
		char out[32] = "untouched";

		/* one short, then exactly */
		ck_assert_int_eq(
			km_name_region_of(table[i].kind, "pre", table[i].owner, "x", out, len),
			-EINVAL);
		ck_assert_str_eq(out, "untouched");
		ck_assert_int_eq(
			km_name_region_of(table[i].kind, "pre", table[i].owner, "x", out, len + 1),
			0);
		ck_assert_str_eq(out, table[i].region);
	}
}
END_TEST

/* A mailbox' three parts may each be the longest, but not together. */
START_TEST(region_of_too_long_together_einval)
{
	char prefix[KM_PREFIX_SIZE], owner[KM_PREFIX_SIZE], tag[KM_NAME_SIZE];
	char out[KM_REGION_NAME_SIZE + 64] = "untouched";
	const size_t room = KM_REGION_NAME_SIZE - strlen("/__mbx_") - 1;

	memset(prefix, 'p', sizeof prefix);
	memset(owner, 'o', sizeof owner);
	memset(tag, 't', sizeof tag);
	prefix[sizeof prefix - 1] = owner[sizeof owner - 1] = tag[sizeof tag - 1] = '\0';
	ck_assert_uint_gt(strlen(prefix) + strlen(owner) + strlen(tag), room);
	ck_assert_int_eq(
		km_name_region_of(KM_KIND_MAILBOX, prefix, owner, tag, out, sizeof out), -EINVAL);
	ck_assert_str_eq(out, "untouched");
	tag[room - strlen(prefix) - strlen(owner)] = '\0';
	ck_assert_int_eq(
		km_name_region_of(KM_KIND_MAILBOX, prefix, owner, tag, out, sizeof out), 0);
	ck_assert_uint_eq(strlen(out), KM_REGION_NAME_SIZE - 1);
}
END_TEST

START_TEST(strip_only_leading_slashes)
{
	static const struct {
		const char *in, *out; /* null: -EINVAL */
	} table[] = {
		{ "a", "a" },
		{ "/a", "a" },
		{ "//a/b/", "a/b/" },
		{ " /a", " /a" },
		{ "\xff\x01", "\xff\x01" },
		{ "", NULL },
		{ "///", NULL },
		{ "1234567", "1234567" },
		{ "//1234567", "1234567" },
		{ "12345678", NULL },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char out[8 + 1] = "?";

		out[8] = 'u';
		ck_assert_int_eq(km_name_strip(table[i].in, out, 8), table[i].out ? 0 : -EINVAL);
		ck_assert_str_eq(out, table[i].out ? table[i].out : "?");
		ck_assert_int_eq(out[8], 'u');
	}
}
END_TEST

START_TEST(printable_only_ascii_and_cut)
{
	char out[6];

	km_name_printable("a\n\xff~ ", out, sizeof out);
	ck_assert_str_eq(out, "a??~ ");
	km_name_printable("longer", out, sizeof out);
	ck_assert_str_eq(out, "longe");
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
	tcase_add_test(tc, region_of_each_kind_joined);
	tcase_add_test(tc, region_of_too_long_together_einval);
	tcase_add_test(tc, strip_only_leading_slashes);
	tcase_add_test(tc, printable_only_ascii_and_cut);
	return fixture_run("name", tc);
}
