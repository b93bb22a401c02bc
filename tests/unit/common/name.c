/* SPDX-License-Identifier: Apache-2.0 */
/* Names: a table of what users write and what becomes of it. */
#include <errno.h>
#include <string.h>

#include "common/memory/layout.h"
#include "common/protocol/name.h"
#include "tests/support/broker/fixture.h"

START_TEST(escape_table_as_documented)
{
	static const struct {
		const char *in, *out; /* null: -EINVAL */
	} table[] = {
		{ "a", "a" },
		{ "Imu.raw_0-B", "Imu.raw_0-B" },
		{ "/imu", "imu" },
		{ "///imu", "imu" },
		{ "robot/arm/left", "robot/arm/left" },
		{ "imu/", "imu/" },
		{ "a//b", "a//b" },
		{ "a b\tc", "a%20b%09c" },
		{ "a:b*c?", "a%3Ab%2Ac%3F" },
		{ "\xc3\xbc", "%C3%BC" },
		{ "\xff\x7f\x01", "%FF%7F%01" },
		{ "100%", "100%25" },
		{ "%2F", "%252F" },
		{ "..", ".." },
		{ "", NULL },
		{ "/", NULL },
		{ "////", NULL },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char out[32] = "untouched";
		int r = km_name_escape(table[i].in, out, sizeof out);

		ck_assert_int_eq(r, table[i].out ? 0 : -EINVAL);
		ck_assert_str_eq(out, table[i].out ? table[i].out : "untouched");
		if (table[i].out)
			ck_assert(km_name_is_clean(out));
	}
}
END_TEST

/* All names of one to three of these bytes: no two are written alike, and each reads back. */
START_TEST(escape_different_names_differ_and_read_back)
{
	static const char bytes[] = "\xc3\xbc\xa4"
				    "a/.%_ 2:";
	const size_t base = sizeof bytes - 1;
	static char seen[12 * 12 * 12][16];
	size_t count = 0;

	for (size_t n = 1; n < (base + 1) * (base + 1) * (base + 1); n++) {
		char name[4] = "", back[16], *text = seen[count];

		/* the digits of a number without a digit 0, the lowest first */
		for (size_t rest = n, i = 0; rest > 0; i++, rest = (rest - 1) / base)
			if (i < 3)
				name[i] = bytes[(rest - 1) % base];
		if (name[0] == '/' || n > base + base * base + base * base * base)
			continue;
		ck_assert_int_eq(km_name_escape(name, text, sizeof seen[0]), 0);
		ck_assert_int_eq(km_name_unescape(text, back, sizeof back), 0);
		ck_assert_str_eq(back, name);
		for (size_t i = 0; i < count; i++)
			ck_assert_str_ne(seen[i], text);
		count++;
	}
	ck_assert_uint_eq(count, 10 + 10 * 11 + 10 * 11 * 11);
}
END_TEST

START_TEST(escape_exact_fit_and_one_longer)
{
	char name[KM_NAME_SIZE + 1], out[KM_NAME_SIZE + 1];

	memset(name, 'x', sizeof name);
	name[KM_NAME_SIZE - 1] = '\0';
	memset(out, 'u', sizeof out);
	ck_assert_int_eq(km_name_escape(name, out, KM_NAME_SIZE), 0);
	ck_assert_uint_eq(strlen(out), KM_NAME_SIZE - 1);
	ck_assert_int_eq(out[KM_NAME_SIZE], 'u');
	name[0] = ' '; /* takes three */
	memset(out, 'u', sizeof out);
	ck_assert_int_eq(km_name_escape(name, out, KM_NAME_SIZE), -EINVAL);
	ck_assert_int_eq(out[0], 'u');
	name[KM_NAME_SIZE - 3] = '\0';
	ck_assert_int_eq(km_name_escape(name, out, KM_NAME_SIZE), 0);
	ck_assert_uint_eq(strlen(out), KM_NAME_SIZE - 1);
	/* what is stripped doesn't count */
	memset(name, 'x', KM_NAME_SIZE);
	name[KM_NAME_SIZE] = '\0';
	ck_assert_int_eq(km_name_escape(name, out, KM_NAME_SIZE), -EINVAL);
	name[0] = '/';
	ck_assert_int_eq(km_name_escape(name, out, KM_NAME_SIZE), 0);
}
END_TEST

START_TEST(unescape_what_people_write)
{
	static const struct {
		const char *in, *out; /* null: -EINVAL */
	} table[] = {
		{ "robot/arm", "robot/arm" }, { "%C3%bc", "\xc3\xbc" }, { "\xc3\xbc", "\xc3\xbc" },
		{ "a%20b", "a b" }, { "%41", "A" }, { "%2f", "/" }, { "100%25", "100%" },
		{ "100%", NULL }, { "%4", NULL }, { "%4g", NULL }, { "%%", NULL }, { "a%00", NULL },
		{ "12345678901", NULL }, /* longer than fits */
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char out[11] = "untouched";
		int r = km_name_unescape(table[i].in, out, sizeof out);

		ck_assert_msg(r == (table[i].out ? 0 : -EINVAL), "%s", table[i].in);
		ck_assert_str_eq(out, table[i].out ? table[i].out : "untouched");
	}
}
END_TEST

START_TEST(is_clean_only_what_escape_writes)
{
	static const char *const unclean[] = { "/a", "%", "a%2", "a%2f", "%2F", "%41", "%C3%bC",
		"%00", "%zz" };

	for (size_t i = 0; i < sizeof unclean / sizeof unclean[0]; i++)
		ck_assert_msg(!km_name_is_clean(unclean[i]), "%s", unclean[i]);
	ck_assert(km_name_is_clean("a%2A"));
	ck_assert(km_name_is_clean("%C3%BC/x"));
}
END_TEST

START_TEST(is_clean_every_byte_as_kept)
{
	static const char kept[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";

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

START_TEST(write_whole_name_of_each_kind)
{
	char out[24] = "untouched";

	ck_assert_int_eq(km_name_write(KM_KIND_PUBSUB, "pre", "ignored", "a/b", out, 8), 0);
	ck_assert_str_eq(out, "pre:a/b");
	ck_assert_int_eq(km_name_write(KM_KIND_BROADCAST, "pre", "", "x", out, sizeof out), 0);
	ck_assert_str_eq(out, "channel:pre:x");
	ck_assert_int_eq(km_name_write(KM_KIND_MAILBOX, "pre", "me", "x", out, sizeof out), 0);
	ck_assert_str_eq(out, "mailbox:pre:me:x");
	ck_assert_int_eq(km_name_write(KM_KIND_PUBSUB, "pre", "", "a/b", out, 7), -EINVAL);
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

	tcase_add_test(tc, escape_table_as_documented);
	tcase_add_test(tc, escape_different_names_differ_and_read_back);
	tcase_add_test(tc, escape_exact_fit_and_one_longer);
	tcase_add_test(tc, unescape_what_people_write);
	tcase_add_test(tc, is_clean_only_what_escape_writes);
	tcase_add_test(tc, is_clean_every_byte_as_kept);
	tcase_add_test(tc, region_two_parts_joined_or_einval);
	tcase_add_test(tc, region_longest_parts_fit);
	tcase_add_test(tc, region_of_each_kind_joined);
	tcase_add_test(tc, region_of_too_long_together_einval);
	tcase_add_test(tc, write_whole_name_of_each_kind);
	tcase_add_test(tc, printable_only_ascii_and_cut);
	return fixture_run("name", tc);
}
