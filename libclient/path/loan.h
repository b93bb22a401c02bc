/* SPDX-License-Identifier: Apache-2.0 */
/* The loans of a publisher's place: which payload is which. */
#pragma once

#include "libclient/handle/place.h"

/* Enters a loan. The caller has seen that one more is allowed. */
static km_always_inline void *km_loan_begin(struct km_place *place, uint32_t slot, size_t len)
{
	struct km_loan *loan = place->loans;
	void *payload = km_region_payload(&place->region, slot);

	while (__builtin_expect(loan->payload != NULL, 0))
		loan++;
	*loan = (struct km_loan){ payload, len, slot };
	place->loan_count++;
	return payload;
}

/* Finds the loan, and its place: `place` or a past one of it. Null: there is no such loan. */
static inline struct km_loan *km_loan_find(
	struct km_place *place, const void *payload, struct km_place **ret)
{
	for (; place && payload; place = place->past)
		for (uint32_t i = 0; i < place->region.geometry.max_loans; i++)
			if (place->loans[i].payload == payload) {
				*ret = place;
				return &place->loans[i];
			}
	return NULL;
}
