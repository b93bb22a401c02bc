/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler chooses whose turn it is. The running thread asks at each of its visible
 * operations. If another thread is chosen it switches there straight from its own stack, so a step
 * without an interruption costs no switch at all.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/explore/engine.h"
#include "tests/explore/hash.h"

#define MAX_STEPS 4000 /* for one run, which is endless if it takes more */

struct ex_run ex;

static struct coroutine main_coroutine, director;
static struct coroutine *running = &main_coroutine;

static void switch_to(struct coroutine *next)
{
	struct coroutine *before = running;

	running = next;
	coroutine_switch(before, next);
}

void ex_abandon(void)
{
	switch_to(&main_coroutine);
	__builtin_unreachable();
}

void ex_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ex.failure, sizeof ex.failure, format, arguments);
	va_end(arguments);
	ex_abandon();
}

static bool is_enabled(const struct ex_thread *thread)
{
	return thread->state == EX_RUNNABLE ||
	       (thread->state == EX_WAITING && thread->ready(thread->ready_argument));
}

/* Chooses who goes on. Returns when the caller's turn comes again. */
static void give_turn(void)
{
	struct ex_thread *self = &ex.threads[ex.current];
	int me = ex.current, list[EX_MAX_THREADS];
	unsigned count = 0;

	if (self->state == EX_RUNNABLE)
		list[count++] = me;
	for (int i = 0; i < ex.thread_count; i++)
		if (i != me && is_enabled(&ex.threads[i]))
			list[count++] = i;
	if (count == 0 && !is_enabled(self))
		ex_abandon(); /* all threads have stopped */
	if (count == 0)
		list[count++] = me;
	int next = list[ex_choose_thread(list, count, self->state == EX_RUNNABLE)];
	if (next == me)
		return;
	ex.current = next;
	ex.threads[next].alone = 0;
	switch_to(&ex.threads[next].coroutine);
}

static void begin_thread(void *argument)
{
	struct ex_thread *self = argument;

	self->body(self->argument);
	self->state = EX_FINISHED;
	give_turn();
}

void ex_thread_add(const char *name, void (*body)(void *argument), void *argument)
{
	struct ex_thread *thread = &ex.threads[ex.thread_count];

	if (!thread->coroutine.stack)
		coroutine_init(&thread->coroutine);
	thread->name = name;
	thread->body = body;
	thread->argument = argument;
	thread->state = EX_RUNNABLE;
	thread->chain = hash_mix((uint64_t)++ex.thread_count);
	thread->operations = 0;
	thread->asleep_count = 0;
	thread->alone = 0;
	thread->alone_limit = MAX_STEPS;
	coroutine_start(&thread->coroutine, begin_thread, thread);
}

static void die_if_due(struct ex_thread *self)
{
	for (int i = 0; i < EX_MAX_CRASHES; i++) {
		if (ex.crashes[i].thread != ex.current || ex.crashes[i].at != self->operations)
			continue;
		ex.crashed[i] = true;
		if (ex.tracing)
			ex_note("DIES");
		self->state = EX_DEAD;
		ex_memory_tell(ex.current);
		ex.program->died(ex.current);
		give_turn();
	}
}

void ex_step(void)
{
	struct ex_thread *self = &ex.threads[ex.current];

	die_if_due(self);
	give_turn();
	self->operations++;
	if (++ex.steps > MAX_STEPS)
		ex_fail("the run doesn't end");
	if (++self->alone > self->alone_limit)
		ex_fail("P1: %s took %d steps alone and has not finished its call", self->name,
			self->alone);
}

void ex_call(int limit)
{
	if (ex.current < 0)
		return;
	ex.threads[ex.current].alone = 0;
	ex.threads[ex.current].alone_limit = limit;
}

void ex_wait(bool (*ready)(void *argument), void *argument)
{
	struct ex_thread *self = &ex.threads[ex.current];

	self->ready = ready;
	self->ready_argument = argument;
	if (ready(argument))
		return;
	/* the fingerprint says that the thread waits, since waiting is part of the state */
	ex.fingerprint -= hash_mix(self->chain);
	self->chain = hash_mix(self->chain ^ 1);
	ex.fingerprint += hash_mix(self->chain);
	self->state = EX_WAITING;
	give_turn();
	self->state = EX_RUNNABLE;
}

void ex_control(void)
{
	if (ex.current < 0)
		return;
	ex_step();
	ex_memory_tell(ex.current);
}

unsigned ex_sleep(const volatile void *const *words, unsigned count)
{
	struct ex_thread *self = &ex.threads[ex.current];

	memcpy(self->asleep_on, words, count * sizeof *words);
	self->asleep_count = count;
	self->state = EX_ASLEEP;
	ex.program->slept();
	give_turn();
	return self->woken_at;
}

void ex_wake(const volatile void *word)
{
	for (int i = 0; i < ex.thread_count; i++)
		for (unsigned k = 0; k < ex.threads[i].asleep_count; k++)
			if (ex.threads[i].state == EX_ASLEEP &&
				ex.threads[i].asleep_on[k] == word) {
				ex.threads[i].state = EX_RUNNABLE;
				ex.threads[i].woken_at = k;
			}
	if (ex.program->woken)
		ex.program->woken(word);
}

static void direct(void *argument)
{
	ex.current = -1;
	if (argument)
		ex.program->reset();
	else
		ex.program->finish();
	ex_abandon();
}

bool ex_run(const struct ex_program *program)
{
	if (!director.stack)
		coroutine_init(&director);
	ex.program = program;
	ex.thread_count = 0;
	ex.failure[0] = 0;
	ex.fingerprint = 0;
	ex.steps = 0;
	ex.old_reads = 0;
	ex_memory_reset();
	coroutine_start(&director, direct, &ex);
	switch_to(&director);
	if (ex.failure[0])
		return false;

	/* the first turn is given by no thread, so it begins in a state of its own */
	int list[EX_MAX_THREADS];
	unsigned count = 0;
	for (int i = 0; i < ex.thread_count; i++)
		list[count++] = i;
	ex.current = list[ex_choose_thread(list, count, false)];
	switch_to(&ex.threads[ex.current].coroutine);
	if (ex.failure[0] || ex_search_pruned())
		return !ex.failure[0];
	coroutine_start(&director, direct, NULL);
	switch_to(&director);
	return !ex.failure[0];
}
