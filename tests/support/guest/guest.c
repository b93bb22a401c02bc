/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/guest/guest.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_SIZE ((size_t)512 * 1024)
#define PATTERN    UINT64_C(0xa55a96693cc3f00f)
#define OWN        256 /* unpainted bytes below guest_before()'s frame */
#define MAX_CALLS  128

static unsigned char *stack;
static struct guest_call calls[MAX_CALLS + 1];
static unsigned call_count;

/* The bytes of a sigset_t that the kernel writes; it leaves the rest as it was. */
#define MASK_SIZE (_NSIG / 8)

struct signals {
	unsigned char mask[MASK_SIZE]; /* the thread's signal mask */
	struct {
		void (*handler)(int);
		int flags;
		unsigned char mask[MASK_SIZE];
	} actions[_NSIG];
};

static struct signals before;

static void (*tour_to_run)(void *);

static void read_signals(struct signals *ret)
{
	struct sigaction action;
	sigset_t mask;

	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	memcpy(ret->mask, &mask, sizeof ret->mask);
	for (int i = 1; i < _NSIG; i++) {
		if (sigaction(i, NULL, &action) < 0)
			continue; /* libc uses these signals itself */
		ret->actions[i].handler = action.sa_handler;
		ret->actions[i].flags = action.sa_flags;
		memcpy(ret->actions[i].mask, &action.sa_mask, MASK_SIZE);
	}
}

void guest_before(void)
{
	read_signals(&before);
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - OWN) & ~(uintptr_t)7;

	/* a loop and no call, whose frame would lie in the painted stack */
	for (volatile uint64_t *word = (void *)stack; (uintptr_t)word < end; word++)
		*word = PATTERN;
}

static size_t measure(uintptr_t from)
{
	const volatile uint64_t *word = (const void *)stack;

	ck_assert_msg(*word == PATTERN, "the stack was too short");
	while (*word == PATTERN)
		word++;
	return from - (uintptr_t)word;
}

static struct guest_call *find(const char *name)
{
	unsigned i = 0;

	while (i < call_count && strcmp(calls[i].name, name) != 0)
		i++;
	if (i < call_count)
		return &calls[i];
	ck_assert_uint_lt(call_count, MAX_CALLS);
	calls[i].name = name;
	return &calls[call_count++];
}

/* Judges a call in a frame of its own: guest_after()'s would be measured with the call. */
static __attribute__((noinline)) void judge(
	const char *name, int line, int left, bool can_fail, bool failed, size_t depth)
{
	struct guest_call *call = find(name);
	static struct signals after;

	ck_assert_msg(left == GUEST_ERRNO, "line %d: %s (%s) left errno %d", line, name,
		failed ? "failed" : "done", left);
	read_signals(&after);
	ck_assert_msg(memcmp(after.mask, before.mask, MASK_SIZE) == 0,
		"line %d: %s changed the signal mask", line, name);
	for (int i = 1; i < _NSIG; i++)
		ck_assert_msg(
			memcmp(&after.actions[i], &before.actions[i], sizeof after.actions[i]) == 0,
			"line %d: %s changed what signal %d does", line, name, i);
	call->can_fail |= can_fail;
	call->failed |= failed;
	call->succeeded |= !failed;
	if (depth > call->depth)
		call->depth = depth;
}

void guest_after(const char *name, int line, bool can_fail, bool failed)
{
	int left = errno;
	size_t depth = measure((uintptr_t)__builtin_frame_address(0));

	judge(name, line, left, can_fail, failed, depth);
}

static void *run(void *argument)
{
	tour_to_run(argument);
	return NULL;
}

void guest_run(void (*tour)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;

	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	ck_assert_ptr_ne(stack, MAP_FAILED);
	tour_to_run = tour;
	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, run, argument), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
	munmap(stack, STACK_SIZE);
}

const struct guest_call *guest_calls(void)
{
	return calls;
}
