/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, CPUs, memory and processes of the harness. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define CALIBRATION_NS INT64_C(50000000)
#define STEP_LOOKS     10000

static double ns_per_tick = 1;
static double tick_step = 1;

int64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

double bench_ns_per_tick(void)
{
	return ns_per_tick;
}

double bench_tick_step(void)
{
	return tick_step;
}

/* Finds the shortest step that the counter makes. */
static double find_step(void)
{
	uint64_t step = UINT64_MAX;

	for (unsigned i = 0; i < STEP_LOOKS; i++) {
		uint64_t first = bench_ticks(), next;

		do
			next = bench_ticks();
		while (next == first);
		step = next - first < step ? next - first : step;
	}
	return (double)step;
}

void bench_clock_init(void)
{
	tick_step = find_step();
#if defined(__x86_64__)
	int64_t start = bench_now_ns(), end;
	uint64_t ticks = bench_ticks();

	do
		end = bench_now_ns();
	while (end - start < CALIBRATION_NS);
	ns_per_tick = (double)(end - start) / (double)(bench_ticks() - ticks);
#endif
}

unsigned bench_cpus(void)
{
	static unsigned count; /* counted before any process is pinned */
	cpu_set_t all;

	if (count == 0)
		count = sched_getaffinity(0, sizeof(all), &all) < 0 ? 1 : (unsigned)CPU_COUNT(&all);
	return count;
}

void bench_pin(unsigned cpu)
{
	cpu_set_t all, one;
	int wanted;

	/* a container may give us CPUs 4 and 7, so this takes the n-th of ours */
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	wanted = (int)cpu % CPU_COUNT(&all);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all) || wanted-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			bench_die("pin to CPU %d: %s", i, strerror(errno));
		return;
	}
}

void bench_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

pid_t bench_fork(void)
{
	pid_t parent = getpid();

	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid == 0)
		bench_die_with(parent);
	return pid;
}

void *bench_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("no memory: %s", strerror(errno));
	return memory;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

bool bench_wait_any(const pid_t *pids, unsigned count, double seconds)
{
	struct pollfd polls[8];
	int64_t end = bench_now_ns() + (int64_t)(seconds * 1e9), left;
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		polls[i].fd = (int)syscall(SYS_pidfd_open, pids[i], 0);
		polls[i].events = POLLIN;
	}
	do {
		left = end - bench_now_ns();
		any = poll(polls, count, left > 0 ? (int)(left / 1000000) + 1 : 0) > 0;
	} while (!any && left > 0);
	for (unsigned i = 0; i < count; i++)
		close(polls[i].fd);
	return any;
}

int bench_reap(pid_t pid, double seconds)
{
	int status;

	bench_wait_any(&pid, 1, seconds);
	if (waitpid(pid, &status, WNOHANG) == pid)
		return status;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}
