/* SPDX-License-Identifier: Apache-2.0 */
/* The config of users, the slots that a publisher remembers, and errors in words. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/client/config.h"
#include "libclient/handle/place.h"
#include "libclient/handle/slotcache.h"
#include "tests/support/broker/fixture.h"

static char text[256];
static struct kickmsg_topic_config config;
static struct km_geometry geometry;

START_TEST(topic_config_init_defaults_are_good)
{
	struct km_geometry defaults;

	memset(&config, 0xff, sizeof config);
	kickmsg_topic_config_init(&config);
	ck_assert_int_eq(km_topic_config_to_geometry(&config, &geometry, text, sizeof text), 0);
	km_geometry_init(&defaults);
	ck_assert_ptr_null(km_geometry_diff(&geometry, &defaults));
}
END_TEST

static void bad(const char *field, const char *value)
{
	memset(&geometry, 0x5a, sizeof geometry);
	struct km_geometry before = geometry;

	ck_assert_int_eq(
		km_topic_config_to_geometry(&config, &geometry, text, sizeof text), -EINVAL);
	ck_assert_int_eq(memcmp(&before, &geometry, sizeof geometry), 0);
	ck_assert_msg(strstr(text, field) && strstr(text, value), "\"%s\" should name %s and %s",
		text, field, value);
	kickmsg_topic_config_init(&config);
}

START_TEST(to_geometry_each_bad_field_named_with_value)
{
	kickmsg_topic_config_init(&config);
	config.max_subscribers = 49;
	bad("max_subscribers", "49");
	config.max_reliable = 17;
	bad("max_reliable", "0 to 16");
	config.stall_ns = 1;
	bad("stall_ns", "0 to 0");
	config.max_reliable = 1;
	config.stall_ns = 1;
	bad("stall_ns", "1000000 to 3600000000000");
	config.max_reliable = 1;
	config.max_publishers = 64;
	bad("ring_capacity", "65 to");
	config.max_reliable = 1;
	config.pool_size = 224;
	bad("pool_size", "225 to");
	config.ring_capacity = 48;
	bad("ring_capacity", "power of two");
	config.ring_capacity = 131072;
	bad("ring_capacity", "131072");
	config.pool_size = 1;
	bad("pool_size", "1048576");
	config.pool_size = 1;
	bad("pool_size", "is 1;");
	config.max_publishers = 65535; /* the publishers' loans decide, since pool_size is 0 */
	config.max_loans = 1024;
	bad("pool_size", "is 67239039;");
	config.max_publishers = 65536;
	bad("max_publishers", "65535");
	config.max_payload_size = UINT64_MAX;
	bad("max_payload_size", "18446744073709551615");
	config.max_loans = 0;
	bad("max_loans", "0");
	config.max_borrows = 1025;
	bad("max_borrows", "1024");
	config.linger_ns = UINT64_MAX;
	bad("linger_ns", "18446744073709551615");
	config.persistent = 2;
	bad("persistent", "2");
	config.transport = 3;
	bad("transport", "3");
	config.reserved[0] = 1;
	bad("reserved", "zero");
	config.reserved[4] = 1;
	bad("reserved", "zero");
}
END_TEST

START_TEST(strerror_either_sign_same_words)
{
	static const int errors[] = { EAGAIN, ENOENT, EEXIST, EINVAL, EMSGSIZE, ETIMEDOUT, EPERM,
		EACCES, EDQUOT, ENOTCONN, ECONNREFUSED, EPROTO, ESTALE, ENOSPC, ENOMEM };

	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		const char *words = kickmsg_strerror(-errors[i]);

		ck_assert_uint_gt(strlen(words), 3);
		ck_assert_str_eq(words, kickmsg_strerror(errors[i]));
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(words, kickmsg_strerror(errors[k]));
	}
	ck_assert_ptr_nonnull(kickmsg_strerror(0));
	ck_assert_ptr_nonnull(kickmsg_strerror(INT32_MIN));
	ck_assert_ptr_nonnull(kickmsg_strerror(INT32_MAX));
	ck_assert_str_eq(kickmsg_version(), KM_VERSION);
	snprintf(text, sizeof text, "%d.%d.%d", KICKMSG_VERSION_MAJOR, KICKMSG_VERSION_MINOR,
		KICKMSG_VERSION_PATCH);
	ck_assert_str_eq(kickmsg_version(), text);
}
END_TEST

static struct fixture_region f;
static struct km_slot_cache cache;

/* Claims, uses and gives back a slot, as an idle subscriber sees it. */
static uint32_t use(void)
{
	uint32_t slot = UINT32_MAX;

	ck_assert_int_eq(km_slot_cache_claim(&cache, &f.region, 1, UINT32_MAX, &slot), 0);
	ck_assert_uint_eq(fixture_word(&f, slot), km_slot_id_word(1));
	fixture_set_word(&f, slot, 0);
	return slot;
}

START_TEST(slot_cache_idle_subscriber_one_slot)
{
	struct km_geometry g = fixture_geometry(4, 64);
	uint64_t used = 0;

	fixture_region_init(&f, &g);
	km_slot_cache_init(&cache, &f.region, 1);
	for (int i = 0; i < 10; i++)
		use();
	for (int i = 0; i < 1000; i++)
		used |= UINT64_C(1) << use();
	ck_assert_int_eq(__builtin_popcountll(used), 1);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(slot_cache_large_payloads_take_turns)
{
	static const struct {
		uint64_t payload;
		uint32_t pool;
		int slots;
	} cases[] = {
		{ KM_SLOT_CACHE_LARGE - 1, 64, 1 },
		{ KM_SLOT_CACHE_LARGE, 128, KM_SLOT_CACHE_TURNS }, { 65536, 64, 16 },
		{ 65536, 40, 10 }, /* never more than a quarter of the pool */
		{ 65536, 4, 1 }, { 1 << 18, 64, 4 },
		{ 1 << 20, 64, 2 }, /* one would be read and written in turn */
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct km_geometry g = fixture_geometry(4, cases[c].pool);
		uint64_t used = 0;

		g.max_payload_size = cases[c].payload;
		fixture_region_init(&f, &g);
		km_slot_cache_init(&cache, &f.region, 1);
		for (int i = 0; i < 100; i++)
			use();
		for (int i = 0; i < 1000; i++)
			used |= UINT64_C(1) << use() % 64;
		ck_assert_int_eq(__builtin_popcountll(used), cases[c].slots);
		fixture_region_deinit(&f);
	}
}
END_TEST

/* A backlog of 5 messages: the wheel has the slots that it takes; then the hottest is left alone. */
START_TEST(slot_cache_follows_the_backlog)
{
	struct km_geometry g = fixture_geometry(4, 64);
	uint32_t held[5], slot, last = UINT32_MAX;

	fixture_region_init(&f, &g);
	km_slot_cache_init(&cache, &f.region, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		if (i >= 5)
			fixture_set_word(&f, held[i % 5], 0);
		ck_assert_int_eq(km_slot_cache_claim(&cache, &f.region, 1, UINT32_MAX, &slot), 0);
		held[i % 5] = slot;
		ck_assert_uint_lt(cache.at, cache.count);
		ck_assert_uint_le(cache.count, 7);
	}
	ck_assert_uint_ge(cache.count, 5);
	for (uint32_t i = 0; i < 5; i++)
		fixture_set_word(&f, held[i], 0);
	for (uint32_t i = 0; i < 10 * KM_SLOT_CACHE_SHRINK; i++)
		last = use();
	ck_assert_uint_eq(cache.count, 1);
	ck_assert_uint_eq(use(), last);
	fixture_region_deinit(&f);
}
END_TEST

/* Two threads with a handle each: no line, and no pair of lines, has something of both. */
START_TEST(place_alloc_any_size_whole_pairs_of_lines_zeroed)
{
	static const size_t sizes[] = { 1, 24, 127, 128, 129, sizeof(struct km_place) };
	unsigned char *blocks[2 * sizeof(sizes) / sizeof(sizes[0])];
	const size_t unit = 2 * KM_CACHE_LINE;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		const size_t count = 1 + i % 2, bytes = count * sizes[i / 2];

		blocks[i] = km_place_alloc(count, sizes[i / 2]);
		ck_assert_ptr_nonnull(blocks[i]);
		ck_assert_uint_eq((uintptr_t)blocks[i] % unit, 0);
		/* no other block begins within what the C library says that this one has */
		ck_assert_uint_ge(malloc_usable_size(blocks[i]), (bytes + unit - 1) / unit * unit);
		for (size_t at = 0; at < bytes; at++)
			ck_assert_uint_eq(blocks[i][at], 0);
		memset(blocks[i], 0xff, bytes);
	}
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		free(blocks[i]);
}
END_TEST

START_TEST(slot_cache_any_id_starts_inside_pool)
{
	for (uint32_t pool = 2; pool < 40; pool += 7) {
		struct km_geometry g = fixture_geometry(1, pool);

		fixture_region_init(&f, &g);
		for (uint32_t id = 1; id <= KM_MAX_PUBLISHERS; id += 1237) {
			km_slot_cache_init(&cache, &f.region, id);
			ck_assert_uint_lt(cache.cursor, pool);
		}
		fixture_region_deinit(&f);
	}
}
END_TEST

/* Remembered slots are guesses: all of them taken by others, one slot anywhere is still found. */
START_TEST(slot_cache_all_remembered_taken_finds_last_free)
{
	struct km_geometry g = fixture_geometry(4, 300);
	uint32_t slot;

	fixture_region_init(&f, &g);
	km_slot_cache_init(&cache, &f.region, 1);
	for (uint32_t i = 0; i < 300; i++)
		ck_assert_int_eq(km_slot_cache_claim(&cache, &f.region, 1, UINT32_MAX, &slot), 0);
	ck_assert_uint_eq(cache.count, KM_SLOT_CACHE_SIZE);
	ck_assert_int_eq(km_slot_cache_claim(&cache, &f.region, 1, UINT32_MAX, &slot), -EAGAIN);
	for (uint32_t last = 0; last < 300; last += 13) {
		fixture_set_word(&f, last, 0);
		cache.cursor = (last + 1) % 300; /* the last place that is looked at */
		ck_assert_int_eq(km_slot_cache_claim(&cache, &f.region, 1, UINT32_MAX, &slot), 0);
		ck_assert_uint_eq(slot, last);
	}
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("config");

	tcase_add_test(tc, topic_config_init_defaults_are_good);
	tcase_add_test(tc, to_geometry_each_bad_field_named_with_value);
	tcase_add_test(tc, strerror_either_sign_same_words);
	tcase_add_test(tc, slot_cache_idle_subscriber_one_slot);
	tcase_add_test(tc, slot_cache_large_payloads_take_turns);
	tcase_add_test(tc, slot_cache_follows_the_backlog);
	tcase_add_test(tc, place_alloc_any_size_whole_pairs_of_lines_zeroed);
	tcase_add_test(tc, slot_cache_any_id_starts_inside_pool);
	tcase_add_test(tc, slot_cache_all_remembered_taken_finds_last_free);
	return fixture_run("config", tc);
}
