/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines: a thread of the explored program is a stack and a place on it. Switching is a few
 * instructions and no system call, on x86-64 and arm64. A coroutine is abandoned by not going back
 * to it.
 */
#pragma once

struct coroutine {
	void *stack_pointer;
	void *stack; /* null for the coroutine that main() runs on */
	void (*entry)(void *argument);
	void *argument;
};

/* Gives the coroutine a stack. Exits the program when there is no memory. */
void coroutine_init(struct coroutine *coroutine);

/* The next switch to the coroutine begins `entry`, which must not return. All that it did before
 * is forgotten. */
void coroutine_start(struct coroutine *coroutine, void (*entry)(void *argument), void *argument);

/* Stops the coroutine `from` and goes on where `to` stopped. Returns when another coroutine
 * switches back to `from`. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);
