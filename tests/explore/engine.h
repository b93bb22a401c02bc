/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The explorer runs a small program of threads over and over. Each time it takes another schedule
 * and makes another choice of what loads see and of who dies where, until all such choices within a
 * bound are done.
 *
 *   search.c    which choice next: exhaustive (depth first, by re-execution), or random from a seed
 *   schedule.c  whose turn: threads are coroutines, every visible operation is a point where another may go on
 *   memory.c    what a load sees: C11's memory, operationally
 *   trace.c     a run, printed
 *   world.c     the program's memory and what must hold in it
 *   actors.c    the program's threads, on the product's own sources
 *
 * A run is a function of its choices: the same list of choices gives the same run. All of this is
 * one process and one kernel thread; the state is global.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/explore/coroutine.h"
#include "tests/explore/site.h"

#define EX_MAX_THREADS 8
#define EX_MAX_CRASHES 3
#define EX_MAX_WORDS   8 /* words that a thread may sleep at */

/* --- what a scenario gives --- */

struct ex_crash {
	/* The thread dies before its operation number `at`, counted from 0; -1: no thread dies. */
	int thread;
	int at;
};

struct ex_program {
	/* Before each run: memory as it begins, ex_thread_add() for each thread. */
	void (*reset)(void);
	/* After each run: everything has stopped; operations go straight to memory. */
	void (*finish)(void);
	void (*died)(int thread);
	void (*slept)(void);
	/* Called by FUTEX_WAKE when the sleeper is up already. */
	void (*woken)(const volatile void *word);
	void (*after_write)(const struct km_site *site, const volatile void *memory,
		uint64_t before, uint64_t after);
	/* Names and values for traces. */
	void (*name_of)(const volatile void *memory, char *ret, unsigned long size);
	void (*value_of)(
		const volatile void *memory, uint64_t value, char *ret, unsigned long size);
};

/* --- schedule.c --- */

enum ex_state { EX_RUNNABLE, EX_WAITING, EX_ASLEEP, EX_FINISHED, EX_DEAD };

struct ex_thread {
	struct coroutine coroutine;
	const char *name;
	void (*body)(void *argument);
	void *argument;
	enum ex_state state;
	bool (*ready)(void *argument); /* while EX_WAITING */
	void *ready_argument;
	const volatile void *asleep_on[EX_MAX_WORDS];
	unsigned asleep_count, woken_at;
	/* A hash of all that the thread did and saw, on which alone its next step depends. */
	uint64_t chain;
	int operations; /* visible operations so far */
	/* Steps since another thread had its turn or its call began. */
	int alone;
	int alone_limit;
	uint64_t priority; /* in random mode */
};

struct ex_run {
	const struct ex_program *program;
	struct ex_thread threads[EX_MAX_THREADS];
	int thread_count;
	int current; /* -1: main(), whose operations are direct */
	struct ex_crash crashes[EX_MAX_CRASHES];
	bool crashed[EX_MAX_CRASHES]; /* happened, in this or an earlier run */
	/* Stores of hazards are no scheduling points: no other thread looks at them meanwhile. */
	bool quiet_hazards;
	bool tracing;
	uint64_t
		/* A hash of what has happened. Steps that don't depend on each other may come in
		 * any order. */
		fingerprint;
	uint64_t steps;
	unsigned old_reads; /* loads that didn't see the newest value */
	char failure[256];  /* "": the run didn't fail */
};

extern struct ex_run ex;

/* One run; returns false when ex.failure says why. */
bool ex_run(const struct ex_program *program);

void ex_thread_add(const char *name, void (*body)(void *argument), void *argument);

/* Called by threads. Begins a call that must end within `limit` own steps when no other thread
 * moves (P1). */
void ex_call(int limit);
/* Waits until `ready` returns true. Its condition may change only by what other threads do. */
void ex_wait(bool (*ready)(void *argument), void *argument);
/* Passes a message through the broker: all that was done before it is known after it. */
void ex_control(void);

/* Called before each visible operation of the running thread. */
void ex_step(void);
/* Fails the run and stops it. Never returns when a thread calls it. */
void ex_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ex_abandon(void) __attribute__((noreturn));

/* The futex, with km_futex_wait() and km_futex_wake() of the product. Returns which word was woken. */
unsigned ex_sleep(const volatile void *const *words, unsigned count);
void ex_wake(const volatile void *word);

/* Begins a call of the kernel's, which takes the same lock as the futex. */
void ex_kernel(void);
/* For use within a call of the kernel's: is the word another one than `expected`? Sees an old
 * value where FUTEX_WAIT does. */
bool ex_kernel_differs(const volatile void *word, uint32_t expected);
/* The explorer's futex_waitv(2). Returns which word was woken; -1: one differed. */
struct ex_futex {
	const volatile void *word;
	uint32_t expected;
};
int ex_futex_wait_any(const struct ex_futex *words, unsigned count);

/* --- memory.c --- */

void ex_memory_reset(void);
/* Forgets all locations: from now on the same addresses are other locations. */
void ex_memory_forget(void);
/* From now on `thread` and the broker know what each of them knew. */
void ex_memory_tell(int thread);
/* Gives the sites with that label and kind another order, and all other sites their own. With
 * label "" each site has its own. */
void ex_weaken(const char *label, int kind, int order);
/* Calls ex_weaken() by the names of ex_kind_name() and ex_order_name(). False when there is no
 * such operation. */
bool ex_weaken_by_name(const char *label, const char *kind, const char *order);
/* Prints which of the product's operations no run has come to. Returns how many. */
unsigned ex_site_print_unmet(void);
/* The sites that were met so far. */
unsigned ex_site_count(void);
const struct km_site *ex_site(unsigned index);
const char *ex_order_name(int order);
const char *ex_kind_name(int kind);

/* --- search.c --- */

enum ex_choice { EX_CHOICE_TURN, EX_CHOICE_READ };

/* Chooses one of `count` ways. Way 0 is the ordinary one: no thread is interrupted, the newest
 * value is read. */
unsigned ex_choose(unsigned count, enum ex_choice kind);
/* Chooses which of `count` threads goes on. If `interrupts`, each but the first costs an
 * interruption. */
unsigned ex_choose_thread(const int *threads, unsigned count, bool interrupts);
/* True when the run was ended because its state was known. */
bool ex_search_pruned(void);

struct ex_search {
	/* bounds */
	int interruptions; /* where a thread could have gone on; -1: any number */
	/* Loads that don't see the newest value; -1: any number. */
	int old_reads;
	uint64_t max_runs; /* 0: no bound */
	double max_seconds;
	/* results, added up */
	uint64_t runs;
	uint64_t repeated; /* runs that met a known state and ended there */
	uint64_t states;
	uint64_t steps;
	uint64_t deaths;
	bool cut; /* a bound on runs or time ended it */
	char failure[256];
	char replay[4096];
};

/* Makes all runs within the bounds, for the deaths in ex.crashes. False: a run failed,
 * search->failure and search->replay say how. */
bool ex_search_all(const struct ex_program *program, struct ex_search *search);
/* Makes `runs` random runs from a seed; ends early after search->max_seconds. */
bool ex_search_random(const struct ex_program *program, struct ex_search *search, uint64_t seed,
	void (*vary)(uint64_t random));
/* Makes the one run that search->replay describes. */
bool ex_search_replay(const struct ex_program *program, const char *replay);

/* --- trace.c --- */
/* Writes a step. In `form` the first V stands for `value` and a second one for `second`, written
 * as the location's kind has it. */
void ex_trace(const struct km_site *site, const volatile void *memory, const char *form,
	uint64_t value, uint64_t second);
void ex_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
