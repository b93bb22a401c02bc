/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one case: workers, phases, sums (the picture is in stress.h). */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/stress/stress.h"

#define LIMIT_NS INT64_C(100000000000) /* ns for one case, beyond all but a hang */

struct crew {
	struct stress_worker workers[STRESS_MAX_WORKERS];
	pid_t pids[STRESS_MAX_WORKERS];
	pthread_t threads[STRESS_MAX_WORKERS];
	uint32_t count;
	uint32_t running;
};

static int work(struct stress_worker *worker)
{
	int r = stress_connect(worker);

	if (r == 0)
		r = worker->main(worker);
	stress_disconnect(worker);
	return r;
}

static void *work_as_thread(void *argument)
{
	work(argument);
	return NULL;
}

static int start_worker(struct crew *crew, struct stress_run *run, uint32_t index,
	int (*main)(struct stress_worker *worker))
{
	uint32_t n = crew->count;
	pid_t parent = getpid();

	crew->workers[n] = (struct stress_worker){
		.run = run,
		.index = index,
		.main = main,
		.rng.state = run->seed * 1000 + n,
	};
	if (run->what->threads) {
		int r = pthread_create(&crew->threads[n], NULL, work_as_thread, &crew->workers[n]);

		if (r != 0)
			return stress_fail(run->board, "pthread_create: %s", strerror(r));
	} else {
		fflush(NULL);
		crew->pids[n] = fork();
		if (crew->pids[n] < 0)
			return stress_fail(run->board, "fork: %s", strerror(errno));
		if (crew->pids[n] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(getppid() == parent && work(&crew->workers[n]) == 0 ? 0 : 1);
		}
	}
	crew->count++;
	crew->running++;
	return 0;
}

static int start_all(struct crew *crew, struct stress_run *run)
{
	const struct stress_case *what = run->what;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < what->subscribers; i++)
		r = start_worker(crew, run, i, stress_subscriber_main);
	for (uint32_t i = 0; r == 0 && i < what->publishers; i++)
		r = start_worker(crew, run, i, stress_publisher_main);
	for (uint32_t i = 0; r == 0 && i < what->comers; i++)
		r = start_worker(crew, run, what->publishers + i, stress_comer_main);
	for (uint32_t i = 0; r == 0 && i < what->churners; i++)
		r = start_worker(crew, run, what->subscribers + i, stress_churner_main);
	return r;
}

/* Takes note of processes that ended. The run fails if one ended badly. */
static void look_after(struct crew *crew, struct stress_run *run)
{
	int status;

	for (uint32_t i = 0; i < crew->count; i++) {
		if (crew->pids[i] <= 0 || waitpid(crew->pids[i], &status, WNOHANG) != crew->pids[i])
			continue;
		if (status != 0)
			stress_fail(run->board, "worker %u (pid %d) ended with status %#x", i,
				(int)crew->pids[i], (unsigned)status);
		crew->pids[i] = 0;
		crew->running--;
	}
}

static int await(struct crew *crew, struct stress_run *run, _Atomic uint32_t *count,
	uint32_t enough, const char *doing)
{
	while (atomic_load(count) < enough) {
		look_after(crew, run);
		if (stress_over(run, doing))
			return -1;
		stress_pause_us(500);
	}
	return 0;
}

/* Ends the program, since a thread that sleeps for ever can't be ended. The broker dies with it. */
static void join_or_exit(struct stress_run *run, pthread_t thread)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 15;
	if (pthread_timedjoin_np(thread, NULL, &limit) == 0)
		return;
	stress_fail(run->board, "a thread did not end");
	fprintf(stderr, "%s: FAILED (seed %" PRIu64 "): %s; a thread did not end\n",
		run->what->name, run->seed, run->board->failure);
	_exit(1);
}

/* Threads end by themselves when the board says failed; processes are killed if they don't. */
static void end_all(struct crew *crew, struct stress_run *run)
{
	int64_t limit_ns = km_clock_ns() + INT64_C(15000000000);

	for (uint32_t i = 0; run->what->threads && i < crew->count; i++)
		join_or_exit(run, crew->threads[i]);
	while (!run->what->threads && crew->running > 0) {
		look_after(crew, run);
		if (km_clock_ns() > limit_ns) {
			for (uint32_t i = 0; i < crew->count; i++)
				if (crew->pids[i] > 0)
					kill(crew->pids[i], SIGKILL);
			stress_fail(run->board, "%u workers did not end", crew->running);
		}
		stress_pause_us(500);
	}
}

static uint64_t sum_of_sent(const struct stress_run *run)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < run->what->publishers + run->what->comers; i++)
		sent += atomic_load(&run->board->publishers[i].sent);
	return sent;
}

/*
 * Returns what one subscriber must at least have got. It is the last ring full, of which nobody
 * pushes anything out; in lockstep it is everything. A paced publisher waits after every second
 * ring full, which then is there to be taken. With a shared ring an overtaken subscriber leaves a
 * quarter to the publishers, and some messages may have been voided for their slots: the last
 * message is there.
 */
static uint64_t least_share(const struct stress_run *run, uint64_t sent)
{
	uint64_t least = sent < run->what->ring ? sent : run->what->ring;

	if (run->what->shared)
		least = sent > 0;
	else if (run->what->lockstep)
		least = sent;
	else if (run->what->paced && sent / 2 > run->what->ring)
		least = sent / 2 - run->what->ring;
	return least;
}

/* received + lost = sent for every subscriber that stayed, and nobody starved. */
static int check_sums(struct stress_run *run)
{
	const uint64_t sent = sum_of_sent(run);
	uint64_t most = 0;

	for (uint32_t i = 0; i < run->what->publishers; i++)
		if (run->what->meanwhile == NULL &&
			atomic_load(&run->board->publishers[i].sent) != run->messages)
			return stress_fail(run->board, "publisher %u sent %" PRIu64, i,
				atomic_load(&run->board->publishers[i].sent));
	for (uint32_t i = 0; i < run->what->subscribers; i++) {
		uint64_t received = atomic_load(&run->board->subscribers[i].received);

		most = received > most ? received : most;
	}
	for (uint32_t i = 0; i < run->what->subscribers; i++) {
		struct stress_subscriber_line *line = &run->board->subscribers[i];
		uint64_t received = atomic_load(&line->received), lost = atomic_load(&line->lost);

		if (atomic_load(&line->left) != 0)
			continue;
		if (received + lost != sent)
			return stress_fail(run->board,
				"subscriber %u: received %" PRIu64 " + lost %" PRIu64
				" != sent %" PRIu64,
				i, received, lost, sent);
		if (received < least_share(run, sent))
			return stress_fail(run->board,
				"subscriber %u starved: received %" PRIu64 " of %" PRIu64
				", the best one %" PRIu64,
				i, received, sent, most);
	}
	return 0;
}

static int run_phases(struct crew *crew, struct stress_run *run)
{
	const struct stress_case *what = run->what;
	struct stress_board *board = run->board;
	uint32_t stayed = what->subscribers;

	if (start_all(crew, run) < 0 ||
		await(crew, run, &board->attached, crew->count, "attaching") < 0)
		return -1;
	atomic_store(&board->start, 1);
	if (what->meanwhile != NULL && what->meanwhile(run) < 0)
		return -1;
	atomic_store(&board->meanwhile_over, 1);
	if (await(crew, run, &board->publishers_done, what->publishers + what->comers,
		    "publishing") < 0)
		return -1;
	for (uint32_t i = 0; i < what->subscribers; i++)
		stayed -= atomic_load(&board->subscribers[i].leave_early);
	if (await(crew, run, &board->drained, stayed, "draining") < 0)
		return -1;
	/* without churners and comers the count holds at once, while all are attached */
	bool quiet = what->churners == 0 && what->comers == 0 && what->meanwhile == NULL;

	if (stress_region_count(run, !quiet, "pool, all idle") < 0 || check_sums(run) < 0)
		return -1;
	atomic_store(&board->leave, 1);
	return 0;
}

static void print_line(const struct stress_run *run, int64_t began_ns)
{
	const struct stress_case *what = run->what;
	const struct stress_board *board = run->board;
	uint64_t empty = 0, least = UINT64_MAX, most = 0, lost = 0;

	for (uint32_t i = 0; i < what->publishers + what->comers; i++)
		empty += atomic_load(&board->publishers[i].empty);
	for (uint32_t i = 0; i < what->subscribers; i++) {
		uint64_t received = atomic_load(&board->subscribers[i].received);

		least = received < least ? received : least;
		most = received > most ? received : most;
		lost += atomic_load(&board->subscribers[i].lost);
	}
	printf("%-28s sent %8" PRIu64 "  received %" PRIu64 "..%" PRIu64 " each, lost %" PRIu64
	       " in all, pool empty %" PRIu64 "x, came and went %" PRIu64 ", %.2f s\n",
		what->name, sum_of_sent(run), least, most, lost, empty,
		atomic_load(&board->churned), (double)(km_clock_ns() - began_ns) / 1e9);
	fflush(stdout);
}

static void topic_of(const struct stress_case *what, char *ret, size_t size)
{
	snprintf(ret, size, "%s", what->name);
	for (char *c = ret; *c != 0; c++)
		if (*c == ' ' || *c == '/' || *c == ',' || *c == '+')
			*c = '-';
}

int stress_case_run(const struct stress_case *given, const char *socket_path, uint64_t seed)
{
	struct stress_case what = *given;
	struct stress_run run = { .what = &what, .socket_path = socket_path, .seed = seed };
	struct crew *crew = calloc(1, sizeof(*crew));
	int64_t began_ns = km_clock_ns();

	if (what.max_payload == 0)
		what.max_payload = 512;
	run.messages = (uint64_t)(what.messages * stress_scale());
	run.messages += run.messages < 10 ? 10 : 0;
	run.deadline_ns = began_ns + LIMIT_NS;
	run.board = stress_board_new();
	topic_of(&what, run.topic, sizeof(run.topic));
	if (crew == NULL || run.board == NULL)
		abort();
	int r = stress_region_open(&run, &run.region);

	if (r == 0) {
		r = run_phases(crew, &run);
		end_all(crew, &run);
	}
	if (r == 0)
		r = stress_region_count(&run, true, "pool, all gone");
	if (r == 0 && !what.bare)
		r = stress_region_diagnose(&run, 0, 0, "all gone");
	if (atomic_load(&run.board->failed) != 0)
		r = -1;
	stress_region_close(run.region);
	if (r < 0)
		fprintf(stderr, "%s: FAILED (seed %" PRIu64 "): %s\n", what.name, seed,
			run.board->failure);
	else
		print_line(&run, began_ns);
	stress_board_free(run.board);
	free(crew);
	return r;
}
