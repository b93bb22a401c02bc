/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor: forks the stages of a set, gives each its turns, ends them. See conduct.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/conduct.h"
#include "tests/bench/floor.h"

#define PROBE_ROUNDS      3
#define PROBE_ITERATIONS  1000
#define OPEN_SECONDS      30.0
#define TURN_SECONDS      30.0
#define PEER_OPEN_SECONDS 6.0
#define PEER_TURN_SECONDS 2.0
#define LOOK_MS           100
#define LEAST_COUNT       16
#define LEAST_FLOOD       4096 /* far more messages than a ring of ours keeps */
#define MOST_COUNT        2000000

static unsigned workers_of(const struct shape *shape)
{
	return shape->senders + shape->receivers;
}

static void fork_workers(struct playing *playing, const struct bench *bench, const char *name)
{
	static unsigned serial;
	pid_t parent = getpid();

	serial++;
	fflush(NULL);
	for (unsigned i = 0; i < playing->stage->workers; i++) {
		playing->pids[i] = fork();
		if (playing->pids[i] < 0)
			bench_die("fork: %s", strerror(errno));
		if (playing->pids[i] == 0) {
			struct worker *worker = calloc(1, sizeof(*worker));

			if (!worker)
				bench_die("no memory");
			worker->adapter = playing->adapter;
			worker->stage = playing->stage;
			worker->shape = playing->shape;
			worker->socket_path = bench->socket_path;
			worker->dir = bench->dir;
			worker->index = i;
			snprintf(worker->name, sizeof(worker->name), "%s-%u-%d", name, serial,
				(int)parent);
			bench_die_with(parent);
			stage_worker(worker);
		}
	}
}

/* Are all processes of the stage still there? */
static bool all_alive(const struct playing *playing, const char **ret_how)
{
	for (unsigned i = 0; i < playing->stage->workers; i++) {
		siginfo_t info = { 0 };

		/* playing_end() reaps the process */
		if (waitid(P_PID, (id_t)playing->pids[i], &info, WEXITED | WNOHANG | WNOWAIT) ==
				0 &&
			info.si_pid == playing->pids[i]) {
			*ret_how = info.si_code == CLD_EXITED && info.si_status == 0
					   ? playing->stage->reason
					   : "failed";
			return false;
		}
	}
	return true;
}

/* ns for which workers were ready to run and had no CPU, in all; 0 where the kernel doesn't say. */
static int64_t waited_for_cpu(const struct playing *playing)
{
	int64_t all = 0;

	for (unsigned i = 0; i < playing->stage->workers; i++) {
		long long ran, waited;
		char path[64];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)playing->pids[i]);
		file = fopen(path, "re");
		if (file && fscanf(file, "%lld %lld", &ran, &waited) == 2)
			all += waited;
		if (file)
			fclose(file);
	}
	return all;
}

/* Called when the time is over. Has the machine let the workers wait for a CPU for most of it? Then
 * they may still come to the end: on a busy machine 48 sleepers need minutes for a few messages.
 * The first call (*waited is -1) only begins to count, which would disturb a turn that is timed. */
static bool are_held_up(const struct playing *playing, double seconds, int64_t *waited)
{
	int64_t before = *waited;

	*waited = waited_for_cpu(playing);
	return !playing->adapter->peer &&
	       (before < 0 || (double)(*waited - before) > seconds * 1e9 / 2);
}

/* Waits until all workers have finished. False: they won't, and .failure says why. */
static bool wait_finished(struct playing *playing, double seconds)
{
	struct stage *stage = playing->stage;
	int64_t end = bench_now_ns() + (int64_t)(seconds * 1e9), waited = -1;
	uint32_t seen;

	while ((seen = atomic_load(&stage->finished)) < stage->workers) {
		const char *how;

		stage_futex_wait(&stage->finished, seen, LOOK_MS);
		if (!all_alive(playing, &how)) {
			snprintf(playing->failure, sizeof(playing->failure), "%s", how);
			return false;
		}
		if (bench_now_ns() > end) {
			if (are_held_up(playing, seconds, &waited)) {
				end = bench_now_ns() + (int64_t)(seconds * 1e9);
				continue;
			}
			snprintf(playing->failure, sizeof(playing->failure),
				"doesn't come to an end within %.0f s", seconds);
			return false;
		}
	}
	return true;
}

static void free_stage(struct playing *playing)
{
	munmap(playing->stage, sizeof(*playing->stage) + playing->stage->arena_size);
	playing->stage = NULL;
}

bool playing_begin(struct playing *playing, const struct bench *bench,
	const struct adapter *adapter, const struct shape *shape, const char *name)
{
	size_t arena = adapter->arena_size ? adapter->arena_size(shape) : 4096;

	*playing = (struct playing){ .adapter = adapter, .shape = *shape };
	if (shape->kind == SHAPE_COPY)
		arena = 2 * shape->size;
	playing->stage = bench_shared(sizeof(*playing->stage) + arena);
	playing->stage->arena_size = arena;
	playing->stage->workers = workers_of(shape);
	fork_workers(playing, bench, name);
	if (wait_finished(playing, adapter->peer ? PEER_OPEN_SECONDS : OPEN_SECONDS))
		return true;
	playing_end(playing);
	return false;
}

void playing_end(struct playing *playing)
{
	if (!playing->stage)
		return;
	atomic_store(&playing->stage->over, 1);
	atomic_fetch_add(&playing->stage->turn, 1);
	stage_futex_wake(&playing->stage->turn);
	for (unsigned i = 0; i < playing->stage->workers; i++)
		bench_reap(
			playing->pids[i], playing->failure[0] && !playing->adapter->peer ? 0.2 : 5);
	for (unsigned i = 0; i < playing->stage->workers; i++)
		playing->verified += playing->stage->verified[i];
	free_stage(playing);
}

/* Messages a second, in millions, of the tallies from `first` to `last` - 1. */
static double rate_of(const struct stage *stage, unsigned first, unsigned last)
{
	uint64_t start = UINT64_MAX, end = 0, messages = 0;

	for (unsigned i = first; i < last; i++) {
		const struct tally *tally = &stage->tallies[i];

		if (tally->messages == 0)
			continue;
		start = tally->start < start ? tally->start : start;
		end = tally->end > end ? tally->end : end;
		messages += tally->messages;
	}
	return end > start ? (double)messages * 1e3 / ((double)(end - start) * bench_ns_per_tick())
			   : 0;
}

static uint64_t messages_of(const struct stage *stage, unsigned first, unsigned last)
{
	uint64_t messages = 0;

	for (unsigned i = first; i < last; i++)
		messages += stage->tallies[i].messages;
	return messages;
}

/* The messages that a flood has lost. A message that a peer brings too late for one turn counts
 * in the next one. */
static uint64_t lost_of(const struct playing *playing)
{
	uint64_t lost = 0;

	if (!playing->adapter->lost)
		return playing->got < playing->due ? playing->due - playing->got : 0;
	for (unsigned i = playing->shape.senders; i < playing->stage->workers; i++)
		lost += playing->stage->tallies[i].lost;
	return lost;
}

static void collect(struct playing *playing)
{
	const struct stage *stage = playing->stage;
	double ns = histogram_middle(&stage->times, bench_tick_step()) * bench_ns_per_tick();
	unsigned senders = playing->shape.senders;

	playing->arrived = rate_of(stage, senders, stage->workers);
	switch (playing->shape.kind) {
	case SHAPE_PING_PONG:
		playing->value = ns / 2;
		break;
	case SHAPE_STREAM:
		playing->value = playing->arrived;
		break;
	case SHAPE_FLOOD:
		playing->value = rate_of(stage, 0, senders);
		playing->due = messages_of(stage, 0, senders) * playing->shape.ends *
			       (playing->shape.apart ? 1 : playing->shape.receivers);
		playing->got = messages_of(stage, senders, stage->workers);
		playing->lost = lost_of(playing);
		break;
	case SHAPE_CALLS:
		playing->value = rate_of(stage, 0, senders);
		break;
	case SHAPE_COPY:
		playing->value = rate_of(stage, 0, 1) * (double)playing->shape.size / 1e3;
		break;
	case SHAPE_BURST:
	case SHAPE_WAKE:
	case SHAPE_PACED:
		playing->value = ns;
		break;
	}
}

bool playing_turn(struct playing *playing, unsigned count)
{
	struct stage *stage = playing->stage;

	stage->count = count;
	atomic_store(&stage->finished, 0);
	atomic_fetch_add(&stage->turn, 1);
	stage_futex_wake(&stage->turn);
	if (!wait_finished(playing, playing->adapter->peer ? PEER_TURN_SECONDS : TURN_SECONDS)) {
		playing_end(playing);
		return false;
	}
	collect(playing);
	return true;
}

bool playing_calibrate(struct playing *playing, double seconds)
{
	uint64_t count = LEAST_COUNT, most = MOST_COUNT;
	double took = 0;

	for (;;) {
		int64_t start = bench_now_ns();

		if (!playing_turn(playing, (unsigned)count))
			return false;
		took = (double)(bench_now_ns() - start) / 1e9;
		if (took > seconds / 4 || count >= most)
			break;
		count *= 4;
	}
	count = (uint64_t)((double)count * seconds / took) + 1;
	if (count > most)
		count = most;
	if (count < LEAST_COUNT && playing->shape.kind != SHAPE_PING_PONG)
		count = LEAST_COUNT;
	if (count < LEAST_FLOOD && playing->shape.kind == SHAPE_FLOOD && !playing->adapter->peer)
		count = LEAST_FLOOD;
	if (count < 16 * playing->shape.capacity && playing->shape.kind == SHAPE_FLOOD)
		count = 16 * playing->shape.capacity; /* the ring's end is met many times */
	playing->count = (unsigned)count;
	return true;
}

double playing_probe(struct playing *line)
{
	double values[PROBE_ROUNDS];

	for (unsigned i = 0; i < PROBE_ROUNDS; i++) {
		if (!playing_turn(line, PROBE_ITERATIONS))
			bench_die("the line's probe %s", line->failure);
		values[i] = line->value;
	}
	return bench_median(values, PROBE_ROUNDS);
}

void playing_begin_line(struct playing *line, const struct bench *bench)
{
	static const struct shape shape = {
		.kind = SHAPE_PING_PONG,
		.size = 8,
		.senders = 1,
		.receivers = 1,
		.ends = 1,
	};

	if (!playing_begin(line, bench, &floor_line, &shape, "probe"))
		bench_die("the line's probe %s", line->failure);
}

double stage_probe(const struct bench *bench)
{
	struct playing line;
	double ns;

	playing_begin_line(&line, bench);
	ns = playing_probe(&line);
	playing_end(&line);
	return ns;
}

bool stage_probes_differ(double a, double b)
{
	return (a < b ? b / a : a / b) - 1 > PROBE_DIFFERENCE;
}
