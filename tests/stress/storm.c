/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storm: 8 publishers and 8 subscribers; one (now and then three) is killed by SIGKILL every
 * few milliseconds and replaced, also while it is just connecting or attaching, and without waiting
 * for those before it. Sums at each closing of the gate, a count of the pool every so many kills,
 * and in the end a full pool. How: support/stress/stress_storm.h.
 *
 *   stress-storm [--seed N] [--shared] [--history] [--reliable] [--asker] SECONDS
 *
 * --shared: on a topic with a shared ring. --history: half of the subscribers begin with the topic's
 * history. --reliable: half of them are reliable ones, and some of these are stopped until they aren't.
 * Private rings have one of the two. --asker: beside a client that asks what is dear to answer all the
 * time (support/broker/asker.h).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "tests/support/broker/asker.h"
#include "tests/support/broker/peer.h"
#include "tests/support/stress/stress_storm.h"

#define KILLS_A_ROUND 200
#define BETWEEN_KILLS 7000 /* us, at most */
#define LOOP_PAUSE    100  /* us */
#define DIRECTOR_NICE (-10)
#define TELL_EVERY    INT64_C(10000000000)
#define STALL_NS      UINT64_C(20000000)

struct options {
	bool shared, history, reliable, asker;
	uint64_t seed;
	double seconds;
};

static int tend_all(struct director *d)
{
	if (storm_crew_tend(d) < 0 || storm_books_tend(d) < 0 || storm_recovery_tend(d) < 0)
		return -1;
	stress_pause_us(LOOP_PAUSE);
	return 0;
}

static bool all_at_work(struct director *d)
{
	if (storm_crew_down(d) > 0 || d->recovery.count > 0 || atomic_load(&d->storm.board->gate))
		return false;
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		if (atomic_load(&d->storm.board->publishers[i].state) < STORM_RUNNING)
			return false;
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		if (atomic_load(&d->storm.board->subscribers[i].state) < STORM_RUNNING)
			return false;
	return true;
}

/* Waits until every role is taken and nothing is left to repair. */
static int await_calm(struct director *d)
{
	while (!all_at_work(d))
		if (tend_all(d) < 0)
			return -1;
	return 0;
}

static int rage(struct director *d, int64_t end_ns)
{
	const uint64_t until = d->kills + KILLS_A_ROUND;
	const int64_t began_ns = km_clock_ns();
	int64_t next_ns = began_ns;

	do {
		int64_t now = km_clock_ns();

		if (now >= next_ns) {
			if (storm_crew_strike(d) < 0)
				return -1;
			/* the next kill is due so long after this one was due, so a delay by the
			 * machine is made up for */
			next_ns += stress_below(&d->rng, BETWEEN_KILLS) * INT64_C(1000);
		}
		storm_crew_freeze(d);
		storm_crew_stand(d);
		if (tend_all(d) < 0)
			return -1;
	} while (d->kills < until && km_clock_ns() < end_ns);
	storm_crew_thaw(d);
	d->raged_ns += km_clock_ns() - began_ns;
	return 0;
}

static int weather(struct director *d, double seconds)
{
	int64_t began_ns = km_clock_ns(), told_ns = began_ns;
	int64_t end_ns = began_ns + (int64_t)(seconds * 1e9);
	int r = await_calm(d);

	/* on a slow machine the storm goes on until one sum was exact */
	while (r == 0 && (km_clock_ns() < end_ns || d->exact == 0)) {
		r = rage(d, end_ns);
		if (r == 0)
			r = await_calm(d);
		if (r == 0)
			r = storm_books_round(d);
		if (km_clock_ns() - told_ns > TELL_EVERY) {
			told_ns = km_clock_ns();
			printf("%3.0f s: %" PRIu64 " kills\n", (double)(told_ns - began_ns) / 1e9,
				d->kills);
			fflush(stdout);
		}
	}
	return storm_crew_end(d) < 0 ? -1 : r;
}

static void report(struct director *d, double seconds)
{
	uint64_t received = 0;

	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		received += atomic_load(&d->storm.board->subscribers[i].total);
	printf("%" PRIu64
	       " kills in %.1f s: one every %.2f ms, while it raged every %.2f ms; up to %" PRIu64
	       " of %d down at once; %" PRIu64 " were attaching, %" PRIu64 " standing by\n",
		d->kills, seconds, seconds * 1e3 / (double)(d->kills + 1),
		(double)d->raged_ns / 1e6 / (double)(d->kills + 1), d->most_down, STORM_ROLES,
		d->killed_starting, d->killed_standbys);
	printf("%" PRIu64 " publishers frozen in mid-send; %" PRIu64 " messages sent, %" PRIu64
	       " received\n",
		d->freezes, storm_books_sent(&d->storm), received);
	printf("%" PRIu64 " sums at %" PRIu64 " closings of the gate: %" PRIu64 " exact, %" PRIu64
	       " with deaths in mid-send since the last one (%" PRIu64 " in all, at most %" PRIu64
	       " at once)\n",
		d->exact + d->decided, d->closings, d->exact, d->decided,
		storm_books_doubtful(&d->storm), d->widest);
	printf("%" PRIu64 " rounds; %" PRIu64 " subscribers joined at the gate, %" PRIu64
	       " in traffic\n",
		d->rounds, d->joined_at_gate, d->joined_in_traffic);
	if (d->storm.what.max_reliable > 0)
		printf("%" PRIu64 " reliable subscribers stood still until they were none; %" PRIu64
		       " demoted in all, of which %" PRIu64 " died untold; of %" PRIu64
		       " more it isn't known\n",
			d->stood_still, d->demoted, d->untold, d->unsure);
	storm_recovery_print(d);
}

static int run_storm(struct director *d, const struct options *options)
{
	const double seconds = options->seconds;
	const bool longer = options->reliable && !options->shared;
	struct storm *storm = &d->storm;
	int64_t began_ns = km_clock_ns();

	storm->what = (struct stress_case){
		.name = "storm",
		.shared = options->shared,
		.history = options->history ? STORM_HISTORY : 0,
		.max_reliable = options->reliable ? STORM_SUBSCRIBERS : 0,
		.stall_ns = options->reliable ? STALL_NS : 0,
		.publishers = STORM_PUBLISHERS,
		.subscribers = STORM_SUBSCRIBERS,
		.churners = 4,                          /* places beyond the workers' */
		.pool = options->reliable ? 1024 : 128, /* no publisher waits for a slot */
		.ring = longer ? 128 : 32,              /* cells beyond max_publishers are room */
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
		r = storm_fail(d, "descriptors that the broker has left open",
			(long long)test_fd_count(d->broker.pid) - (long long)fds);
	if (r == 0 && options->reliable)
		r = storm_books_demotions(d);
	if (d->kills == 0 || d->rounds == 0 || d->exact == 0)
		r = storm_fail(d, "nobody was killed, or no sum was made", (long long)d->rounds);
	report(d, (double)(km_clock_ns() - began_ns) / 1e9);
	stress_region_close(storm->run.region);
	return r;
}

static int run(struct director *d, const struct options *options)
{
	pid_t asks = 0;

	test_broker_start(&d->broker, NULL);
	if (options->asker)
		asks = asker_start(d->broker.socket, ASKER_ALL);
	/* sleeps end on time; children inherit this */
	prctl(PR_SET_TIMERSLACK, 1000UL);
	/* the director runs before the crowd if it may, so that kills and times are exact */
	if (setpriority(PRIO_PROCESS, 0, DIRECTOR_NICE) < 0)
		printf("as everybody's equal: setpriority: %s\n", strerror(errno));
	int r = run_storm(d, options);

	if (atomic_load(&d->storm.run.board->failed) != 0 || r < 0) {
		fprintf(stderr, "storm: FAILED (seed %" PRIu64 "): %s\n", d->storm.run.seed,
			d->storm.run.board->failure);
		r = -1;
	}
	if (asks > 0 && !WIFSIGNALED(test_child_end(asks, SIGKILL))) {
		fprintf(stderr, "storm: the asker has ended before\n");
		r = -1;
	}
	if (test_broker_stop(&d->broker) != 0) {
		fprintf(stderr, "storm: the broker did not end well\n");
		r = -1;
	}
	return r;
}

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--seed N] [--shared] [--history] [--reliable] [--asker] SECONDS\n",
		name);
	return 2;
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 'n' },
		{ "shared", no_argument, NULL, 's' },
		{ "history", no_argument, NULL, 'h' },
		{ "reliable", no_argument, NULL, 'r' },
		{ "asker", no_argument, NULL, 'a' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
		switch (option) {
		case 'n':
			ret->seed = strtoull(optarg, NULL, 0);
			break;
		case 's':
			ret->shared = true;
			break;
		case 'h':
			ret->history = true;
			break;
		case 'r':
			ret->reliable = true;
			break;
		case 'a':
			ret->asker = true;
			break;
		default:
			return false;
		}
	ret->seconds = optind + 1 == argc ? atof(argv[optind]) : 0;
	return ret->seconds > 0 && (ret->shared || !ret->history || !ret->reliable);
}

int main(int argc, char **argv)
{
	struct director *d = calloc(1, sizeof(*d));
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	struct options options = {
		.seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
	};
	if (!parse(argc, argv, &options)) {
		free(d);
		return usage(argv[0]);
	}
	void *memory = mmap(NULL, sizeof(struct storm_board), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d == NULL || memory == MAP_FAILED || (d->storm.run.board = stress_board_new()) == NULL)
		abort();
	d->storm.board = memory;
	d->storm.run.seed = options.seed;
	d->rng.state = options.seed;
	printf("seed %" PRIu64 "\n", options.seed);
	fflush(stdout);
	int r = run(d, &options);

	stress_board_free(d->storm.run.board);
	munmap(memory, sizeof(struct storm_board));
	free(d->recovery.took_ms);
	free(d->recovery.reap_ms);
	free(d->recovery.rest_ms);
	free(d);
	return r == 0 ? 0 : 1;
}
