/* SPDX-License-Identifier: Apache-2.0 */
/* The shared part of both counts, and their main: see count.h. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/count.h"
#include "tests/bench/kick.h"

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

int count_next_stop(pid_t pid)
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
	int status = count_next_stop(pid);

	if (WIFEXITED(status) && WEXITSTATUS(status) == COUNT_SKIPPED)
		return false;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
		bench_die("the child hasn't begun: status %#x", (unsigned)status);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	return true;
}

static const struct {
	const char *name;
	enum kickmsg_transport transport;
	unsigned max_publishers;
} ways[COUNT_WAYS] = {
	[COUNT_RINGS] = { "rings", KICKMSG_TRANSPORT_RINGS, 64 },
	[COUNT_SHARED_SOLE] = { "shared-sole", KICKMSG_TRANSPORT_SHARED, 1 },
	[COUNT_SHARED] = { "shared", KICKMSG_TRANSPORT_SHARED, 64 },
};

const char *count_way_name(enum count_way way)
{
	return ways[way].name;
}

static void topic_name(enum count_way way, const char *suffix, char name[64])
{
	snprintf(name, 64, "count.%s%s", ways[way].name, suffix);
}

struct kickmsg_publisher *count_publisher(
	struct kickmsg_client *client, enum count_way way, const char *suffix)
{
	struct kickmsg_topic_config config;
	char name[64];

	kickmsg_topic_config_init(&config);
	config.ring_capacity = COUNT_CAPACITY;
	config.transport = ways[way].transport;
	config.max_publishers = ways[way].max_publishers;
	topic_name(way, suffix, name);
	return kick_publisher(client, name, &config);
}

struct kickmsg_subscriber *count_subscriber(
	struct kickmsg_client *client, enum count_way way, const char *suffix)
{
	char name[64];

	topic_name(way, suffix, name);
	return kick_subscriber(client, name);
}

int main(void)
{
	int locked, calls = 0;

	main_pid = getpid();
	bench.kickmsgd = getenv("KICKMSGD") ? getenv("KICKMSGD") : KICKMSGD_PATH;
	bench_clock_init();
	atexit(clean_up);
	/* If anything hangs, our children and the broker die with us. */
	alarm(100);
	bench_broker_start(&bench);
	locked = count_locked(bench.socket_path);
	for (unsigned way = 0; way < COUNT_WAYS && calls == 0; way++)
		calls = count_calls(bench.socket_path, way);
	int waits = locked == 0 ? count_waits(bench.socket_path) : locked;
	if (locked == 1 || calls == 1 || waits == 1)
		return 1;
	return locked == COUNT_SKIPPED || calls == COUNT_SKIPPED ? COUNT_SKIPPED : 0;
}
