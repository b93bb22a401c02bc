/* SPDX-License-Identifier: Apache-2.0 */
/* Two pinned processes that run interleaved rounds: see pair.h. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"

#define PROBE_ROUNDS     9
#define PROBE_ITERATIONS 2000
#define PROBE_DIFFERENCE 0.15
#define ROW_SECONDS      60.0

void pair_meet(struct pair_worker *worker)
{
	_Atomic uint64_t *arrived = worker->board->arrived;
	unsigned mine = worker->side * PAIR_APART / 8, other = (1 - worker->side) * PAIR_APART / 8;
	uint64_t turn = ++worker->arrivals;
	unsigned spins = 0;

	atomic_store_explicit(&arrived[mine], turn, memory_order_release);
	while (atomic_load_explicit(&arrived[other], memory_order_acquire) < turn)
		if (++spins % 4096 == 0)
			usleep(50); /* the other may be in open(), which needs the broker to run */
}

bool __attribute__((noinline)) pair_message_check(const void *data, size_t size, uint64_t sequence)
{
	const uint64_t *words = data;
	uint64_t wrong = 0;

	for (size_t i = 0; i < size / 8; i++)
		wrong |= words[i] ^ (sequence + i);
	return wrong == 0;
}

void __attribute__((noinline)) pair_bulk_write(void *data, size_t size, uint64_t sequence)
{
	pair_message_write(data, size, sequence);
}

static double worker_probe(struct pair_worker *worker)
{
	static struct histogram times;
	double values[PROBE_ROUNDS];

	for (unsigned i = 0; i < PROBE_ROUNDS; i++) {
		histogram_clear(&times);
		pair_meet(worker);
		pair_line.round(worker, NULL, PROBE_ITERATIONS, &times, &values[i]);
		values[i] = histogram_quantile(&times, 0.5) * bench_ns_per_tick() / 2;
	}
	return bench_median(values, PROBE_ROUNDS);
}

static void worker_round(struct pair_worker *worker, const struct bench_scale *scale,
	unsigned index, void *state, unsigned round)
{
	static struct histogram times;
	const struct pair_load *load = worker->load;
	const struct pair_system *system = load->systems[index].system;
	struct pair_result *result = &worker->board->results[index];
	unsigned count = load->iterations * scale->percent / 100 + 1;
	double rate = 0;

	pair_meet(worker);
	system->round(worker, state, count / 8 + 1, &times, &rate);
	histogram_clear(&times);
	pair_meet(worker);
	system->round(worker, state, count, &times, &rate);
	if (worker->side != load->measuring)
		return;
	if (load->per_tick > 0)
		rate = histogram_quantile(&times, 0.5) * bench_ns_per_tick() * load->per_tick;
	result->values[round] = rate;
	histogram_merge(&result->times, &times);
}

static void worker_main(struct pair_worker *worker, const struct bench_scale *scale)
{
	const struct pair_load *load = worker->load;
	void *states[PAIR_MAX_SYSTEMS] = { NULL };
	double probe;

	bench_pin(worker->side);
	for (unsigned i = 0; load && i < load->system_count; i++)
		if (load->systems[i].system->open)
			states[i] = load->systems[i].system->open(worker);
	pair_meet(worker);
	probe = worker_probe(worker);
	if (worker->side == 0)
		worker->board->probes[0] = probe;
	for (unsigned round = 0; load && round < scale->rounds; round++)
		for (unsigned i = 0; i < load->system_count; i++)
			worker_round(worker, scale, i, states[i], round);
	probe = load ? worker_probe(worker) : probe;
	if (worker->side == 0)
		worker->board->probes[1] = probe;
	for (unsigned i = 0; load && i < load->system_count; i++)
		if (load->systems[i].system->close)
			load->systems[i].system->close(worker, states[i]);
	worker->board->verified[worker->side] = worker->verified;
}

/* One attempt; the results are in the board. False when the time was up before they were there. */
static bool pair_attempt(struct pair_board *board, const struct bench *bench,
	const struct pair_load *load, const struct bench_scale *scale)
{
	pid_t parent = getpid(), pids[2];
	bool failed = false, in_time;

	fflush(NULL);
	for (unsigned side = 0; side < 2; side++) {
		pids[side] = fork();
		if (pids[side] < 0)
			bench_die("fork: %s", strerror(errno));
		if (pids[side] == 0) {
			struct pair_worker worker = {
				.load = load,
				.board = board,
				.socket_path = bench ? bench->socket_path : NULL,
				.side = side,
			};

			bench_die_with(parent);
			worker_main(&worker, scale);
			exit(0);
		}
	}
	/* Sleeping here costs the workers nothing; a failure of one is the end of both. */
	in_time = bench_wait_any(pids, 2, scale->seconds);
	for (unsigned side = 0; side < 2; side++)
		failed = bench_reap(pids[side], in_time ? 0.5 : 0) != 0 || failed;
	if (failed && in_time)
		bench_die("%s: a worker failed", load ? load->name : "probe");
	return in_time;
}

static double difference_of(double a, double b)
{
	return a < b ? b / a - 1 : a / b - 1;
}

bool pair_probes_differ(double a, double b)
{
	return difference_of(a, b) > PROBE_DIFFERENCE;
}

double pair_probe(void)
{
	static const struct bench_scale none = { .seconds = 10 };
	struct pair_board *board = bench_shared(sizeof(*board));
	double ns;

	ns = pair_attempt(board, NULL, NULL, &none) ? board->probes[0] : 0;
	munmap(board, sizeof(*board));
	return ns;
}

static void pair_report(struct bench *bench, const struct pair_load *load,
	const struct pair_board *board, unsigned attempts)
{
	unsigned rounds = bench->scale.rounds;
	double per_tick = bench_ns_per_tick() * load->per_tick;

	for (unsigned i = 0; i < load->system_count; i++) {
		const struct pair_result *result = &board->results[i];
		struct bench_row *row = bench_row_new(
			&bench->report, load->name, load->systems[i].name, load->unit);
		double ratios[BENCH_MAX_ROUNDS];

		bench_row_values(row, result->values, rounds);
		if (load->per_tick > 0) {
			row->p99 = histogram_quantile(&result->times, 0.99) * per_tick;
			row->p999 = histogram_quantile(&result->times, 0.999) * per_tick;
			row->p9999 = histogram_quantile(&result->times, 0.9999) * per_tick;
		}
		for (unsigned r = 0; r < rounds; r++)
			ratios[r] = result->values[r] / board->results[0].values[r];
		row->ratio = bench_median(ratios, rounds);
		row->goal = load->systems[i].goal;
		row->goal_is_least = load->per_tick == 0;
		row->noisy = pair_probes_differ(board->probes[0], board->probes[1]);
		snprintf(row->note, sizeof(row->note), "line %.0f/%.0f ns", board->probes[0],
			board->probes[1]);
		if (attempts > 1)
			snprintf(row->note + strlen(row->note),
				sizeof(row->note) - strlen(row->note), ", %u attempts", attempts);
		if (result->sent > 0)
			snprintf(row->note + strlen(row->note),
				sizeof(row->note) - strlen(row->note),
				", sent %llu = received %llu + lost %llu (%.1f %%)",
				(unsigned long long)result->sent,
				(unsigned long long)result->received,
				(unsigned long long)result->lost,
				100.0 * (double)result->lost / (double)result->sent);
	}
	bench->report.verified += board->verified[0] + board->verified[1];
}

void pair_run(struct bench *bench, const struct pair_load *load)
{
	struct pair_board *board = bench_shared(sizeof(*board)), *best = NULL;
	double best_difference = INFINITY, difference;
	unsigned attempt = 0;

	do {
		if (!board)
			board = bench_shared(sizeof(*board));
		difference = INFINITY;
		if (pair_attempt(board, bench, load, &bench->scale))
			difference = difference_of(board->probes[0], board->probes[1]);
		if (difference < best_difference) {
			if (best)
				munmap(best, sizeof(*best));
			best = board;
			best_difference = difference;
		} else {
			munmap(board, sizeof(*board));
		}
		board = NULL;
	} while (++attempt < bench->scale.attempts && best_difference > PROBE_DIFFERENCE);
	if (best) {
		pair_report(bench, load, best, attempt);
		munmap(best, sizeof(*best));
	} else {
		fprintf(stderr,
			"kickmsg-bench: %s: no figures within %.0f s, this machine is too busy\n",
			load->name, bench->scale.seconds);
		bench->given_up++;
	}
}
