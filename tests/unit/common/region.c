/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry and regions: limits, sizes, and what is believed of memory that others wrote. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker/fixture.h"

/* Each field: where it is, its least and its greatest value. */
static const struct {
	const char *name;
	size_t offset, size;
	uint64_t min, max;
} fields[] = {
	{ "max_subscribers", offsetof(struct km_geometry, max_subscribers), 4, 1, KM_MAX_RINGS },
	{ "ring_capacity", offsetof(struct km_geometry, ring_capacity), 4, 1, KM_MAX_CAPACITY },
	{ "pool_size", offsetof(struct km_geometry, pool_size), 4, 2, KM_MAX_POOL },
	{ "max_publishers", offsetof(struct km_geometry, max_publishers), 4, 1, KM_MAX_PUBLISHERS },
	{ "max_payload_size", offsetof(struct km_geometry, max_payload_size), 8, 1,
		KM_MAX_PAYLOAD },
	{ "max_loans", offsetof(struct km_geometry, max_loans), 4, 1, KM_MAX_HOLDS },
	{ "max_borrows", offsetof(struct km_geometry, max_borrows), 4, 1, KM_MAX_HOLDS },
	{ "transport", offsetof(struct km_geometry, transport), 4, KM_TRANSPORT_RINGS,
		KM_TRANSPORT_SHARED },
	{ "timestamps", offsetof(struct km_geometry, timestamps), 4, 0, 1 },
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* The lines that a participant writes are not those that its neighbour writes. */
#define LINE_PAIR UINT64_C(128)

static struct km_geometry with(size_t field, uint64_t value)
{
	struct km_geometry geometry;
	uint32_t narrow = (uint32_t)value;

	km_geometry_init(&geometry);
	geometry.pool_size = km_geometry_pool(&geometry, false);
	if (fields[field].size == 4)
		memcpy((char *)&geometry + fields[field].offset, &narrow, 4);
	else
		memcpy((char *)&geometry + fields[field].offset, &value, 8);
	return geometry;
}

START_TEST(geometry_init_defaults)
{
	struct km_geometry g;

	km_geometry_init(&g);
	ck_assert_uint_eq(g.max_subscribers, 16);
	ck_assert_uint_eq(g.ring_capacity, 64);
	ck_assert_uint_eq(g.pool_size, 0);
	ck_assert_uint_eq(g.max_publishers, 16);
	ck_assert_uint_eq(g.max_payload_size, 4096);
	ck_assert_uint_eq(g.max_loans, 4);
	ck_assert_uint_eq(g.max_borrows, 4);
	g.pool_size = km_geometry_pool(&g, false);
	ck_assert_uint_eq(g.pool_size, 225);
	ck_assert_ptr_null(km_geometry_check(&g));
}
END_TEST

START_TEST(geometry_check_each_field_at_its_limits)
{
	for (size_t i = 0; i < FIELDS; i++) {
		uint64_t top = fields[i].size == 4 ? UINT32_MAX : UINT64_MAX;
		struct km_geometry g = with(i, fields[i].min);

		ck_assert_ptr_null(km_geometry_check(&g));
		g = with(i, fields[i].max);
		ck_assert_ptr_null(km_geometry_check(&g));
		uint64_t bad[] = { fields[i].min > 0 ? 0 : top, fields[i].min - 1,
			fields[i].max + 1, top };
		for (size_t k = 0; k < 4; k++) {
			g = with(i, bad[k]);
			ck_assert_str_eq(km_geometry_check(&g), fields[i].name);
		}
	}
}
END_TEST

START_TEST(geometry_check_capacity_no_power_of_two_named)
{
	for (uint32_t capacity = 1; capacity <= 130; capacity++) {
		struct km_geometry g = with(1, capacity);

		if (__builtin_popcount(capacity) == 1)
			ck_assert_ptr_null(km_geometry_check(&g));
		else
			ck_assert_str_eq(km_geometry_check(&g), "ring_capacity");
	}
}
END_TEST

START_TEST(geometry_pool_zero_is_what_is_needed)
{
	struct km_geometry g = with(2, 0);

	ck_assert_uint_eq(km_geometry_pool(&g, true), km_geometry_needed_pool(&g, true));
	g.transport = KM_TRANSPORT_SHARED;
	ck_assert_uint_eq(km_geometry_pool(&g, false), km_geometry_needed_pool(&g, false));
	g.pool_size = 7;
	ck_assert_uint_eq(km_geometry_pool(&g, false), 7);
	/* a field that is wrong is named, and not the pool that follows from it */
	for (size_t i = 0; i < FIELDS; i++) {
		if (i == 2)
			continue;
		g = with(i, fields[i].max + 1);
		g.pool_size = 0;
		g.pool_size = km_geometry_pool(&g, true);
		ck_assert_str_eq(km_geometry_check(&g), fields[i].name);
	}
	/* a pool of more slots than a topic may have is refused by name, not cut */
	g = with(3, KM_MAX_PUBLISHERS);
	g.max_loans = KM_MAX_HOLDS;
	g.pool_size = 0;
	g.pool_size = km_geometry_pool(&g, false);
	ck_assert_uint_eq(g.pool_size, km_geometry_needed_pool(&g, false));
	ck_assert_str_eq(km_geometry_check(&g), "pool_size");
}
END_TEST

START_TEST(geometry_diff_and_hash_each_field_seen)
{
	struct km_geometry base;

	km_geometry_init(&base);
	base.pool_size = km_geometry_pool(&base, false);
	ck_assert_ptr_null(km_geometry_diff(&base, &base));
	for (size_t i = 0; i < FIELDS; i++) {
		struct km_geometry g = with(i, fields[i].max);
		uint64_t min = 0, max = 0;

		ck_assert_str_eq(km_geometry_diff(&base, &g), fields[i].name);
		ck_assert_uint_ne(km_geometry_hash(&base), km_geometry_hash(&g));
		ck_assert_uint_eq(km_geometry_field(&g, fields[i].name), fields[i].max);
		km_geometry_limits(&g, fields[i].name, &min, &max);
		ck_assert(min == fields[i].min && max == fields[i].max);
	}
}
END_TEST

START_TEST(geometry_sizes_largest_no_overflow)
{
	struct km_geometry g = { KM_MAX_RINGS, KM_MAX_CAPACITY, KM_MAX_POOL, KM_MAX_PUBLISHERS,
		KM_MAX_PAYLOAD, KM_MAX_HOLDS, KM_MAX_HOLDS };

	ck_assert_ptr_null(km_geometry_check(&g));
	uint64_t payload = km_geometry_payload_size(&g);
	ck_assert_uint_ge(
		payload, KM_MAX_POOL * (KM_MAX_PAYLOAD + sizeof(struct km_sample_header)));
	ck_assert_uint_lt(payload, INT64_MAX);
	uint64_t control = km_geometry_control_size(&g);
	ck_assert_uint_ge(
		control, (uint64_t)KM_MAX_POOL * 64 + KM_MAX_RINGS * KM_MAX_CAPACITY * 8ull);
	ck_assert_uint_lt(control, INT64_MAX);
	ck_assert_uint_ge(km_geometry_endpoint_size(&g, KM_ROLE_SUBSCRIBER),
		sizeof(struct km_endpoint) + (KM_MAX_HOLDS + 1) * 4);
	for (enum km_role role = KM_ROLE_PUBLISHER; role <= KM_ROLE_SUBSCRIBER; role++)
		ck_assert_uint_eq(km_geometry_endpoint_size(&g, role) % LINE_PAIR, 0);
	ck_assert_uint_ge(km_geometry_needed_pool(&g, true),
		(uint64_t)KM_MAX_PUBLISHERS * (KM_MAX_HOLDS + 2));
}
END_TEST

/* Nothing overlaps and everything lies inside: paint each part, look at all the others. */
START_TEST(format_attach_any_geometry_parts_are_disjoint)
{
	for (uint32_t capacity = 1; capacity <= 64; capacity *= 4)
		for (uint32_t pool = 2; pool < 9; pool += 3) {
			struct km_geometry g = fixture_geometry(capacity, pool);
			struct fixture_region f;

			g.max_payload_size = 1 + 37 * pool;
			fixture_region_init(&f, &g);
			const struct km_region *r = &f.region;
			unsigned char *at = (unsigned char *)f.control +
					    sizeof(struct km_control_header);

			ck_assert_uint_eq(r->ring_stride % LINE_PAIR, 0);
			ck_assert_uint_eq(r->payload_stride % LINE_PAIR, 0);
			ck_assert_ptr_eq(r->slots, at);
			ck_assert(r->rings >= at + pool * sizeof(struct km_slot));
			for (uint32_t i = 0; i < g.max_subscribers; i++) {
				struct km_ring *ring = km_region_ring(r, i);

				ck_assert_uint_eq((uintptr_t)ring % KM_CACHE_LINE, 0);
				unsigned char *end = (unsigned char *)f.control + r->control_size;
				if (i + 1 < g.max_subscribers)
					end = (unsigned char *)km_region_ring(r, i + 1);
				ck_assert((unsigned char *)&ring->cells[capacity] <= end);
				ck_assert(ring->head == capacity && ring->hint == capacity);
			}
			for (uint32_t s = 0; s < pool; s++) {
				ck_assert_uint_eq((uintptr_t)km_region_payload(r, s) % 64, 0);
				unsigned char *end = (unsigned char *)f.payload + r->payload_size;
				if (s + 1 < pool)
					end = (unsigned char *)km_region_sample(r, s + 1);
				ck_assert(km_region_payload(r, s) + g.max_payload_size <= end);
			}
			ck_assert_str_eq(r->header->topic, "unit");
			ck_assert_uint_eq(r->header->config_hash, km_geometry_hash(&g));
			ck_assert_uint_eq(r->header->live, r->shared ? KM_LIVE_OPENING : 0);
			fixture_region_deinit(&f);
		}
}
END_TEST

static struct fixture_region f;
static int attach(
	const struct km_geometry *geometry, uint64_t control_short, uint64_t payload_short)
{
	struct km_region region;

	return km_region_attach(&region, geometry, f.control, f.region.control_size - control_short,
		f.payload, f.region.payload_size - payload_short);
}

/* The second buffer begins with a pair of lines, a cell is whole pairs. */
START_TEST(attach_shared_ring_cells_are_pairs_of_lines)
{
	/* with timestamps the shortest payloads have buffers, and all others what they have without */
	static const struct {
		uint64_t payload, step, stride;
		uint32_t timestamps;
	} table[] = { { 8, 0, 128, 0 }, { 8, 64, 256, 1 }, { 9, 64, 256, 0 }, { 9, 64, 256, 1 },
		{ 64, 64, 256, 0 }, { 64, 64, 256, 1 }, { 65, 192, 384, 0 }, { 128, 192, 384, 0 },
		{ 4096, 4160, 8320, 0 }, { 4096, 4160, 8320, 1 } };

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct km_geometry geometry = fixture_geometry(4, 16);

		geometry.transport = KM_TRANSPORT_SHARED;
		geometry.max_payload_size = table[i].payload;
		geometry.timestamps = table[i].timestamps;
		fixture_region_init(&f, &geometry);
		ck_assert_uint_eq(f.region.buffer_step, table[i].step);
		ck_assert_uint_eq(f.region.cell_stride, table[i].stride);
		ck_assert_uint_eq(f.region.path, KM_PATH_SHARED + 2 * table[i].timestamps);
		fixture_region_deinit(&f);
	}
}
END_TEST

START_TEST(attach_segments_too_small_eproto)
{
	struct km_geometry g = fixture_geometry(4, 16);

	fixture_region_init(&f, &g);
	ck_assert_int_eq(attach(&g, 0, 0), 0);
	ck_assert_int_eq(attach(&g, 1, 0), -EPROTO);
	ck_assert_int_eq(attach(&g, 0, 1), -EPROTO);
	ck_assert_int_eq(attach(&g, f.region.control_size, 0), -EPROTO);
	fixture_region_deinit(&f);
}
END_TEST

START_TEST(attach_bad_geometry_eproto)
{
	struct km_geometry g = fixture_geometry(4, 16), asked;

	fixture_region_init(&f, &g);
	for (size_t i = 0; i < FIELDS; i++) {
		asked = with(i, 0);
		ck_assert_int_eq(attach(&asked, 0, 0), -EPROTO);
		asked = with(i, fields[i].max + 1);
		ck_assert_int_eq(attach(&asked, 0, 0), -EPROTO);
	}
	asked = g;
	asked.pool_size++; /* good, but more than there is */
	ck_assert_int_eq(attach(&asked, 0, 0), -EPROTO);
	asked = g;
	asked.max_payload_size = 65536;
	ck_assert_int_eq(attach(&asked, 0, 0), -EPROTO);
	fixture_region_deinit(&f);
}
END_TEST

/* Participants can write the header. Nothing that stands there counts, for those who have the
 * region or for those who attach later. */
START_TEST(attach_header_overwritten_ignored)
{
	struct km_geometry g = fixture_geometry(4, 16);

	fixture_region_init(&f, &g);
	memset(f.control, 0xff, offsetof(struct km_control_header, live));
	ck_assert_ptr_null(km_geometry_diff(&f.region.geometry, &g));
	ck_assert_int_eq(attach(&g, 0, 0), 0);
	fixture_region_deinit(&f);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("region");

	tcase_add_test(tc, geometry_init_defaults);
	tcase_add_test(tc, geometry_check_each_field_at_its_limits);
	tcase_add_test(tc, geometry_check_capacity_no_power_of_two_named);
	tcase_add_test(tc, geometry_pool_zero_is_what_is_needed);
	tcase_add_test(tc, geometry_diff_and_hash_each_field_seen);
	tcase_add_test(tc, geometry_sizes_largest_no_overflow);
	tcase_add_test(tc, format_attach_any_geometry_parts_are_disjoint);
	tcase_add_test(tc, attach_shared_ring_cells_are_pairs_of_lines);
	tcase_add_test(tc, attach_segments_too_small_eproto);
	tcase_add_test(tc, attach_bad_geometry_eproto);
	tcase_add_test(tc, attach_header_overwritten_ignored);
	return fixture_run("region", tc);
}
