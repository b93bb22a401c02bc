/* SPDX-License-Identifier: Apache-2.0 */
/* Locked instructions of a send and of a receive: see count.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/count.h"
#include "tests/bench/kick.h"

#define MAX_LOCKED 2
#define MAX_STEPS  100000

struct hot_path {
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	void *payload;
	uint64_t words[8];
	int result;
};

static void do_send(struct hot_path *path)
{
	path->result = (int)kickmsg_send(path->publisher, path->words, sizeof(path->words));
}

static void do_publish(struct hot_path *path)
{
	path->result = kickmsg_loan(path->publisher, sizeof(path->words), &path->payload);
	if (path->result == 0)
		path->result = kickmsg_publish(path->publisher, path->payload, sizeof(path->words));
}

static void do_receive(struct hot_path *path)
{
	path->result = kickmsg_try_receive(path->subscriber, &path->sample);
	if (path->result == 0)
		path->result = kickmsg_sample_release(&path->sample);
}

static void do_receive_copy(struct hot_path *path)
{
	path->result = (int)kickmsg_try_receive_copy(
		path->subscriber, path->words, sizeof(path->words));
}

static void do_locked(struct hot_path *path)
{
	static _Atomic int word;

	atomic_fetch_add(&word, 1);
	atomic_exchange(&word, path->result);
	atomic_thread_fence(memory_order_seq_cst);
}

static void do_fill(struct hot_path *path)
{
	for (unsigned i = 0; i < COUNT_CAPACITY; i++)
		do_send(path);
}

static const struct step {
	enum count_way way;
	const char *what;
	void (*before)(struct hot_path *path);
	void (*counted)(struct hot_path *path);
	void (*after)(struct hot_path *path);
	unsigned at_least, at_most;
} steps[] = {
	/* a test of the counter: each kind of locked instruction once */
	{ COUNT_RINGS, "a locked add, an exchange, a fence", NULL, do_locked, NULL, 3, 3 },
	{ COUNT_RINGS, "send to one subscriber", NULL, do_send, do_receive, 1, MAX_LOCKED },
	{ COUNT_RINGS, "loan + publish to one subscriber", NULL, do_publish, do_receive, 1,
		MAX_LOCKED },
	{ COUNT_RINGS, "receive + release", do_send, do_receive, NULL, 1, MAX_LOCKED },
	{ COUNT_RINGS, "receive_copy", do_send, do_receive_copy, NULL, 1, MAX_LOCKED },
	/* an eviction also takes the head and drops a reference, so its bound is higher by 2 */
	{ COUNT_RINGS, "send to a full ring", do_fill, do_send, NULL, 1, MAX_LOCKED + 2 },
	{ COUNT_SHARED_SOLE, "send", NULL, do_send, do_receive, 1, 1 },
	{ COUNT_SHARED_SOLE, "receive + release", do_send, do_receive, NULL, 0, 0 },
	{ COUNT_SHARED_SOLE, "receive_copy", do_send, do_receive_copy, NULL, 0, 0 },
	{ COUNT_SHARED_SOLE, "send over what is unread", do_fill, do_send, NULL, 1, 1 },
	{ COUNT_SHARED, "send, privileged", NULL, do_send, do_receive, 1, 1 },
	{ COUNT_SHARED, "receive + release", do_send, do_receive, NULL, 0, 0 },
	{ COUNT_SHARED, "receive_copy", do_send, do_receive_copy, NULL, 0, 0 },
	{ COUNT_SHARED, "send over what is unread", do_fill, do_send, NULL, 1, 1 },
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

#if defined(__x86_64__)

/* Makes the first calls, which bind every symbol. Loans come first, since they leave a shared
 * ring's cells naming slots. */
static void warm_up(struct hot_path *path)
{
	for (unsigned i = 0; i < 1000; i++) {
		do_publish(path);
		do_receive_copy(path);
	}
	for (unsigned i = 0; i < 1000; i++) {
		do_send(path);
		do_receive(path);
	}
}

static void stepped_child(const char *socket_path, pid_t parent)
{
	static struct hot_path paths[COUNT_WAYS];
	struct kickmsg_client *client;

	bench_die_with(parent);
	client = kick_client(socket_path);
	for (unsigned way = 0; way < COUNT_WAYS; way++) {
		paths[way].publisher = count_publisher(client, way, "");
		paths[way].subscriber = count_subscriber(client, way, "");
		warm_up(&paths[way]);
	}
	count_be_traced();
	for (size_t i = 0; i < STEP_COUNT; i++) {
		struct hot_path *path = &paths[steps[i].way];

		if (steps[i].before)
			steps[i].before(path);
		COUNT_MARK();
		steps[i].counted(path);
		COUNT_MARK();
		if (path->result < 0)
			bench_die("%s: %s", steps[i].what, kickmsg_strerror(path->result));
		if (steps[i].after)
			steps[i].after(path);
	}
	kickmsg_client_free(client);
	exit(0);
}

/* Is the instruction in code[15] locked? */
static bool is_locked(const unsigned char *code)
{
	unsigned at = 0;
	bool lock = false;

	while (at < 14 && strchr("\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65", code[at])) {
		lock = lock || code[at] == 0xf0;
		at++;
	}
	if (at < 13 && (code[at] & 0xf0) == 0x40)
		at++; /* REX */
	/* a full fence is mfence, or a locked instruction */
	if (at < 13 && code[at] == 0x0f && code[at + 1] == 0xae && code[at + 2] == 0xf0)
		return true;
	/* xchg with memory locks without a prefix */
	return lock || ((code[at] == 0x86 || code[at] == 0x87) && code[at + 1] < 0xc0);
}

struct count_steps count_steps(pid_t pid, const char *what)
{
	struct count_steps counted = { 0 };
	int status;

	ptrace(PTRACE_CONT, pid, NULL, NULL);
	status = count_next_stop(pid);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		bench_die("%s: the child never began: status %#x", what, (unsigned)status);
	for (;; counted.instructions++) {
		struct user_regs_struct registers;
		unsigned char code[16] = { 0 };
		struct iovec here = { code, sizeof(code) - 1 }, there = { NULL, sizeof(code) - 1 };

		if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0)
			bench_die("PTRACE_GETREGS: %s", strerror(errno));
		there.iov_base = (void *)registers.rip;
		if (process_vm_readv(pid, &here, 1, &there, 1, 0) <= 0)
			bench_die("no code at %#llx: %s", registers.rip, strerror(errno));
		if (code[0] == 0xcc)
			break;
		counted.locked += is_locked(code);
		counted.calls += code[0] == 0x0f && code[1] == 0x05;
		if (counted.instructions > MAX_STEPS)
			bench_die("%s: no end after %d instructions", what, MAX_STEPS);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			bench_die("PTRACE_SINGLESTEP: %s", strerror(errno));
		status = count_next_stop(pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			bench_die("%s: the child ended: status %#x", what, (unsigned)status);
	}
	/* the child goes on over the mark */
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	count_next_stop(pid);
	return counted;
}

int count_locked(const char *socket_path)
{
	pid_t parent = getpid(), pid;
	int bad = 0;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		stepped_child(socket_path, parent);
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (!count_traced(pid))
		return COUNT_SKIPPED;
	for (size_t i = 0; i < STEP_COUNT; i++) {
		struct count_steps counted = count_steps(pid, steps[i].what);
		unsigned locked = counted.locked;
		bool good = locked >= steps[i].at_least && locked <= steps[i].at_most;

		printf("%s: %s: %u locked of %u instructions, %u to %u%s\n",
			count_way_name(steps[i].way), steps[i].what, locked, counted.instructions,
			steps[i].at_least, steps[i].at_most, good ? "" : ": WRONG");
		bad |= !good;
	}
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return bench_reap(pid, 5) == 0 ? bad : 1;
}

#else

struct count_steps count_steps(pid_t pid, const char *what)
{
	bench_die("%s: only x86-64 instructions are decoded here", what);
}

int count_locked(const char *socket_path)
{
	(void)steps;
	fprintf(stderr, "count-locked: only x86-64 instructions are decoded here\n");
	return COUNT_SKIPPED;
}

#endif
