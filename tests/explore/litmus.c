/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is memory.c C11's memory? Small programs whose outcomes are known from the literature: all runs
 * of each are gone through, without a bound, and what its threads may read must be exactly what is
 * listed. An outcome too many is a memory that is weaker than C11 (false alarms), one too few is
 * stronger: a hole in all that the explorer shows.
 *
 * Load buffering (LB) alone is listed as memory.c has it, not as C11 does: see there.
 */
#include "tests/explore/litmus.h"

#include <stdio.h>
#include <string.h>

#include "tests/explore/engine.h"
#include "tests/explore/explore_atomic.h"
#include "tests/explore/world.h"

#define MAX_READS 4
#define OUTCOMES  81 /* of four reads that see 0, 1 or 2 */

#define X         world_spot(0)
#define Y         world_spot(1)
#define PLAIN     world_payload(0)

/* The digits that stand for values that the threads read. */
static uint64_t reads[MAX_READS];

#define THREAD(name, body)                                                                         \
	static void name(void *unused)                                                             \
	{                                                                                          \
		body                                                                               \
	}
#define STORE(order, place, value) km_store(M1, order, place, UINT64_C(value));
#define LOAD(order, place, index)  reads[index] = km_load(M2, order, place);
#define ADD(order, place, index)   reads[index] = km_add(M3, order, place, UINT64_C(1));
#define CAS(order, place, from, to, index)                                                         \
	reads[index] = UINT64_C(from);                                                             \
	km_cas(M4, order, relaxed, place, &reads[index], UINT64_C(to));
#define FENCE(order) km_fence(M5, order);

/* message passing: a value, then a flag */
THREAD(put_relaxed, STORE(relaxed, X, 1) STORE(relaxed, Y, 1))
THREAD(put_release, STORE(relaxed, X, 1) STORE(release, Y, 1))
THREAD(put_fence, STORE(relaxed, X, 1) FENCE(release) STORE(relaxed, Y, 1))
THREAD(put_release_then_relaxed, STORE(relaxed, X, 1) STORE(release, Y, 1) STORE(relaxed, Y, 2))
THREAD(get_relaxed, LOAD(relaxed, Y, 0) LOAD(relaxed, X, 1))
THREAD(get_acquire, LOAD(acquire, Y, 0) LOAD(relaxed, X, 1))
THREAD(get_fence, LOAD(relaxed, Y, 0) FENCE(acquire) LOAD(relaxed, X, 1))
/* release sequences: a third thread's RMW continues the sequence, its store ends it */
THREAD(pass_on_add, ADD(relaxed, Y, 2))
THREAD(get_acquire_cas, CAS(acquire, Y, 1, 2, 0) LOAD(relaxed, X, 1))

/* store buffering: the only pair that needs seq_cst */
THREAD(sb_x_release, STORE(release, X, 1) LOAD(acquire, Y, 0))
THREAD(sb_y_release, STORE(release, Y, 1) LOAD(acquire, X, 1))
THREAD(sb_x_seq_cst, STORE(seq_cst, X, 1) LOAD(seq_cst, Y, 0))
THREAD(sb_y_seq_cst, STORE(seq_cst, Y, 1) LOAD(seq_cst, X, 1))
THREAD(sb_x_fence, STORE(relaxed, X, 1) FENCE(seq_cst) LOAD(relaxed, Y, 0))
THREAD(sb_y_fence, STORE(relaxed, Y, 1) FENCE(seq_cst) LOAD(relaxed, X, 1))
THREAD(sb_x_add, ADD(seq_cst, X, 2) LOAD(seq_cst, Y, 0))
THREAD(sb_y_add, ADD(seq_cst, Y, 3) LOAD(seq_cst, X, 1))
/* a fence in one thread only: a seq_cst load alone must see the stores before it */
THREAD(sb_x_fence_seq_cst, STORE(release, X, 1) FENCE(seq_cst) LOAD(seq_cst, Y, 0))
THREAD(sb_x_fence_acq_rel, STORE(release, X, 1) FENCE(acq_rel) LOAD(seq_cst, Y, 0))
THREAD(sb_y_add_acquire, ADD(seq_cst, Y, 3) LOAD(acquire, X, 1))

/* coherence of one location */
THREAD(one_then_two, STORE(relaxed, X, 1) STORE(relaxed, X, 2))
THREAD(look_twice, LOAD(relaxed, X, 0) LOAD(relaxed, X, 1))
THREAD(own_store, STORE(relaxed, X, 1) LOAD(relaxed, X, 0))

/* RMWs read the newest */
THREAD(add_0, ADD(relaxed, X, 0))
THREAD(add_1, ADD(relaxed, X, 1))
THREAD(cas_0, CAS(relaxed, X, 0, 1, 0))
THREAD(cas_1, CAS(relaxed, X, 0, 1, 1))
/* a CAS that fails is a load, which may be old */
THREAD(get_by_failing_cas, LOAD(relaxed, Y, 0) CAS(relaxed, X, 2, 2, 1))

/* four threads, and three, that each see the stores of the others */
THREAD(set_x, STORE(release, X, 1))
THREAD(set_y, STORE(release, Y, 1))
THREAD(set_x_seq_cst, STORE(seq_cst, X, 1))
THREAD(set_y_seq_cst, STORE(seq_cst, Y, 1))
THREAD(x_then_y, LOAD(acquire, X, 0) LOAD(acquire, Y, 1))
THREAD(y_then_x, LOAD(acquire, Y, 2) LOAD(acquire, X, 3))
THREAD(x_then_y_seq_cst, LOAD(seq_cst, X, 0) LOAD(seq_cst, Y, 1))
THREAD(y_then_x_seq_cst, LOAD(seq_cst, Y, 2) LOAD(seq_cst, X, 3))
THREAD(tell, LOAD(acquire, X, 0) STORE(release, Y, 1))
THREAD(told, LOAD(acquire, Y, 1) LOAD(relaxed, X, 2))

THREAD(lb_x, LOAD(relaxed, X, 0) STORE(relaxed, Y, 1))
THREAD(lb_y, LOAD(relaxed, Y, 1) STORE(relaxed, X, 1))

/* non-atomic accesses */
THREAD(put_plain, km_plain_write(PLAIN, 8); STORE(release, Y, 1))
THREAD(put_plain_relaxed, km_plain_write(PLAIN, 8); STORE(relaxed, Y, 1))
THREAD(get_plain, LOAD(acquire, Y, 0) if (reads[0]) km_plain_read(PLAIN, 8);)
THREAD(get_plain_unasked, LOAD(acquire, Y, 0) km_plain_read(PLAIN, 8);)

typedef void (*body)(void *unused);

static const struct litmus {
	const char *name;
	body threads[4];
	int reads;
	/* Returns the digits in the order in which they were read; "race" if a run has a race. */
	const char *outcomes;
} tests[] = {
	{ "MP relaxed", { put_relaxed, get_relaxed }, 2, "00 01 10 11" },
	{ "MP release, relaxed", { put_release, get_relaxed }, 2, "00 01 10 11" },
	{ "MP relaxed, acquire", { put_relaxed, get_acquire }, 2, "00 01 10 11" },
	{ "MP release, acquire", { put_release, get_acquire }, 2, "00 01 11" },
	{ "MP fences", { put_fence, get_fence }, 2, "00 01 11" },
	{ "MP fence, acquire", { put_fence, get_acquire }, 2, "00 01 11" },
	{ "MP release, fence", { put_release, get_fence }, 2, "00 01 11" },
	{ "MP one fence", { put_fence, get_relaxed }, 2, "00 01 10 11" },
	{ "C++20's end of a release sequence", { put_release_then_relaxed, get_acquire }, 2,
		"00 01 11 20 21" },
	{ "release sequence through an RMW", { put_release, pass_on_add, get_acquire }, 3,
		"000 001 010 011 100 110 111 211" },
	{ "acquire CAS", { put_release, get_acquire_cas }, 2, "00 01 11" },
	{ "SB release, acquire", { sb_x_release, sb_y_release }, 2, "00 01 10 11" },
	{ "SB seq_cst", { sb_x_seq_cst, sb_y_seq_cst }, 2, "01 10 11" },
	{ "SB one seq_cst", { sb_x_seq_cst, sb_y_release }, 2, "00 01 10 11" },
	{ "SB fences", { sb_x_fence, sb_y_fence }, 2, "01 10 11" },
	{ "SB RMWs", { sb_x_add, sb_y_add }, 2, "01 10 11" },
	{ "SB fence, seq_cst", { sb_x_fence, sb_y_seq_cst }, 2, "01 10 11" },
	{ "SB fence, RMW", { sb_x_fence_seq_cst, sb_y_add }, 2, "01 10 11" },
	{ "SB fence, RMW and acquire", { sb_x_fence_seq_cst, sb_y_add_acquire }, 2, "00 01 10 11" },
	{ "SB acq_rel fence, RMW", { sb_x_fence_acq_rel, sb_y_add }, 2, "00 01 10 11" },
	{ "SB fence, release", { sb_x_fence, sb_y_release }, 2, "00 01 10 11" },
	{ "CoRR", { one_then_two, look_twice }, 2, "00 01 02 11 12 22" },
	{ "CoWR", { own_store }, 1, "1" },
	{ "two adds", { add_0, add_1 }, 2, "01 10" },
	{ "two CASes", { cas_0, cas_1 }, 2, "01 10" },
	{ "failing CAS", { put_relaxed, get_by_failing_cas }, 2, "00 01 10 11" },
	{ "IRIW acquire", { set_x, set_y, x_then_y, y_then_x }, 4,
		"0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 "
		"1111" },
	{ "IRIW seq_cst", { set_x_seq_cst, set_y_seq_cst, x_then_y_seq_cst, y_then_x_seq_cst }, 4,
		"0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111" },
	{ "WRC", { set_x, tell, told }, 3, "000 001 010 011 100 101 111" },
	{ "LB", { lb_x, lb_y }, 2, "00 01 10" },
	{ "plain after acquire", { put_plain, get_plain }, 1, "0 1" },
	{ "plain after relaxed", { put_plain_relaxed, get_plain }, 1, "race" },
	{ "plain unasked", { put_plain, get_plain_unasked }, 1, "race" },
};

static const struct litmus *test;
static bool seen[OUTCOMES];

static unsigned index_of(const uint64_t *values)
{
	unsigned index = 0;

	for (int i = 0; i < MAX_READS; i++)
		index = index * 3 + (unsigned)values[i];
	return index;
}

static void begin_run(void)
{
	static const struct world_shape shape = {
		.rings = 1, .capacity = 1, .pool = 2, .publishers = 1, .subscribers = 1
	};

	world_make(&shape);
	memset(reads, 0, sizeof reads);
	for (int i = 0; i < 4 && test->threads[i]; i++)
		ex_thread_add("litmus", test->threads[i], NULL);
}

static void end_run(void)
{
	seen[index_of(reads)] = true;
}

static void nothing(int thread)
{
}

static void no_sleep(void)
{
}

static void any_write(
	const struct km_site *site, const volatile void *memory, uint64_t before, uint64_t after)
{
}

static void describe(char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = 0;
	for (unsigned index = 0; index < OUTCOMES; index++) {
		unsigned divisor = 27;

		if (!seen[index])
			continue;
		used += (size_t)snprintf(ret + used, size - used, used ? " " : "");
		for (int i = 0; i < test->reads; i++, divisor /= 3)
			used += (size_t)snprintf(
				ret + used, size - used, "%u", index / divisor % 3);
	}
}

int explore_litmus(void)
{
	static const struct ex_program program = { .reset = begin_run,
		.finish = end_run,
		.died = nothing,
		.slept = no_sleep,
		.after_write = any_write };
	const unsigned count = sizeof tests / sizeof tests[0];
	uint64_t runs = 0;
	unsigned bad = 0;

	for (unsigned i = 0; i < count; i++) {
		struct ex_search search = {
			.interruptions = -1, .old_reads = -1, .max_seconds = 60
		};
		char outcomes[512];

		test = &tests[i];
		memset(seen, 0, sizeof seen);
		ex_memory_forget();
		if (ex_search_all(&program, &search))
			describe(outcomes, sizeof outcomes);
		else if (strncmp(search.failure, "data race", 9) == 0)
			strcpy(outcomes, "race");
		else
			snprintf(outcomes, sizeof outcomes, "%s", search.failure);
		runs += search.runs;
		if (strcmp(outcomes, test->outcomes) == 0 && !search.cut)
			continue;
		bad++;
		printf("%s: C11 allows %s\n%*s  memory.c %s\n", test->name, test->outcomes,
			(int)strlen(test->name), "", outcomes);
	}
	printf("litmus: %u tests, %u wrong, %lu runs\n", count, bad, runs);
	return bad > 0;
}
