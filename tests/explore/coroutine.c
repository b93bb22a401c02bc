/* SPDX-License-Identifier: Apache-2.0 */
/* See coroutine.h. */
#include "tests/explore/coroutine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* Saves what a call must keep in a frame on the stack, swaps stacks, and returns on the other one.
 * A frame has FRAME words, of which number RETURN is where it returns to. */
void coroutine_swap(void **ret_old, void *new_stack);

#if defined(__x86_64__)

enum { FRAME = 8, RETURN = 6 };

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

#elif defined(__aarch64__)

enum { FRAME = 20, RETURN = 11 };

__asm__(".text\n"
	".type coroutine_swap, %function\n"
	"coroutine_swap:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size coroutine_swap, . - coroutine_swap\n");

#else
#error "the explorer knows x86-64 and arm64"
#endif

static struct coroutine *starting;

static void begin(void)
{
	starting->entry(starting->argument);
	abort(); /* entry must not return */
}

void coroutine_start(struct coroutine *coroutine, void (*entry)(void *argument), void *argument)
{
	void **frame = (void **)((char *)coroutine->stack + STACK_SIZE) - FRAME;

	coroutine->entry = entry;
	coroutine->argument = argument;
	memset(frame, 0, FRAME * sizeof *frame);
	frame[RETURN] = (void *)(uintptr_t)begin;
	coroutine->stack_pointer = frame;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
	starting = to;
	coroutine_swap(&from->stack_pointer, to->stack_pointer);
}
