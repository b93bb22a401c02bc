/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every access to memory that another process may touch goes through these seven operations.
 *
 *     km_load(label, order, pointer)
 *     km_store(label, order, pointer, value)
 *     km_cas(label, order, fail_order, pointer, &expected, desired)
 *                                          strong; false leaves what was seen in `expected`
 *     km_and(label, order, pointer, mask)  returns the word before
 *     km_add(label, order, pointer, value) returns the word before
 *     km_add_own(label, order, pointer, value)
 *                                          to a word that nobody else writes: relaxed alone
 *     km_fence(label, order)
 *
 * and km_plain_write(pointer, size), km_plain_read(pointer, size), which are nothing: they tell the
 * explorer of the non-atomic accesses beside them, so that the explorer can look for data races.
 *
 * `order` is relaxed, acquire, release, acq_rel or seq_cst. `label` names the site and its pairing.
 * The table of orders at the head of the file that owns the algorithm (ring.h, slot.h, waiter.h,
 * reconcile.c) lists it. In the product a label is nothing, and the operation is the C11 one. When
 * KM_EXPLORE is defined the same names call the scheduler of tests/explore. The scheduler may run
 * another thread at each of them, may return any value that C11 allows, and knows the site by its
 * label.
 *
 * km_pause() is what a loop that waits for another process says each time round.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Marks the functions of which a hot path is made. Inlined, their constant arguments decide at
 * compile time. */
#define km_always_inline inline __attribute__((always_inline))

#ifdef KM_EXPLORE
#include "explore_atomic.h"
#else

#define km_load(label, order, ptr)         atomic_load_explicit(ptr, memory_order_##order)
#define km_store(label, order, ptr, value) atomic_store_explicit(ptr, value, memory_order_##order)
#define km_cas(label, order, fail, ptr, expected, desired)                                         \
	atomic_compare_exchange_strong_explicit(                                                   \
		ptr, expected, desired, memory_order_##order, memory_order_##fail)
#define km_and(label, order, ptr, mask)  atomic_fetch_and_explicit(ptr, mask, memory_order_##order)
#define km_add(label, order, ptr, value) atomic_fetch_add_explicit(ptr, value, memory_order_##order)
/* A load and a store. On x86-64 they are spelt out as the one instruction that they can be, without a
 * lock prefix: gcc makes three of them. */
#ifdef __x86_64__
#define km_add_own(label, order, ptr, value)                                                       \
	({                                                                                         \
		static_assert(memory_order_##order == memory_order_relaxed, "no order");           \
		__asm__ volatile("addq %1, %0" : "+m"(*(ptr)) : "er"((uint64_t)(value)) : "cc");   \
	})
#else
#define km_add_own(label, order, ptr, value)                                                       \
	atomic_store_explicit(ptr, atomic_load_explicit(ptr, memory_order_##order) + (value),      \
		memory_order_##order)
#endif
#define km_fence(label, order) atomic_thread_fence(memory_order_##order)
/* ThreadSanitizer ignores fences. Ours order atomics alone, so it misses no race by that.
 */
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

#define km_plain_write(ptr, size) ((void)0)
#define km_plain_read(ptr, size)  ((void)0)

static inline void km_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}
#endif

#if defined(__x86_64__) && !defined(KM_EXPLORE)
#define KM_MOVES_LINES
/*
 * Moves a cache line's bytes, `to` or `from` shared with others that may be at them. The effect is
 * that of eight relaxed moves of words, since the halves of each 16 bytes are moved whole. At 1 KiB
 * it takes 0.93 x the time of those.
 */
static inline void km_move_line(void *to, const void *from)
{
	__asm__ volatile("movups (%1), %%xmm0\n\t"
			 "movups 16(%1), %%xmm1\n\t"
			 "movups 32(%1), %%xmm2\n\t"
			 "movups 48(%1), %%xmm3\n\t"
			 "movups %%xmm0, (%0)\n\t"
			 "movups %%xmm1, 16(%0)\n\t"
			 "movups %%xmm2, 32(%0)\n\t"
			 "movups %%xmm3, 48(%0)"
			 :
			 : "r"(to), "r"(from)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

/* A piece of km_move_short(). The operands say what the piece touches, so registers keep what they
 * have. */
#define KM_MOVE_PIECE(type, load, store, reg, to, from)                                            \
	__asm__ volatile(load "\n\t" store : "=m"(*(type *)(to)) : "m"(*(const type *)(from)) : reg)
#define km_move_16(to, from)                                                                       \
	KM_MOVE_PIECE(                                                                             \
		struct km_bytes_16, "movups %1, %%xmm0", "movups %%xmm0, %0", "xmm0", to, from)
#define km_move_8(to, from)                                                                        \
	KM_MOVE_PIECE(struct km_bytes_8, "movq %1, %%xmm0", "movq %%xmm0, %0", "xmm0", to, from)

struct km_bytes_16 {
	unsigned char bytes[16];
};
struct km_bytes_8 {
	unsigned char bytes[8];
};

/*
 * Moves 8 to 64 bytes, `to` or `from` shared with others that may be at them. The pieces overlap,
 * so that there is no loop; a byte that is moved twice has the same value twice, or is about to be
 * thrown away.
 */
static km_always_inline void km_move_short(void *to, const void *from, uint64_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (size > 32) {
		km_move_16(t, f);
		km_move_16(t + 16, f + 16);
		km_move_16(t + size - 32, f + size - 32);
		km_move_16(t + size - 16, f + size - 16);
	} else if (size >= 16) {
		km_move_16(t, f);
		km_move_16(t + size - 16, f + size - 16);
	} else {
		km_move_8(t, f);
		km_move_8(t + size - 8, f + size - 8);
	}
}
#endif

/* Hints that a line is about to be written (read). A wrong hint costs nothing. */
#define km_prefetch_write(ptr) __builtin_prefetch(ptr, 1, 3)
#define km_prefetch_read(ptr)  __builtin_prefetch(ptr, 0, 3)

/* Makes the line this CPU's alone. On x86-64 the instruction is spelt out: compilers make
 * km_prefetch_write() a read there. A read gets another CPU's line shared, and the write has to ask
 * its owner again. CPUs without the instruction take it as a no-op. */
#ifdef __x86_64__
#define km_prefetch_own(ptr)                                                                       \
	__asm__ volatile("prefetchw %0" ::"m"(*(const volatile unsigned char *)(ptr)))
#else
#define km_prefetch_own(ptr) km_prefetch_write(ptr)
#endif
