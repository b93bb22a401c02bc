/* SPDX-License-Identifier: Apache-2.0 */
/* The work in the processes of a stage: see stage.h. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/stage.h"

#define FALL_ASLEEP_NS  15000
#define SETTLE_TRIES    5000
#define SETTLE_PAUSE_US 1000
#define SETTLE_KEY      UINT64_C(0xfffffffff0000000) /* 128 keys, which no sender has */
#define SETTLE_END      UINT64_C(0xffffffffffff0000)

void stage_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void stage_futex_wait(_Atomic uint32_t *word, uint32_t value, int timeout_ms)
{
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };

	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

void stage_meet(struct worker *worker)
{
	struct stage *stage = worker->stage;
	uint32_t turn = atomic_load_explicit(&stage->generation, memory_order_acquire);
	unsigned spins = 0;

	if (atomic_fetch_add(&stage->arrived, 1) + 1 == stage->workers) {
		atomic_store(&stage->arrived, 0);
		atomic_store_explicit(&stage->generation, turn + 1, memory_order_release);
		return;
	}
	while (atomic_load_explicit(&stage->generation, memory_order_acquire) == turn)
		if (++spins > worker->patience) {
			stage_look_for_end(worker);
			usleep(50); /* the other may be in open, or need this CPU */
		}
}

static __attribute__((noreturn)) void quit(struct worker *worker)
{
	if (worker->adapter->close)
		worker->adapter->close(worker);
	exit(0);
}

void stage_look_for_end(struct worker *worker)
{
	if (atomic_load_explicit(&worker->stage->over, memory_order_relaxed))
		quit(worker);
}

void stage_refuse(struct worker *worker, const char *format, ...)
{
	char reason[sizeof(worker->stage->reason)];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	memcpy(worker->stage->reason, reason, sizeof(reason));
	quit(worker);
}

void stage_wrong(struct worker *worker, const void *data, uint64_t key)
{
	const uint64_t *words = data;

	bench_die("%s, %zu bytes: a message is wrong: key %#llx where %#llx is due",
		worker->adapter->name, worker->shape.size, (unsigned long long)words[0],
		(unsigned long long)key);
}

/* The state of a process: the letter behind the name in its /proc/PID/stat. */
static char state_of(pid_t pid)
{
	char path[64], text[256], *at = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file && fgets(text, sizeof(text), file))
		at = strrchr(text, ')');
	if (file)
		fclose(file);
	return at && strlen(at) > 2 ? at[2] : '?';
}

void stage_wait_asleep(struct worker *worker)
{
	for (unsigned i = worker->shape.senders; i < worker->stage->workers; i++)
		while (state_of((pid_t)atomic_load(&worker->stage->pids[i])) != 'S')
			usleep(20); /* after a yield it may not run for seconds */
}

uint64_t stage_let_sleep(void)
{
	uint64_t start = bench_ticks(), now;

	do
		now = bench_ticks();
	while ((double)(now - start) * bench_ns_per_tick() < FALL_ASLEEP_NS);
	return now;
}

static unsigned sending_channel(const struct worker *worker)
{
	return worker->shape.kind == SHAPE_PING_PONG || worker->shape.apart ? worker->index : 0;
}

static unsigned receiving_channel(const struct worker *worker)
{
	if (worker->shape.kind == SHAPE_PING_PONG)
		return 1 - worker->index;
	return worker->shape.apart ? worker->index - worker->shape.senders : 0;
}

static bool goes_both_ways(const struct worker *worker)
{
	return worker->shape.kind == SHAPE_PING_PONG || worker->shape.kind == SHAPE_CALLS;
}

static bool sends(const struct worker *worker)
{
	return worker->index < worker->shape.senders || goes_both_ways(worker);
}

static bool receives(const struct worker *worker)
{
	return worker->index >= worker->shape.senders || goes_both_ways(worker);
}

/*
 * Systems whose first messages may get lost: one sender after the other sends until each end has
 * had one of its messages, then an end mark, and the ends throw away what comes before the mark.
 */
static void settle_send(struct worker *worker, _Atomic uint32_t *settled, uint32_t wanted)
{
	for (unsigned i = 0; atomic_load(settled) < wanted; i++) {
		if (i == SETTLE_TRIES)
			stage_refuse(worker, "nothing arrives");
		worker->adapter->send(worker->sender, worker->shape.size, SETTLE_KEY);
		usleep(SETTLE_PAUSE_US);
	}
	worker->adapter->send(worker->sender, worker->shape.size, SETTLE_END);
}

/* Looks at one end. True: it had a message. */
static bool settle_look(struct worker *worker, unsigned end, bool *ret_last)
{
	const uint64_t *words = worker->adapter->take(
		worker->receivers[end], worker->shape.size, false);

	if (!words)
		return false;
	*ret_last = words[0] == SETTLE_END;
	worker->adapter->release(worker->receivers[end]);
	return true;
}

static void settle_receive(struct worker *worker, _Atomic uint32_t *settled)
{
	bool had[STAGE_MAX_ENDS] = { false }, last[STAGE_MAX_ENDS] = { false };
	unsigned left = worker->shape.ends;

	while (left > 0) {
		bool any = false;

		for (unsigned end = 0; end < worker->shape.ends; end++) {
			if (last[end] || !settle_look(worker, end, &last[end]))
				continue;
			any = true;
			if (!had[end])
				atomic_fetch_add(settled, 1);
			had[end] = true;
			left -= last[end];
		}
		if (!any)
			usleep(SETTLE_PAUSE_US / 10);
	}
}

static void settle(struct worker *worker)
{
	bool both = worker->shape.kind == SHAPE_PING_PONG;
	unsigned senders = both ? 2 : worker->shape.senders;
	uint32_t wanted = both ? 1 : worker->shape.receivers * worker->shape.ends;

	for (unsigned sender = 0; worker->adapter->needs_settling && sender < senders; sender++) {
		_Atomic uint32_t *settled = &worker->stage->receivers_done;

		if (worker->index == sender)
			settle_send(worker, settled, wanted);
		else if (both ? worker->index != sender : receives(worker))
			settle_receive(worker, settled);
		stage_meet(worker);
		if (worker->index == 0)
			atomic_store(settled, 0);
		stage_meet(worker);
	}
}

static void open_all(struct worker *worker)
{
	const struct adapter *adapter = worker->adapter;

	if (sends(worker) && adapter->open_sender)
		worker->sender = adapter->open_sender(worker, sending_channel(worker));
	stage_meet(worker);
	for (unsigned end = 0;
		adapter->open_receiver && receives(worker) && end < worker->shape.ends; end++)
		worker->receivers[end] = adapter->open_receiver(
			worker, receiving_channel(worker), end);
	stage_meet(worker);
	settle(worker);
}

/* CPUs: senders on the even ones of ours, receivers on the odd ones. */
static void take_place(const struct worker *worker)
{
	unsigned cpus = bench_cpus() & ~1u, senders = worker->shape.senders;

	if (cpus < 2)
		bench_pin(0);
	else if (worker->index < senders)
		bench_pin(2 * worker->index % cpus);
	else
		bench_pin((2 * (worker->index - senders) + 1) % cpus);
}

void stage_worker(struct worker *worker)
{
	struct stage *stage = worker->stage;
	uint32_t turn = 0;

	/* a library's threads, which are made in open, may run wherever there is room */
	if (!worker->adapter->sleeps)
		take_place(worker);
	worker->patience = stage->workers <= bench_cpus() ? 100000 : 500;
	atomic_store(&stage->pids[worker->index], (uint32_t)getpid());
	open_all(worker);
	for (;;) {
		if (atomic_fetch_add(&stage->finished, 1) + 1 == stage->workers)
			stage_futex_wake(&stage->finished);
		while (atomic_load(&stage->turn) == turn)
			stage_futex_wait(&stage->turn, turn, -1);
		turn = atomic_load(&stage->turn);
		if (atomic_load(&stage->over))
			break;
		stage_meet(worker);
		worker->adapter->round(worker, stage->count / 8 + 1);
		histogram_clear(&worker->times);
		stage_meet(worker);
		if (worker->index == 0)
			histogram_clear(&stage->times);
		stage_meet(worker);
		worker->adapter->round(worker, stage->count);
		if (worker->times.count > 0)
			histogram_merge(&stage->times, &worker->times);
		stage->verified[worker->index] = worker->verified;
	}
	quit(worker);
}
