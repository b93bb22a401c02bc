/* SPDX-License-Identifier: Apache-2.0 */
/* Slot words and endpoint records: who has what, and who says so. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker/fixture.h"

static struct km_slot slot;

START_TEST(claim_free_slot_id_and_generation)
{
	slot = (struct km_slot){ 0, 41 };
	ck_assert(km_slot_looks_free(&slot));
	ck_assert(km_slot_claim(&slot, 3));
	ck_assert_uint_eq(slot.word, UINT64_C(3) << 48);
	ck_assert_uint_eq(slot.generation, 42);
	ck_assert(!km_slot_looks_free(&slot));
}
END_TEST

START_TEST(claim_taken_slot_false_and_unchanged)
{
	static const uint64_t words[] = { 1, UINT64_C(1) << 47, UINT64_C(1) << 48, UINT64_MAX };

	for (size_t i = 0; i < 4; i++) {
		slot = (struct km_slot){ words[i], 41 };
		ck_assert(!km_slot_looks_free(&slot));
		ck_assert(!km_slot_claim(&slot, 3));
		ck_assert_uint_eq(slot.word, words[i]);
		ck_assert_uint_eq(slot.generation, 41);
	}
}
END_TEST

START_TEST(claim_last_generation_wraps)
{
	slot = (struct km_slot){ 0, UINT64_MAX };
	ck_assert(km_slot_claim(&slot, 1));
	ck_assert_uint_eq(slot.generation, 0);
}
END_TEST

START_TEST(id_word_largest_id_touches_no_bit)
{
	ck_assert_uint_eq(km_slot_id_word(KM_MAX_PUBLISHERS) & KM_SLOT_BITS, 0);
	ck_assert_uint_eq(km_slot_id(km_slot_id_word(KM_MAX_PUBLISHERS)), KM_MAX_PUBLISHERS);
	ck_assert_uint_eq(km_slot_id(KM_SLOT_BITS), 0);
	ck_assert_uint_eq(KM_LIVE_RINGS & ~KM_SLOT_BITS, 0); /* each ring has its bit */
}
END_TEST

START_TEST(send_loan_bits_only)
{
	slot = (struct km_slot){ km_slot_id_word(9), 5 };
	km_slot_send(&slot, 0x8001);
	ck_assert_uint_eq(slot.word, 0x8001);
	ck_assert_uint_eq(slot.generation, 5);
}
END_TEST

START_TEST(drop_one_bit_keeps_others)
{
	slot = (struct km_slot){ 0x8005, 5 };
	km_slot_drop(&slot, 4);
	ck_assert_uint_eq(slot.word, 0x8001);
	km_slot_drop(&slot, 4); /* again: idempotent */
	ck_assert_uint_eq(slot.word, 0x8001);
	km_slot_drop(&slot, 1);
	km_slot_drop(&slot, 0x8000);
	ck_assert_uint_eq(slot.word, 0);
	ck_assert_uint_eq(slot.generation, 5);
	ck_assert(km_slot_looks_free(&slot));
}
END_TEST

START_TEST(drop_loan_free)
{
	slot = (struct km_slot){ km_slot_id_word(7), 5 };
	km_slot_drop(&slot, km_slot_id_word(7));
	ck_assert_uint_eq(slot.word, 0);
}
END_TEST

/* The bit of a message that went by says nothing of the slot's next life. */
START_TEST(drop_late_bit_leaves_next_loan)
{
	slot = (struct km_slot){ km_slot_id_word(7), 5 };
	km_slot_drop(&slot, 2);
	ck_assert_uint_eq(slot.word, km_slot_id_word(7));
}
END_TEST

START_TEST(format_endpoint_no_hazards_within_size)
{
	struct km_geometry geometry = fixture_geometry(4, 16);
	uint64_t size = km_geometry_endpoint_size(&geometry, KM_ROLE_SUBSCRIBER);
	unsigned char *memory = aligned_alloc(KM_CACHE_LINE, size + KM_CACHE_LINE);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, size);
	memset(memory + size, 0xa5, KM_CACHE_LINE);
	struct km_endpoint *endpoint = (struct km_endpoint *)memory;
	km_endpoint_format(endpoint, KM_ROLE_SUBSCRIBER, 0, 3, geometry.max_borrows + 1);
	ck_assert_uint_eq(endpoint->role, KM_ROLE_SUBSCRIBER);
	ck_assert_uint_eq(endpoint->ring, 3);
	ck_assert_uint_eq(endpoint->held_count, geometry.max_borrows + 1);
	ck_assert_uint_eq(endpoint->delivering, KM_HAZARD_NONE);
	ck_assert_uint_eq(endpoint->evicting, KM_HAZARD_NONE);
	for (uint32_t i = 0; i < endpoint->held_count; i++)
		ck_assert_uint_eq(endpoint->held[i], KM_HAZARD_NONE);
	for (size_t i = 0; i < KM_CACHE_LINE; i++)
		ck_assert_uint_eq(memory[size + i], 0xa5);
	free(memory);
}
END_TEST

START_TEST(hazard_set_overwrite_clear_one_entry)
{
	struct km_endpoint *endpoint = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, 1, 3);

	km_hazard_set(&endpoint->held[1], 12);
	km_hazard_set(&endpoint->held[1], 13);
	ck_assert_uint_eq(endpoint->held[0], KM_HAZARD_NONE);
	ck_assert_uint_eq(endpoint->held[1], 13);
	ck_assert_uint_eq(endpoint->held[2], KM_HAZARD_NONE);
	km_hazard_clear(&endpoint->held[1]);
	ck_assert_uint_eq(endpoint->held[1], KM_HAZARD_NONE);
	free(endpoint);
}
END_TEST

START_TEST(count_endpoint_adds)
{
	struct km_endpoint *endpoint = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);

	km_endpoint_count(&endpoint->messages, 1);
	km_endpoint_count(&endpoint->messages, 41);
	ck_assert_uint_eq(endpoint->messages, 42);
	ck_assert_uint_eq(endpoint->failed, 0);
	free(endpoint);
}
END_TEST

START_TEST(count_sent_adds_messages_and_bytes)
{
	struct km_endpoint *endpoint = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);

	km_endpoint_count_sent(endpoint, 1, 0);
	ck_assert_uint_eq(endpoint->bytes, 0);
	km_endpoint_count_sent(endpoint, 2, UINT64_C(3) << 32);
	km_endpoint_count_sent(endpoint, 1, 7);
	ck_assert_uint_eq(endpoint->messages, 4);
	ck_assert_uint_eq(endpoint->bytes, (UINT64_C(3) << 32) + 7);
	ck_assert_uint_eq(endpoint->lost, 0);
	free(endpoint);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("slot");

	tcase_add_test(tc, claim_free_slot_id_and_generation);
	tcase_add_test(tc, claim_taken_slot_false_and_unchanged);
	tcase_add_test(tc, claim_last_generation_wraps);
	tcase_add_test(tc, id_word_largest_id_touches_no_bit);
	tcase_add_test(tc, send_loan_bits_only);
	tcase_add_test(tc, drop_one_bit_keeps_others);
	tcase_add_test(tc, drop_loan_free);
	tcase_add_test(tc, drop_late_bit_leaves_next_loan);
	tcase_add_test(tc, format_endpoint_no_hazards_within_size);
	tcase_add_test(tc, hazard_set_overwrite_clear_one_entry);
	tcase_add_test(tc, count_endpoint_adds);
	tcase_add_test(tc, count_sent_adds_messages_and_bytes);
	return fixture_run("slot", tc);
}
