/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/memory/atomic.h includes this when KM_EXPLORE is defined: the product's own seven
 * operations, routed to the explorer's model of memory (memory.h). Each place in the source is a
 * site: its label, its operation and its order, which the explorer may weaken by name while it
 * runs.
 */
#pragma once

#include "tests/explore/site.h"

#define km_site_(site_label, site_kind, site_order, site_fail)                                     \
	({                                                                                         \
		static struct km_site site_ = { .label = #site_label,                              \
			.file = __FILE__,                                                          \
			.line = __LINE__,                                                          \
			.kind = site_kind,                                                         \
			.order = km_explore_##site_order,                                          \
			.fail_order = km_explore_##site_fail };                                    \
		static struct km_site *const listed_                                               \
			__attribute__((section("km_sites"), used)) = &site_;                       \
		listed_;                                                                           \
	})
/* the type of the value: unary plus drops _Atomic and const */
#define km_value_(ptr) __typeof__(+*(ptr))

#define km_load(label, order, ptr)                                                                 \
	((km_value_(ptr))km_explore_load(                                                          \
		km_site_(label, KM_EXPLORE_LOAD, order, relaxed), ptr, sizeof *(ptr)))
#define km_store(label, order, ptr, value)                                                         \
	km_explore_store(                                                                          \
		km_site_(label, KM_EXPLORE_STORE, order, relaxed), ptr, sizeof *(ptr), value)
#define km_cas(label, order, fail, ptr, expected, desired)                                         \
	km_explore_cas(km_site_(label, KM_EXPLORE_CAS, order, fail), ptr, sizeof *(ptr), expected, \
		desired)
#define km_and(label, order, ptr, mask)                                                            \
	({                                                                                         \
		(km_value_(ptr)) km_explore_and(km_site_(label, KM_EXPLORE_AND, order, relaxed),   \
			ptr, sizeof *(ptr), mask);                                                 \
	})
#define km_add(label, order, ptr, value)                                                           \
	({                                                                                         \
		(km_value_(ptr)) km_explore_add(km_site_(label, KM_EXPLORE_ADD, order, relaxed),   \
			ptr, sizeof *(ptr), value);                                                \
	})
/* one step: nobody else writes the word, so nothing can be told from a load and a store */
#define km_add_own(label, order, ptr, value) ((void)km_add(label, order, ptr, value))
#define km_fence(label, order)               km_explore_fence(km_site_(label, KM_EXPLORE_FENCE, order, relaxed))

#define km_plain_write(ptr, size)            km_explore_plain_write(ptr, size)
#define km_plain_read(ptr, size)             km_explore_plain_read(ptr, size)

static inline void km_pause(void)
{
}
