/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From SIGKILL to a region without a trace of the dead.
 *
 *   observer (CPU 0)                         victim (CPU 1)                    broker
 *   a publisher, 15 subscribers       <----  publisher: 4 loans out, sends
 *   waits, takes what comes                    and discards; or
 *   t0, kill                                 subscriber: 4 samples held, more in its ring
 *   sleeps till the pidfd says: dead, t1                                     sees it, reconciles
 *   takes what is left, then looks at each slot word until it is 0, and at `live` until it
 *   holds only the observer's own rings: t2
 *
 * This is exact: the observer holds nothing and publishes nothing meanwhile, and its own rings are
 * empty. So every word that isn't 0, and every bit of `live` that isn't its own, is the victim's.
 * The look begins when the victim is dead, and no word becomes other than 0 after that, so one pass
 * is enough.
 *
 * With a shared ring the messages stay where they are: RING in the word of a slot that a cell names
 * is none of the victim's, all else is. The observer was there first, so it is the privileged
 * publisher and the victim sends by slots. A subscriber's death isn't measured there: it has
 * written nothing to the region.
 *
 * The floor is t1 - t0: no one can know of a death before the kernel says it. after-death is t2 -
 * t1, what the broker adds. Kills on rings and on a shared ring take turns.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/bench/recovery.h"

#define SUBSCRIBERS 15
#define MAX_KILLS   1000
#define MAX_POOL    65536

enum side_kind { RINGS, SHARED, SIDES };

struct board {
	_Atomic uint32_t ready; /* the victim's turn, once it has begun its loop */
	_Atomic uint32_t verified;
	double dead[SIDES][MAX_KILLS]; /* us */
	double clean[SIDES][MAX_KILLS];
};

/* A topic, and the observer's own ends of it. */
struct side {
	const char *topic;
	bool shared;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscribers[SUBSCRIBERS];
	uint64_t own_rings;
};

struct observer {
	struct bench *bench;
	struct board *board;
	struct kickmsg_client *client;
	struct side sides[SIDES];
	bool of_subscriber;
};

static const struct scenario {
	const char *load;
	uint32_t pool;
	bool of_subscriber;
} scenarios[] = {
	{ "recovery-publisher", 256, false },
	{ "recovery-subscriber", 256, true },
	{ "recovery-1024", 1024, false },
	{ "recovery-4096", 4096, false },
	{ "recovery-16384", 16384, false },
	{ "recovery-65536", 65536, false },
};

static void drain(struct side *side)
{
	for (unsigned i = 0; i < SUBSCRIBERS; i++) {
		struct kickmsg_sample sample;
		int r;

		while ((r = kickmsg_try_receive(side->subscribers[i], &sample)) == 0)
			kickmsg_sample_release(&sample);
		if (r != -EAGAIN)
			bench_die("receive: %s", kickmsg_strerror(r));
	}
}

static void wait_ready(struct board *board, struct side *side, uint32_t turn)
{
	int64_t end = bench_now_ns() + RECOVERY_WAIT_NS;

	while (atomic_load(&board->ready) != turn) {
		drain(side);
		if (bench_now_ns() > end)
			bench_die("the victim isn't there after %d s",
				(int)(RECOVERY_WAIT_NS / 1000000000));
		usleep(50); /* it may need this CPU */
	}
}

/* Finds the slots that a shared ring's cells name. Nobody commits any more. */
static void find_named(const struct km_region *region, bool *named)
{
	memset(named, 0, region->geometry.pool_size);
	for (uint32_t i = 0; i <= region->cell_mask; i++) {
		uint32_t ref = km_cell_slot(km_region_cell(region, i)->word);

		if (km_shared_is_slot(ref) && ref < region->geometry.pool_size)
			named[ref] = true;
	}
}

/* Waits until no word and no live bit is a dead process' any more. */
static void wait_clean(struct side *side)
{
	static bool named[MAX_POOL];
	const struct km_region *region = &side->publisher->handle.place.region;
	int64_t end = bench_now_ns() + RECOVERY_WAIT_NS;
	uint32_t slot = 0, looks = 0;

	if (side->shared)
		find_named(region, named);
	else
		drain(side);
	for (;;) {
		uint64_t word = 0, live;

		while (slot < region->geometry.pool_size) {
			word = atomic_load_explicit(
				&region->slots[slot].word, memory_order_acquire);
			if (word != 0 && !(named[slot] && word == KM_SLOT_RING))
				break;
			slot++;
		}
		live = atomic_load_explicit(&region->header->live, memory_order_acquire);
		if (slot == region->geometry.pool_size && (live & KM_LIVE_RINGS) == side->own_rings)
			return;
		if (++looks % 1024 == 0 && bench_now_ns() > end)
			bench_die("the broker hasn't reconciled %s after %d s: slot %u is %#llx, "
				  "live is %#llx",
				side->topic, (int)(RECOVERY_WAIT_NS / 1000000000), slot,
				(unsigned long long)word, (unsigned long long)live);
	}
}

static void one_kill(struct observer *observer, enum side_kind kind, unsigned index)
{
	struct side *side = &observer->sides[kind];
	struct board *board = observer->board;
	uint32_t turn = 2 * (SIDES * index + kind) + 1;
	pid_t victim = bench_fork();
	struct pollfd death = { .events = POLLIN };
	uint64_t words[8] = { 0 }, start, dead, clean;

	if (victim == 0) {
		bench_pin(1);
		(observer->of_subscriber ? recovery_subscriber : recovery_publisher)(
			&board->ready, observer->bench->socket_path, side->topic, turn);
	}
	death.fd = (int)syscall(SYS_pidfd_open, victim, 0);
	if (death.fd < 0)
		bench_die("pidfd_open: %s", strerror(errno));
	wait_ready(board, side, turn);
	if (observer->of_subscriber) {
		for (unsigned i = 0; i < 5 * RECOVERY_HOLDS; i++)
			if (kickmsg_send(side->publisher, words, sizeof(words)) < 0)
				bench_die("the observer can't send");
		wait_ready(board, side, turn + 1);
	}
	/* the kill meets a different place of the victim's loop each time */
	for (unsigned i = (unsigned)rand() % 64; i > 0; i--)
		drain(side);
	drain(side);

	start = bench_ticks();
	kill(victim, SIGKILL);
	/* the observer sleeps, as a broker does: if it polled, it would take the CPU that the
	 * death needs */
	if (poll(&death, 1, (int)(RECOVERY_WAIT_NS / 1000000)) != 1)
		bench_die("the victim doesn't die");
	dead = bench_ticks();
	wait_clean(side);
	clean = bench_ticks();
	waitpid(victim, NULL, 0);
	close(death.fd);
	board->dead[kind][index] = (double)(dead - start) * bench_ns_per_tick() / 1e3;
	board->clean[kind][index] = (double)(clean - start) * bench_ns_per_tick() / 1e3;
	atomic_fetch_add(&board->verified, 1);
}

static void open_side(struct observer *observer, enum side_kind kind, uint32_t pool)
{
	struct side *side = &observer->sides[kind];
	struct kickmsg_topic_config config;

	side->shared = kind == SHARED;
	side->topic = side->shared ? "recovery-shared" : "recovery";
	kickmsg_topic_config_init(&config);
	config.transport = side->shared ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	config.max_payload_size = 64;
	config.pool_size = pool;
	config.max_subscribers = SUBSCRIBERS + 1;
	side->publisher = kick_publisher(observer->client, side->topic, &config);
	for (unsigned i = 0; i < SUBSCRIBERS; i++)
		side->subscribers[i] = kick_subscriber(observer->client, side->topic);
	side->own_rings = atomic_load(&side->publisher->handle.place.region.header->live) &
			  KM_LIVE_RINGS;
}

static void observer_main(
	struct observer *observer, const struct scenario *scenario, unsigned kills, unsigned sides)
{
	bench_pin(0);
	observer->client = kick_client(observer->bench->socket_path);
	for (unsigned kind = 0; kind < sides; kind++)
		open_side(observer, kind, scenario->pool);
	for (unsigned i = 0; i < kills; i++)
		for (unsigned kind = 0; kind < sides; kind++)
			one_kill(observer, kind, i);
	kickmsg_client_free(observer->client);
}

/* The row's note. `values` are sorted by this. */
static struct bench_row *add_row(struct bench *bench, const struct scenario *scenario,
	const char *system, double *values, unsigned kills, const double *probes)
{
	struct bench_row *row = bench_row_new(&bench->report, scenario->load, system, "us");

	bench_row_values(row, values, kills);
	bench_median(values, kills);
	row->p99 = values[kills * 99 / 100];
	row->noisy = stage_probes_differ(probes[0], probes[1]);
	bench_row_note(row, "%u kills, %u slots, line %.0f/%.0f ns", kills, scenario->pool,
		probes[0], probes[1]);
	return row;
}

static void report(struct bench *bench, const struct scenario *scenario, struct board *board,
	unsigned kills, unsigned sides, const double *probes)
{
	static const char *const systems[SIDES][2] = {
		[RINGS] = { "kickmsg-rings", "after-death" },
		[SHARED] = { "kickmsg-shared", "after-death-shared" },
	};
	double ratios[MAX_KILLS], after[MAX_KILLS], dead[SIDES * MAX_KILLS];

	for (unsigned kind = 0; kind < sides; kind++)
		memcpy(dead + kind * kills, board->dead[kind], kills * sizeof(*dead));
	add_row(bench, scenario, "floor", dead, sides * kills, probes)->ratio = 1;
	for (unsigned kind = 0; kind < sides; kind++) {
		struct bench_row *row;

		for (unsigned i = 0; i < kills; i++) {
			ratios[i] = board->clean[kind][i] / board->dead[kind][i];
			after[i] = board->clean[kind][i] - board->dead[kind][i];
		}
		row = add_row(bench, scenario, systems[kind][0], board->clean[kind], kills, probes);
		row->ratio = bench_median(ratios, kills);
		row->goal = scenario->pool == 256 ? 1000 : 0;
		row->goal_is_absolute = true;
		add_row(bench, scenario, systems[kind][1], after, kills, probes);
	}
	bench->report.verified += board->verified;
}

static void run(struct bench *bench, const struct scenario *scenario)
{
	struct board *board = bench_shared(sizeof(*board));
	struct observer observer = {
		.bench = bench,
		.board = board,
		.of_subscriber = scenario->of_subscriber,
	};
	unsigned kills = scenario->pool > 256 ? bench->scale.kills / 4 + 1 : bench->scale.kills;
	unsigned sides = scenario->of_subscriber ? 1 : SIDES;
	pid_t pid;
	double probes[2] = { stage_probe(bench) };

	pid = bench_fork();
	if (pid == 0) {
		observer_main(&observer, scenario, kills, sides);
		exit(0);
	}
	if (pid < 0 || bench_reap(pid, 60) != 0)
		bench_die("%s: the observer failed", scenario->load);
	probes[1] = stage_probe(bench);
	report(bench, scenario, board, kills, sides, probes);
	munmap(board, sizeof(*board));
}

void bench_recovery(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (strcmp(scenarios[i].load, load) == 0)
			run(bench, &scenarios[i]);
}
