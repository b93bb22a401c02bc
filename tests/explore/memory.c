/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C11's memory, operationally: what may a load see?
 *
 * Every location keeps all its stores, oldest first (its modification order). A thread's knowledge
 * is a view: for each location the oldest store that it may still see, and for each thread a clock
 * of its non-atomic accesses. A store carries the view for the threads that synchronise with it:
 *
 *   load      any store from the view's on; acquire joins that store's view, relaxed keeps it for a later fence
 *   store     appends; release gives it the thread's view, relaxed that of the last release fence
 *   RMW       reads the last store; its store also carries on what that one carried (release sequences, C++20)
 *   CAS       succeeds only on the last store; when it fails it is a load, which may be old
 *   seq_cst   accesses are totally ordered by execution: such a load sees no store older than the
 *             location's last seq_cst store. (No clock is joined: C11 gives no more than that, and
 *             store -> load needs no more.)
 *             Of a seq_cst fence, what its thread knew of stores before is the oldest that a later
 *             seq_cst load sees, and that any load behind a later seq_cst fence sees; behind it
 *             no load sees a store older than a seq_cst one before it. (C++20's rules, but for
 *             seq_cst loads that order what they saw.) No clock is joined.
 *   plain     a read races with a write that isn't in the view, a write with both
 *
 * Two things are not explored. One is modification orders that differ from execution order: two
 * plain stores by different threads to the same location. The product has one such location, a
 * ring's hint, which may go back anyway. The other is load buffering: a load that sees a store that
 * is after it in an order of dependencies. RC11 forbids that too.
 *
 * The file is long because one model of memory has to be read as a whole.
 */
#include <stdio.h>
#include <string.h>

#include "tests/explore/engine.h"
#include "tests/explore/hash.h"
#include "tests/explore/memory.h"
#include "tests/explore/world.h"

#define MAX_STORES 200

struct store {
	struct ex_view view;
	uint64_t value;
	uint64_t identity; /* hash of what its writer did before */
};

struct location {
	const volatile void *memory;
	uint32_t size;
	uint16_t count;   /* stores; 0: the location wasn't met in this run */
	uint16_t last_sc; /* the newest seq_cst store, or 0 */
	uint64_t chain;   /* hash of its modification order */
	struct store stores[MAX_STORES];
};

static struct location locations[EX_MAX_LOCATIONS];
static unsigned location_count;
static uint8_t location_at[WORLD_SIZE / 4]; /* index + 1 */
struct ex_knowledge knows[EX_MAX_THREADS];
static struct ex_meeting broker, bucket, fences;

static void join(struct ex_view *to, const struct ex_view *from)
{
	for (int i = 0; i < 4; i++) {
		ex_vector bigger = (ex_vector)(from->lanes[i] > to->lanes[i]);

		to->lanes[i] = (from->lanes[i] & bigger) | (to->lanes[i] & ~bigger);
	}
}

/* --- what has happened, as one number: the sum of what threads did and what locations hold --- */

static void pass_on(uint64_t *chain, uint64_t what)
{
	ex.fingerprint -= hash_mix(*chain);
	*chain = hash_mix(*chain ^ what);
	ex.fingerprint += hash_mix(*chain);
}

void ex_memory_reset(void)
{
	for (unsigned i = 0; i < location_count; i++)
		locations[i].count = 0;
	memset(knows, 0, sizeof knows);
	ex_plain_reset();
	broker = (struct ex_meeting){ .chain = 1 };
	bucket = (struct ex_meeting){ .chain = 2 };
	fences = (struct ex_meeting){ .chain = 3 };
}

void ex_memory_forget(void)
{
	ex_memory_reset();
	location_count = 0;
	memset(location_at, 0, sizeof location_at);
}

static void synchronise(struct ex_meeting *with, int thread)
{
	join(&with->view, &knows[thread].now);
	join(&knows[thread].now, &with->view);
	pass_on(&with->chain, ex.threads[thread].chain);
	pass_on(&ex.threads[thread].chain, with->chain);
}

void ex_memory_tell(int thread)
{
	synchronise(&broker, thread);
}

/* --- the operations --- */

static uint64_t fetch(const volatile void *memory, unsigned size)
{
	return size == 8 ? *(const volatile uint64_t *)memory : *(const volatile uint32_t *)memory;
}

static void put(volatile void *memory, unsigned size, uint64_t value)
{
	if (size == 8)
		*(volatile uint64_t *)memory = value;
	else
		*(volatile uint32_t *)memory = (uint32_t)value;
}

/* True when the operation is no step: in set-up and end, on private memory, on statistics. */
static bool is_direct(struct km_site *site, const volatile void *memory)
{
	site->reached = true;
	return ex.current < 0 || !world_is_shared(memory) ||
	       (site->label[0] == 'H' && site->label[1] == '2');
}

static struct location *locate(const volatile void *memory, unsigned size)
{
	uint8_t *entry = &location_at[world_offset(memory) / 4];

	if (!*entry) {
		if (location_count == EX_MAX_LOCATIONS)
			ex_fail("explorer: more than %d locations", EX_MAX_LOCATIONS);
		locations[location_count].memory = memory;
		locations[location_count].size = size;
		*entry = (uint8_t)++location_count;
	}
	struct location *location = &locations[*entry - 1];
	if (location->memory != memory || location->size != size)
		ex_fail("explorer: one location, two sizes or places");
	if (location->count == 0) {
		memset(&location->stores[0].view, 0, sizeof location->stores[0].view);
		location->stores[0].value = fetch(memory, size);
		location->stores[0].identity = *entry;
		location->chain = hash_mix(*entry);
		location->last_sc = 0;
		location->count = 1;
	}
	return location;
}

static unsigned index_of(const struct location *location)
{
	return (unsigned)(location - locations);
}

static struct location *begin(struct km_site *site, const volatile void *memory, unsigned size)
{
	ex_site_meet(site);
	if (!(ex.quiet_hazards && site->label[0] == 'H'))
		ex_step();
	return locate(memory, size);
}

static bool acquires(int order)
{
	return order == km_explore_acquire || order >= km_explore_acq_rel;
}

static bool releases(int order)
{
	return order >= km_explore_release;
}

/* Lets the running thread see store number `which`. */
static const struct store *see(struct location *location, unsigned which, int order)
{
	const struct store *store = &location->stores[which];
	struct ex_knowledge *me = &knows[ex.current];

	me->now.oldest[index_of(location)] = (uint8_t)which;
	join(&me->acquired, &store->view);
	if (acquires(order))
		join(&me->now, &store->view);
	pass_on(&ex.threads[ex.current].chain, store->identity);
	return store;
}

static unsigned oldest(const struct location *location, int order)
{
	unsigned index = index_of(location), first = knows[ex.current].now.oldest[index];

	if (order != km_explore_seq_cst)
		return first;
	if (location->last_sc > first)
		first = location->last_sc;
	return fences.view.oldest[index] > first ? fences.view.oldest[index] : first;
}

static void append(struct km_site *site, struct location *location, uint64_t value, int order,
	const struct store *continues)
{
	unsigned which = location->count, index = index_of(location);
	struct store *store = &location->stores[which];
	struct ex_knowledge *me = &knows[ex.current];
	uint64_t before = location->stores[which - 1].value;

	if (which == MAX_STORES - 1)
		ex_fail("explorer: more than %d stores to one location", MAX_STORES);
	location->count++;
	me->now.oldest[index] = (uint8_t)which;
	store->view = releases(order) ? me->now : me->released;
	store->view.oldest[index] = (uint8_t)which;
	if (continues)
		join(&store->view, &continues->view);
	if (order == km_explore_seq_cst)
		location->last_sc = (uint16_t)which;
	store->value = value;
	pass_on(&ex.threads[ex.current].chain, index + 100);
	store->identity = ex.threads[ex.current].chain;
	pass_on(&location->chain, store->identity);
	put((volatile void *)location->memory, location->size, value);
	ex.program->after_write(site, location->memory, before, value);
}

uint64_t km_explore_load(struct km_site *site, const volatile void *memory, unsigned size)
{
	if (is_direct(site, memory))
		return fetch(memory, size);

	struct location *location = begin(site, memory, size);
	unsigned first = oldest(location, site->used_order), last = location->count - 1u;
	unsigned back = first < last ? ex_choose(last - first + 1, EX_CHOICE_READ) : 0;
	const struct store *store = see(location, last - back, site->used_order);

	if (ex.tracing)
		ex_trace(site, memory, back ? "V   (old)" : "V", store->value, 0);
	return store->value;
}

void km_explore_store(struct km_site *site, volatile void *memory, unsigned size, uint64_t value)
{
	if (is_direct(site, memory)) {
		put(memory, size, value);
		return;
	}
	struct location *location = begin(site, memory, size);

	if (ex.tracing)
		ex_trace(site, memory, "= V", value, 0);
	append(site, location, value, site->used_order, NULL);
}

/* Counts the stores that a failing CAS may see and that differ from what it expects. *ret
 * becomes their numbers. */
static unsigned find_failures(
	const struct location *location, int order, uint64_t expected, unsigned *ret, unsigned max)
{
	unsigned count = 0, first = oldest(location, order);

	for (unsigned i = location->count - 1u; i + 1 > first && count < max; i--)
		if (location->stores[i].value != expected)
			ret[count++] = i;
	return count;
}

static bool compare_and_swap(
	struct km_site *site, struct location *location, uint64_t *expected, uint64_t desired)
{
	unsigned failures[8], last = location->count - 1u;
	bool succeeds = location->stores[last].value == *expected;
	unsigned count = find_failures(location, site->used_fail_order, *expected, failures, 8);
	unsigned way = count + succeeds > 1 ? ex_choose(count + succeeds, EX_CHOICE_READ) : 0;

	if (succeeds && way == 0) {
		const struct store *seen = see(location, last, site->used_order);

		append(site, location, desired, site->used_order, seen);
		return true;
	}
	*expected = see(location, failures[way - succeeds], site->used_fail_order)->value;
	return false;
}

bool km_explore_cas(struct km_site *site, volatile void *memory, unsigned size, void *expected,
	uint64_t desired)
{
	uint64_t seen = fetch(expected, size);

	if (is_direct(site, memory)) {
		uint64_t value = fetch(memory, size);

		if (value != seen) {
			put(expected, size, value);
			return false;
		}
		put(memory, size, desired);
		return true;
	}
	struct location *location = begin(site, memory, size);
	if (ex.tracing)
		ex_trace(site, memory, "V -> V", seen, desired);
	bool done = compare_and_swap(site, location, &seen, desired);
	put(expected, size, seen);
	if (ex.tracing && !done)
		ex_trace(site, memory, "failed: V", seen, 0);
	return done;
}

static uint64_t modify(
	struct km_site *site, volatile void *memory, unsigned size, uint64_t mask, uint64_t more)
{
	if (is_direct(site, memory)) {
		uint64_t value = fetch(memory, size);

		put(memory, size, (value & mask) + more);
		return value;
	}
	struct location *location = begin(site, memory, size);
	const struct store *seen = see(location, location->count - 1u, site->used_order);
	uint64_t value = seen->value, after = (value & mask) + more;

	if (size == 4)
		after = (uint32_t)after;
	if (ex.tracing)
		ex_trace(site, memory, "V -> V", value, after);
	append(site, location, after, site->used_order, seen);
	return value;
}

uint64_t km_explore_and(struct km_site *site, volatile void *memory, unsigned size, uint64_t mask)
{
	return modify(site, memory, size, mask, 0);
}

uint64_t km_explore_add(struct km_site *site, volatile void *memory, unsigned size, uint64_t value)
{
	return modify(site, memory, size, UINT64_MAX, value);
}

/* A seq_cst fence of the running thread. Loads behind later such fences, and later seq_cst loads, see no
 * store older than this thread knows. The thread learns what others knew at their fences, and the
 * seq_cst stores. Nothing happens before anything by that, so no clocks are joined. */
static void join_fences(int thread)
{
	struct ex_view *me = &knows[thread].now;
	uint8_t clock[EX_MAX_THREADS];

	for (unsigned i = 0; i < location_count; i++)
		if (locations[i].count > 0 && locations[i].last_sc > me->oldest[i]) {
			me->oldest[i] = (uint8_t)locations[i].last_sc;
			pass_on(&ex.threads[thread].chain, i << 16 | locations[i].last_sc);
		}
	memcpy(clock, me->clock, sizeof clock);
	synchronise(&fences, thread);
	memcpy(me->clock, clock, sizeof clock);
}

void km_explore_fence(struct km_site *site)
{
	if (ex.current < 0)
		return;
	site->reached = true;
	ex_site_meet(site);
	struct ex_knowledge *me = &knows[ex.current];
	if (acquires(site->used_order))
		join(&me->now, &me->acquired);
	if (site->used_order == km_explore_seq_cst) {
		ex_step();
		join_fences(ex.current);
	}
	if (releases(site->used_order))
		me->released = me->now;
}

/* --- the futex, whose calls take turns at the kernel's lock --- */

int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
void km_futex_wake(_Atomic uint32_t *word);
int km_nap(int64_t deadline_ns);
int64_t km_clock_ns(void);

int km_nap(int64_t deadline_ns)
{
	return 0; /* only observers call it, which aren't explored */
}

int64_t km_clock_ns(void)
{
	/* Time stands still: nothing explored here may depend on it. */
	return 0;
}

void ex_kernel(void)
{
	if (ex.current < 0)
		return;
	ex_step();
	synchronise(&bucket, ex.current);
}

bool ex_kernel_differs(const volatile void *word, uint32_t expected)
{
	if (ex.current < 0 || !world_is_shared(word))
		return *(const volatile uint32_t *)word != expected;
	struct location *location = locate(word, sizeof(uint32_t));
	unsigned first = oldest(location, km_explore_relaxed), last = location->count - 1u;
	unsigned back = first < last ? ex_choose(last - first + 1, EX_CHOICE_READ) : 0;
	uint32_t value = (uint32_t)see(location, last - back, km_explore_relaxed)->value;
	if (ex.tracing)
		ex_note("FUTEX_WAIT for %x, is %x: %s", expected, value,
			value == expected ? "sleeps" : "no");
	return value != expected;
}

int ex_futex_wait_any(const struct ex_futex *words, unsigned count)
{
	const volatile void *places[EX_MAX_WORDS];

	if (ex.current < 0)
		return -1;
	if (count > EX_MAX_WORDS)
		ex_fail("explorer: a sleep at %u words", count);
	ex_kernel();
	for (unsigned i = 0; i < count; i++) {
		if (ex_kernel_differs(words[i].word, words[i].expected))
			return -1;
		places[i] = words[i].word;
	}
	unsigned woken = ex_sleep(places, count);
	synchronise(&bucket, ex.current);
	return (int)woken;
}

int km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	ex_futex_wait_any(&(struct ex_futex){ word, expected }, 1);
	return 0;
}

void km_futex_wake(_Atomic uint32_t *word)
{
	if (ex.current < 0)
		return;
	ex_kernel();
	if (ex.tracing)
		ex_note("FUTEX_WAKE");
	ex_wake(word);
}
