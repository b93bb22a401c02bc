/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: what differs, in bits and in words, and fingerprints. */
#include <stdlib.h>
#include <string.h>

#include "common/protocol/schema.h"
#include "tests/support/broker/fixture.h"

/* The bit that each byte stands for; names are texts. */
static uint32_t bit_of(size_t offset)
{
	static const struct {
		size_t begin, size;
		uint32_t bit;
	} fields[] = {
#define FIELD(member, b)                                                                           \
	{ offsetof(struct km_schema, member), sizeof(((struct km_schema *)0)->member), b }
		FIELD(identity, 1),
		FIELD(layout, 2),
		FIELD(version, 4),
		FIELD(name, 8),
		FIELD(identity_algo, 16),
		FIELD(layout_algo, 32),
		FIELD(flags, 0),
		FIELD(reserved, 0),
#undef FIELD
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (offset >= fields[i].begin && offset < fields[i].begin + fields[i].size)
			return fields[i].bit;
	ck_abort_msg("byte %zu is no field's", offset);
}

static void fill(struct km_schema *ret)
{
	memset(ret, 'n', sizeof *ret);
}

START_TEST(diff_each_byte_its_bit)
{
	struct km_schema a, b;

	fill(&a);
	ck_assert_uint_eq(km_schema_diff(&a, &a), 0);
	for (size_t i = 0; i < sizeof a; i++) {
		fill(&b);
		((unsigned char *)&b)[i] ^= 0x11;
		ck_assert_msg(km_schema_diff(&a, &b) == bit_of(i), "byte %zu: %#x", i,
			km_schema_diff(&a, &b));
		ck_assert_uint_eq(km_schema_diff(&b, &a), bit_of(i));
	}
}
END_TEST

START_TEST(diff_all_fields_all_bits)
{
	struct km_schema a, b;

	memset(&a, 1, sizeof a);
	memset(&b, 2, sizeof b);
	ck_assert_uint_eq(km_schema_diff(&a, &b), 63);
}
END_TEST

START_TEST(diff_names_are_texts)
{
	struct km_schema a = { .name = "imu" }, b = { .name = "imu" };

	b.name[5] = 'x';
	ck_assert_uint_eq(km_schema_diff(&a, &b), 0);
	b.name[3] = 'x';
	ck_assert_uint_eq(km_schema_diff(&a, &b), KM_SCHEMA_NAME);
	/* one that isn't ended ends with its field, whatever follows */
	memset(a.name, 'x', sizeof a.name);
	memset(b.name, 'x', sizeof b.name);
	memset(&a.flags, 7, sizeof a.flags);
	ck_assert_uint_eq(km_schema_diff(&a, &b), 0);
}
END_TEST

START_TEST(diff_text_each_set_as_words)
{
	char text[96], small[12];

	km_schema_diff_text(0, text, sizeof text);
	ck_assert_str_eq(text, "nothing");
	km_schema_diff_text(1, text, sizeof text);
	ck_assert_str_eq(text, "identity");
	km_schema_diff_text(63, text, sizeof text);
	ck_assert_str_eq(text, "identity, layout, version, name, identity_algo, layout_algo");
	km_schema_diff_text(2 | 32, text, sizeof text);
	ck_assert_str_eq(text, "layout, layout_algo");
	km_schema_diff_text(63, small, sizeof small);
	ck_assert_str_eq(small, "identity, l");
}
END_TEST

/* Published values of FNV-1a, 64 bits. */
START_TEST(fnv1a64_known_values_and_in_parts)
{
	uint64_t hash = km_fnv1a64(KM_FNV1A64_INIT, "foo", 3);

	ck_assert_uint_eq(km_fnv1a64(KM_FNV1A64_INIT, "", 0), UINT64_C(0xcbf29ce484222325));
	ck_assert_uint_eq(km_fnv1a64(KM_FNV1A64_INIT, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
	ck_assert_uint_eq(km_fnv1a64(KM_FNV1A64_INIT, "foobar", 6), UINT64_C(0x85944171f73967e8));
	ck_assert_uint_eq(km_fnv1a64(hash, "bar", 3), UINT64_C(0x85944171f73967e8));
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("schema");

	tcase_add_test(tc, diff_each_byte_its_bit);
	tcase_add_test(tc, diff_all_fields_all_bits);
	tcase_add_test(tc, diff_names_are_texts);
	tcase_add_test(tc, diff_text_each_set_as_words);
	tcase_add_test(tc, fnv1a64_known_values_and_in_parts);
	return fixture_run("schema", tc);
}
