/* SPDX-License-Identifier: Apache-2.0 */
/* System calls of a polling publisher and a polling subscriber: see count.h. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/count.h"
#include "tests/bench/kick.h"

#define MESSAGES 2000
#define WINDOW   16 /* messages on their way: no loss */
#define SUFFIX   ".calls"

static const char *count_socket;
static enum count_way count_way;

struct exchange {
	_Atomic uint64_t received;
	_Atomic uint32_t ready;
};

static void polling_publisher(struct exchange *exchange)
{
	struct kickmsg_client *client = kick_client(count_socket);
	struct kickmsg_publisher *publisher = count_publisher(client, count_way, SUFFIX);
	uint64_t words[8];

	atomic_store(&exchange->ready, 1);
	while (atomic_load(&exchange->ready) != 2)
		usleep(100);
	count_be_traced();
	syscall(SYS_getppid);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		message_write(words, sizeof(words), i);
		if (kickmsg_send(publisher, words, sizeof(words)) < 0)
			_exit(1);
		while (i + 1 - atomic_load(&exchange->received) > WINDOW)
			;
	}
	while (atomic_load(&exchange->received) < MESSAGES)
		;
	syscall(SYS_getppid);
	kickmsg_client_free(client);
	exit(0);
}

static void polling_subscriber(struct exchange *exchange)
{
	struct kickmsg_client *client = kick_client(count_socket);
	struct kickmsg_subscriber *subscriber;

	while (atomic_load(&exchange->ready) != 1)
		usleep(100);
	subscriber = count_subscriber(client, count_way, SUFFIX);
	atomic_store(&exchange->ready, 2);
	count_be_traced();
	syscall(SYS_getppid);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		struct kickmsg_sample sample;
		int r;

		while ((r = kickmsg_try_receive(subscriber, &sample)) == -EAGAIN)
			;
		if (r < 0 || !message_good(sample.data, sample.len, i) ||
			kickmsg_sample_release(&sample) < 0)
			_exit(1);
		atomic_store(&exchange->received, i + 1);
	}
	syscall(SYS_getppid);
	kickmsg_client_free(client);
	exit(0);
}

struct tracee {
	pid_t pid;
	unsigned marks; /* getppid() calls that were seen */
	unsigned calls; /* other calls between the marks */
	long first;     /* the first of the other calls */
	bool ended;
	int status;
};

/* Takes a stop at a call's entry: which call is it? */
static void note_call(struct tracee *tracee)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, (void *)sizeof(info), &info) < 0)
		bench_die("PTRACE_GET_SYSCALL_INFO: %s", strerror(errno));
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_getppid)
		tracee->marks++;
	else if (tracee->marks == 1 && tracee->calls++ == 0)
		tracee->first = (long)info.entry.nr;
}

static void trace_calls(struct tracee *tracees)
{
	while (!tracees[0].ended || !tracees[1].ended) {
		int status, deliver = 0;
		pid_t pid = waitpid(-1, &status, __WALL);
		struct tracee *tracee = pid == tracees[0].pid ? &tracees[0] : &tracees[1];

		if (pid < 0)
			bench_die("waitpid: %s", strerror(errno));
		if (pid != tracee->pid)
			bench_die("the broker has ended");
		if (!WIFSTOPPED(status)) {
			tracee->ended = true;
			tracee->status = status;
			/* the other process would wait for this one for ever */
			if (status != 0)
				kill(tracees[tracee == tracees].pid, SIGKILL);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			note_call(tracee);
		else
			deliver = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, pid, NULL, deliver);
	}
}

int count_calls(const char *socket_path, enum count_way way)
{
	static void (*const sides[])(
		struct exchange * exchange) = { polling_publisher, polling_subscriber };
	static const char *const names[] = { "publisher", "subscriber" };
	struct exchange *exchange = bench_shared(sizeof(*exchange));
	struct tracee tracees[2] = { 0 };
	pid_t parent = getpid();
	bool skipped = false;
	int bad = 0;

	count_socket = socket_path;
	count_way = way;
	fflush(NULL);
	for (unsigned i = 0; i < 2; i++) {
		tracees[i].pid = fork();
		if (tracees[i].pid == 0) {
			bench_die_with(parent);
			sides[i](exchange);
		}
		if (tracees[i].pid < 0)
			bench_die("fork: %s", strerror(errno));
	}
	for (unsigned i = 0; i < 2; i++)
		skipped = !count_traced(tracees[i].pid) || skipped;
	if (skipped)
		return COUNT_SKIPPED;
	for (unsigned i = 0; i < 2; i++)
		ptrace(PTRACE_SYSCALL, tracees[i].pid, NULL, NULL);
	trace_calls(tracees);
	for (unsigned i = 0; i < 2; i++) {
		/* the first commit to a fresh shared ring rings the bell, and marks it (bell.h) */
		bool may_ring = sides[i] == polling_publisher && way != COUNT_RINGS;
		bool good = tracees[i].status == 0 && tracees[i].marks == 2 &&
			    (tracees[i].calls == 0 || (may_ring && tracees[i].calls == 1 &&
							      tracees[i].first == SYS_futex));

		printf("%s: polling %s, %d messages: %u system calls", count_way_name(way),
			names[i], MESSAGES, tracees[i].calls);
		if (tracees[i].calls > 0)
			printf(", the first is number %ld", tracees[i].first);
		printf("%s\n", good ? "" : ": WRONG");
		bad |= !good;
	}
	return bad;
}
