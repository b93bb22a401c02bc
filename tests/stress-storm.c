/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storm: 8 publishers and 8 subscribers; one (now and then two or three) is killed by SIGKILL every few
 * milliseconds and replaced, also while it is just attaching. After each kill the broker must come to
 * a region without a trace of the dead; every so many kills all sums are compared and the pool is counted.
 *
 *   stress-storm [--seed N] SECONDS
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "stress_region.h"
#include "stress_storm.h"
#include "waiter.h"

#define WORKERS        (STORM_PUBLISHERS + STORM_SUBSCRIBERS)
#define KILLS_A_ROUND  40
#define RECOVERY_LIMIT INT64_C(20000000000) /* ns; a hang, not a measure */

struct director {
	struct storm storm;
	struct test_broker broker;
	struct stress_rng rng;
	pid_t pids[WORKERS]; /* publishers, then subscribers */
	uint32_t lives[WORKERS];
	uint64_t sent_before[STORM_PUBLISHERS]; /* when the present life began */
	uint64_t kills, rounds, exact_sums, bounded_sums, widest;
	int64_t worst_recovery_ns, sum_recovery_ns;
	uint64_t recoveries;
};

static bool is_publisher(uint32_t worker)
{
	return worker < STORM_PUBLISHERS;
}

static _Atomic uint32_t *state_of(struct director *d, uint32_t worker)
{
	return is_publisher(worker) ? &d->storm.board->publishers[worker].state
				    : &d->storm.board->subscribers[worker - STORM_PUBLISHERS].state;
}

static int fail(struct director *d, const char *what, long long number)
{
	return stress_fail(
		d->storm.run.board, "after %" PRIu64 " kills: %s (%lld)", d->kills, what, number);
}

static int begin_life(struct director *d, uint32_t worker)
{
	struct storm_board *board = d->storm.board;
	uint32_t life = ++d->lives[worker];
	pid_t parent = getpid();

	if (is_publisher(worker)) {
		d->sent_before[worker] = atomic_load(&board->publishers[worker].sent);
		atomic_store(&board->publishers[worker].life, life);
	} else {
		struct storm_subscriber *s = &board->subscribers[worker - STORM_PUBLISHERS];

		atomic_store(&s->known, 0);
		atomic_store(&s->settled, atomic_load(&board->settle));
	}
	atomic_store(state_of(d, worker), STORM_STARTING);
	fflush(NULL);
	d->pids[worker] = fork();
	if (d->pids[worker] < 0)
		return fail(d, "fork", errno);
	if (d->pids[worker] > 0)
		return 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	int r = is_publisher(worker)
			? storm_publisher_main(&d->storm, worker, life)
			: storm_subscriber_main(&d->storm, worker - STORM_PUBLISHERS, life);
	_exit(r == 0 ? 0 : 1);
}

/* Closes the books of one who is dead and reaped. */
static void end_life(struct director *d, uint32_t worker)
{
	struct storm_board *board = d->storm.board;

	d->pids[worker] = 0;
	if (is_publisher(worker)) {
		struct storm_publisher *p = &board->publishers[worker];
		uint64_t sent = atomic_load(&p->sent);
		uint64_t doubt = atomic_load(&p->attempted) - sent;

		atomic_store(&p->ended[d->lives[worker] % STORM_ENDED],
			(sent - d->sent_before[worker]) << 1 | doubt);
		atomic_fetch_add(&p->doubtful, doubt);
		atomic_store(&p->attempted, sent);
	} else {
		atomic_fetch_and(&board->gate, ~(UINT64_C(1) << (worker - STORM_PUBLISHERS)));
	}
	atomic_store(state_of(d, worker), STORM_GONE);
}

/* Has anybody ended who wasn't told to? */
static int look_after(struct director *d)
{
	int status;

	for (uint32_t i = 0; i < WORKERS; i++)
		if (d->pids[i] > 0 && waitpid(d->pids[i], &status, WNOHANG) == d->pids[i]) {
			end_life(d, i);
			return fail(d, "a worker ended by itself, status", status);
		}
	if (!test_broker_alive(&d->broker))
		return fail(d, "the broker died", 0);
	return stress_over(&d->storm.run, "in the storm") ? -1 : 0;
}

static int await_all_running(struct director *d)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		while (atomic_load(state_of(d, i)) < STORM_RUNNING) {
			if (look_after(d) < 0)
				return -1;
			stress_pause_us(100);
		}
	return 0;
}

static void kill_worker(struct director *d, uint32_t worker)
{
	kill(d->pids[worker], SIGKILL);
	waitpid(d->pids[worker], NULL, 0);
	end_life(d, worker);
	d->kills++;
}

static uint32_t alive(const struct director *d, uint32_t from, uint32_t to)
{
	uint32_t count = 0;

	for (uint32_t i = from; i < to; i++)
		count += d->pids[i] > 0;
	return count;
}

/* Everybody else is attached, so the broker's numbers are exactly known when it is done. */
static int await_recovery(struct director *d, int64_t killed_ns)
{
	const uint32_t publishers = alive(d, 0, STORM_PUBLISHERS) + 1;
	const uint32_t subscribers = alive(d, STORM_PUBLISHERS, WORKERS);
	struct km_health h = { 0 };

	for (;;) {
		int r = stress_region_health(&d->storm.run, &h);
		int64_t took_ns = km_clock_ns() - killed_ns;

		if (r < 0)
			return fail(d, "DIAGNOSE", r);
		if (h.quarantined)
			return fail(d, "quarantined", h.quarantined);
		if (h.publishers == publishers && h.subscribers == subscribers &&
			h.endpoints_dead == 0 && h.slots_orphaned == 0 && h.slots_stale == 0 &&
			h.rings_undrained == 0) {
			d->worst_recovery_ns = took_ns > d->worst_recovery_ns
						       ? took_ns
						       : d->worst_recovery_ns;
			d->sum_recovery_ns += took_ns;
			d->recoveries++;
			return 0;
		}
		if (took_ns > RECOVERY_LIMIT)
			return stress_fail(d->storm.run.board,
				"after %" PRIu64 " kills: not recovered: %u publishers (%u), %u "
				"subscribers (%u), %u dead, %u orphaned, %u stale, %u rings "
				"undrained, "
				"%u left by hazard",
				d->kills, h.publishers, publishers, h.subscribers, subscribers,
				h.endpoints_dead, h.slots_orphaned, h.slots_stale,
				h.rings_undrained, h.left_by_hazard);
		if (look_after(d) < 0)
			return -1;
		stress_pause_us(100);
	}
}

static int strike(struct director *d)
{
	uint32_t victims[3], count = stress_once_in(&d->rng, 8) ? 3 : 1;
	int64_t killed_ns = 0;

	if (await_all_running(d) < 0)
		return -1;
	stress_pause_us(stress_below(&d->rng, 3000));
	for (uint32_t i = 0; i < count; i++) {
		victims[i] = stress_below(&d->rng, WORKERS);
		if (d->pids[victims[i]] <= 0)
			continue;
		killed_ns = km_clock_ns();
		kill_worker(d, victims[i]);
	}
	if (await_recovery(d, killed_ns) < 0)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		if (d->pids[victims[i]] > 0)
			continue;
		if (begin_life(d, victims[i]) < 0)
			return -1;
		if (count > 1 || !stress_once_in(&d->rng, 4))
			continue;
		/* die young: in the middle of connecting or attaching */
		stress_pause_us(stress_below(&d->rng, 3000));
		killed_ns = km_clock_ns();
		kill_worker(d, victims[i]);
		if (await_recovery(d, killed_ns) < 0 || begin_life(d, victims[i]) < 0)
			return -1;
	}
	return 0;
}

static int check_sums(struct director *d, uint32_t slot, const struct storm_sums *now)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[slot];
	uint64_t got = atomic_load(&s->received) + atomic_load(&s->lost);
	uint64_t known = atomic_load(&s->known_at_rest);
	uint64_t doubt = now->doubtful - atomic_load(&s->began_doubtful);
	uint64_t low = now->sent - atomic_load(&s->began_high) + known;
	uint64_t high = now->sent - atomic_load(&s->began_low) + doubt;

	/* nothing lost: what was in doubt and didn't come was not sent */
	if (atomic_load(&s->lost) == 0)
		high -= doubt - known;
	if (got < low || got > high)
		return stress_fail(d->storm.run.board,
			"after %" PRIu64 " kills: subscriber %u life %u: received %" PRIu64
			" + lost %" PRIu64 " is not within %" PRIu64 "..%" PRIu64 " (%" PRIu64
			" in doubt, %" PRIu64 " known)",
			d->kills, slot, d->lives[STORM_PUBLISHERS + slot],
			atomic_load(&s->received), atomic_load(&s->lost), low, high, doubt, known);
	if (low == high)
		d->exact_sums++;
	else
		d->bounded_sums++;
	d->widest = high - low > d->widest ? high - low : d->widest;
	return 0;
}

/* Publishers stand still, subscribers take all that there is: the sums must be right, the pool full. */
static int make_round(struct director *d)
{
	struct storm_board *board = d->storm.board;
	uint64_t round = atomic_load(&board->settle) + 1;
	struct storm_sums now;

	if (await_all_running(d) < 0)
		return -1;
	atomic_fetch_or(&board->gate, STORM_PARENT_GATE);
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		while (atomic_load(&board->publishers[i].state) == STORM_RUNNING) {
			if (look_after(d) < 0)
				return -1;
			stress_pause_us(100);
		}
	storm_sum(&d->storm, &now);
	atomic_store(&board->settle, round);
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		while (atomic_load(&board->subscribers[i].settled) != round) {
			if (look_after(d) < 0)
				return -1;
			stress_pause_us(100);
		}
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		if (check_sums(d, i, &now) < 0)
			return -1;
	if (stress_region_count(&d->storm.run, true, "pool, in a pause of the storm") < 0)
		return -1;
	d->rounds++;
	atomic_fetch_and(&board->gate, ~STORM_PARENT_GATE);
	return 0;
}

/* All go by themselves; whoever doesn't is killed. */
static int end_storm(struct director *d)
{
	int64_t limit_ns = km_clock_ns() + RECOVERY_LIMIT;
	int r = 0, status;

	atomic_store(&d->storm.board->stop_publishers, 1);
	atomic_store(&d->storm.board->stop_subscribers, 1);
	for (uint32_t i = 0; i < WORKERS; i++)
		while (d->pids[i] > 0) {
			bool late = km_clock_ns() > limit_ns;

			if (late)
				kill(d->pids[i], SIGKILL);
			if (waitpid(d->pids[i], &status, late ? 0 : WNOHANG) == d->pids[i]) {
				end_life(d, i);
				if (status != 0)
					r = fail(d, "a worker did not end well, status", status);
			} else {
				stress_pause_us(200);
			}
		}
	return r;
}

static int weather(struct director *d, double seconds)
{
	int64_t began_ns = km_clock_ns(), told_ns = began_ns;
	int64_t end_ns = began_ns + (int64_t)(seconds * 1e9);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < WORKERS; i++)
		r = begin_life(d, i);
	while (r == 0 && km_clock_ns() < end_ns) {
		for (uint64_t until = d->kills + KILLS_A_ROUND; r == 0 && d->kills < until;)
			r = strike(d);
		if (r == 0)
			r = make_round(d);
		if (km_clock_ns() - told_ns > INT64_C(10000000000)) {
			told_ns = km_clock_ns();
			printf("%3.0f s: %" PRIu64 " kills\n", (double)(told_ns - began_ns) / 1e9,
				d->kills);
			fflush(stdout);
		}
	}
	return end_storm(d) < 0 ? -1 : r;
}

static void report(struct director *d, double seconds)
{
	struct storm_sums sums;
	uint64_t received = 0;

	storm_sum(&d->storm, &sums);
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		received += atomic_load(&d->storm.board->subscribers[i].total);
	printf("%" PRIu64 " kills, %" PRIu64 " messages sent, %" PRIu64 " received\n", d->kills,
		sums.sent, received);
	printf("%" PRIu64 " rounds: %" PRIu64 " sums exact, %" PRIu64
	       " within bounds (widest %" PRIu64 "), %" PRIu64 " messages in doubt at a death\n",
		d->rounds, d->exact_sums, d->bounded_sums, d->widest, sums.doubtful);
	printf("recovery: worst %.2f ms, mean %.2f ms, of %" PRIu64 "; %.1f s\n",
		(double)d->worst_recovery_ns / 1e6,
		d->recoveries > 0 ? (double)d->sum_recovery_ns / (double)d->recoveries / 1e6 : 0.0,
		d->recoveries, seconds);
}

static int run_storm(struct director *d, double seconds)
{
	struct storm *storm = &d->storm;
	int64_t began_ns = km_clock_ns();

	storm->what = (struct stress_case){
		.name = "storm",
		.publishers = STORM_PUBLISHERS,
		.subscribers = STORM_SUBSCRIBERS,
		.churners = 4, /* spare places; nobody of that kind here */
		.pool = 128,
		.ring = 32,
		.max_payload = 512,
	};
	storm->run.what = &storm->what;
	storm->run.socket_path = d->broker.socket;
	snprintf(storm->run.topic, sizeof(storm->run.topic), "storm");
	storm->run.deadline_ns = began_ns + (int64_t)(seconds * 1e9) + INT64_C(90000000000);
	int r = stress_region_open(&storm->run, &storm->run.region);

	if (r < 0)
		return r;
	size_t fds = test_fd_count(d->broker.pid);

	r = weather(d, seconds);
	if (r == 0)
		r = stress_region_count(&storm->run, true, "pool, after the storm");
	if (r == 0)
		r = stress_region_diagnose(&storm->run, 0, 0, "after the storm");
	if (r == 0 && !test_wait_until(test_fd_count(d->broker.pid) <= fds, 5000))
		r = fail(d, "descriptors that the broker has left open",
			(long long)test_fd_count(d->broker.pid) - (long long)fds);
	if (d->kills == 0 || d->rounds == 0)
		r = fail(d, "nobody was killed, or no sum was made", (long long)d->rounds);
	report(d, (double)(km_clock_ns() - began_ns) / 1e9);
	stress_region_close(storm->run.region);
	return r;
}

int main(int argc, char **argv)
{
	struct director *d = calloc(1, sizeof(*d));
	struct timespec now;
	int at = 1;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (argc >= 3 && strcmp(argv[1], "--seed") == 0) {
		seed = strtoull(argv[2], NULL, 0);
		at = 3;
	}
	double seconds = at + 1 == argc ? atof(argv[at]) : 0;

	if (seconds <= 0) {
		fprintf(stderr, "usage: %s [--seed N] SECONDS\n", argv[0]);
		return 2;
	}
	void *memory = mmap(NULL, sizeof(struct storm_board), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d == NULL || memory == MAP_FAILED || (d->storm.run.board = stress_board_new()) == NULL)
		abort();
	d->storm.board = memory;
	d->storm.run.seed = seed;
	d->rng.state = seed;
	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	test_broker_start(&d->broker, NULL);
	int r = run_storm(d, seconds);

	if (atomic_load(&d->storm.run.board->failed) != 0 || r < 0) {
		fprintf(stderr, "storm: FAILED (seed %" PRIu64 "): %s\n", seed,
			d->storm.run.board->failure);
		r = -1;
	}
	if (test_broker_stop(&d->broker) != 0) {
		fprintf(stderr, "storm: the broker did not end well\n");
		r = -1;
	}
	stress_board_free(d->storm.run.board);
	munmap(memory, sizeof(struct storm_board));
	free(d);
	return r == 0 ? 0 : 1;
}
