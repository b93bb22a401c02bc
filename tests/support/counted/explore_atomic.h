/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/memory/atomic.h includes this where KM_EXPLORE is defined and this folder comes first. It
 * has the C11 operations, each counted as a step. unit-bounds builds the product's sources so, and
 * sees how many steps a call takes, whatever the machine does meanwhile.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The test defines it: it counts the step, and fails once a call has taken more steps than it
 * may. */
void counted_step(void);

#define km_load(label, order, ptr) (counted_step(), atomic_load_explicit(ptr, memory_order_##order))
#define km_store(label, order, ptr, value)                                                         \
	(counted_step(), atomic_store_explicit(ptr, value, memory_order_##order))
#define km_cas(label, order, fail, ptr, expected, desired)                                         \
	(counted_step(), atomic_compare_exchange_strong_explicit(ptr, expected, desired,           \
				 memory_order_##order, memory_order_##fail))
#define km_and(label, order, ptr, mask)                                                            \
	(counted_step(), atomic_fetch_and_explicit(ptr, mask, memory_order_##order))
#define km_add(label, order, ptr, value)                                                           \
	(counted_step(), atomic_fetch_add_explicit(ptr, value, memory_order_##order))
#define km_add_own(label, order, ptr, value) ((void)km_add(label, order, ptr, value))
#define km_fence(label, order)               (counted_step(), atomic_thread_fence(memory_order_##order))

#define km_plain_write(ptr, size)            ((void)0)
#define km_plain_read(ptr, size)             ((void)0)

static inline void km_pause(void)
{
}
