/* SPDX-License-Identifier: Apache-2.0 */
/* See coroutine.h. */
#include "coroutine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STACK_SIZE (128 * 1024)

void coroutine_init(struct coroutine *coroutine)
{
	coroutine->stack = mmap(
		NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (coroutine->stack == MAP_FAILED) {
		perror("explore: no memory for a stack");
		exit(2);
	}
}

#if defined(__x86_64__)

/* Saves what a call must keep, swaps stacks, and returns on the other one. */
void coroutine_swap(void **ret_old, void *new_stack);
__asm__(".text\n"
	".type coroutine_swap, @function\n"
	"coroutine_swap:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size coroutine_swap, . - coroutine_swap\n");

static struct coroutine *starting;

static void begin(void)
{
	starting->entry(starting->argument);
	abort(); /* entry must not return */
}

void coroutine_start(struct coroutine *coroutine, void (*entry)(void *argument), void *argument)
{
	void **top = (void **)((char *)coroutine->stack + STACK_SIZE);

	coroutine->entry = entry;
	coroutine->argument = argument;
	*--top = NULL; /* begin() sees the alignment that a call would have left */
	*--top = (void *)(uintptr_t)begin;
	for (int i = 0; i < 6; i++)
		*--top = NULL;
	coroutine->stack_pointer = top;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
	starting = to;
	coroutine_swap(&from->stack_pointer, to->stack_pointer);
}

#else

static void begin(unsigned high, unsigned low)
{
	struct coroutine *coroutine = (struct coroutine *)((uintptr_t)high << 32 | low);

	coroutine->entry(coroutine->argument);
	abort(); /* entry must not return */
}

void coroutine_start(struct coroutine *coroutine, void (*entry)(void *argument), void *argument)
{
	uintptr_t self = (uintptr_t)coroutine;

	coroutine->entry = entry;
	coroutine->argument = argument;
	getcontext(&coroutine->context);
	coroutine->context.uc_stack.ss_sp = coroutine->stack;
	coroutine->context.uc_stack.ss_size = STACK_SIZE;
	coroutine->context.uc_link = NULL;
	makecontext(&coroutine->context, (void (*)(void))begin, 2, (unsigned)(self >> 32),
		(unsigned)self);
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
	swapcontext(&from->context, &to->context);
}

#endif
