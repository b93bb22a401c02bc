/* SPDX-License-Identifier: Apache-2.0 */
/* Locked instructions of a send and of a receive, and the main of both counts: see count.h. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "count.h"
#include "kick.h"

#define COUNT_SKIPPED 77
#define MAX_LOCKED    2
#define MAX_STEPS     100000
#define TOPIC         "count"

static struct bench bench;
static pid_t main_pid;

void bench_die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "count-locked: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void clean_up(void)
{
	if (getpid() == main_pid)
		bench_broker_stop(&bench);
}

/* Waits for the tracee's next stop; a signal that isn't a stop of ours is its end. */
static int next_stop(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			bench_die("waitpid: %s", strerror(errno));
	return status;
}

void count_be_traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
		fprintf(stderr, "count-locked: ptrace isn't allowed here: %s\n", strerror(errno));
		_exit(COUNT_SKIPPED);
	}
	raise(SIGSTOP);
}

bool count_traced(pid_t pid)
{
	int status = next_stop(pid);

	if (WIFEXITED(status) && WEXITSTATUS(status) == COUNT_SKIPPED)
		return false;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
		bench_die("the child hasn't begun: status %#x", (unsigned)status);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	return true;
}

/* --- locked instructions --------------------------------------------------------------------------- */

struct hot_path {
	struct kickmsg_client *client;
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
}

static void do_fill(struct hot_path *path)
{
	for (unsigned i = 0; i < 64; i++)
		do_send(path);
}

static const struct step {
	const char *what;
	void (*before)(struct hot_path *path);
	void (*counted)(struct hot_path *path);
	void (*after)(struct hot_path *path);
	unsigned at_least, at_most;
} steps[] = {
	/* the counter itself: both kinds, once each */
	{ "a locked add and an exchange", NULL, do_locked, NULL, 2, 2 },
	{ "send to one subscriber", NULL, do_send, do_receive, 1, MAX_LOCKED },
	{ "loan + publish to one subscriber", NULL, do_publish, do_receive, 1, MAX_LOCKED },
	{ "receive + release", do_send, do_receive, NULL, 1, MAX_LOCKED },
	{ "receive_copy", do_send, do_receive_copy, NULL, 1, MAX_LOCKED },
	/* an eviction takes the head and drops a reference on top; said, and bounded by that */
	{ "send to a full ring", do_fill, do_send, NULL, 1, MAX_LOCKED + 2 },
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

#if defined(__x86_64__)

#define MARK() __asm__ volatile("int3" ::: "memory")

static void stepped_child(void)
{
	struct hot_path path = { 0 };

	bench_die_with(main_pid);
	path.client = kick_client(bench.socket_path);
	path.publisher = kick_publisher(path.client, COUNT_TOPIC, NULL);
	path.subscriber = kick_subscriber(path.client, TOPIC);
	for (unsigned i = 0; i < 1000; i++) { /* also binds every symbol */
		do_send(&path);
		do_receive(&path);
		do_publish(&path);
		do_receive_copy(&path);
	}
	count_be_traced();
	for (size_t i = 0; i < STEP_COUNT; i++) {
		if (steps[i].before)
			steps[i].before(&path);
		MARK();
		steps[i].counted(&path);
		MARK();
		if (path.result < 0)
			bench_die("%s: %s", steps[i].what, kickmsg_strerror(path.result));
		if (steps[i].after)
			steps[i].after(&path);
	}
	kickmsg_client_free(path.client);
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
	/* xchg with memory locks without a prefix */
	return lock || ((code[at] == 0x86 || code[at] == 0x87) && code[at + 1] < 0xc0);
}

/* Steps the child from one mark to the next. */
static unsigned count_locked(pid_t pid, const char *what, unsigned *ret_steps)
{
	unsigned locked = 0, count = 0;
	int status;

	ptrace(PTRACE_CONT, pid, NULL, NULL);
	status = next_stop(pid);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		bench_die("%s: the child never began: status %#x", what, (unsigned)status);
	for (;; count++) {
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
		if (is_locked(code)) {
			locked++;
			printf("    locked at %#llx\n", registers.rip);
		}
		if (count > MAX_STEPS)
			bench_die("%s: no end after %d instructions", what, MAX_STEPS);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			bench_die("PTRACE_SINGLESTEP: %s", strerror(errno));
		status = next_stop(pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			bench_die("%s: the child ended: status %#x", what, (unsigned)status);
	}
	/* over the mark */
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	next_stop(pid);
	*ret_steps = count;
	return locked;
}

static int check_locked(void)
{
	pid_t pid;
	int bad = 0;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		stepped_child();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (!count_traced(pid))
		return COUNT_SKIPPED;
	for (size_t i = 0; i < STEP_COUNT; i++) {
		unsigned count = 0, locked = count_locked(pid, steps[i].what, &count);
		bool good = locked >= steps[i].at_least && locked <= steps[i].at_most;

		printf("%s: %u locked of %u instructions, at most %u%s\n", steps[i].what, locked,
			count, steps[i].at_most, good ? "" : ": WRONG");
		bad |= !good;
	}
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return bench_reap(pid, 5) == 0 ? bad : 1;
}

#else

static int check_locked(void)
{
	(void)steps;
	fprintf(stderr, "count-locked: only x86-64 instructions are decoded here\n");
	return COUNT_SKIPPED;
}

#endif

int main(void)
{
	int locked, calls;

	main_pid = getpid();
	bench.kickmsgd = getenv("KICKMSGD") ? getenv("KICKMSGD") : KICKMSGD_PATH;
	bench_clock_init();
	atexit(clean_up);
	alarm(100); /* whatever hangs: our children and the broker die with us */
	bench_broker_start(&bench);
	locked = check_locked();
	calls = count_calls(bench.socket_path);
	if (locked == 1 || calls == 1)
		return 1;
	return locked == COUNT_SKIPPED || calls == COUNT_SKIPPED ? COUNT_SKIPPED : 0;
}
