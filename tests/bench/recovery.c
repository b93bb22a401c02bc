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
 * Why that is exact: the observer holds nothing and publishes nothing meanwhile, so with its own rings
 * empty every word that isn't 0 and every bit of `live` that isn't its own is the victim's. The look begins when
 * the victim is dead, and no word becomes other than 0 after that, so one pass is enough.
 *
 * The floor is t1 - t0: no one can know of a death before the kernel says it. after-death is t2 - t1, what
 * the broker adds.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "kick.h"

#define TOPIC        "recovery"
#define SUBSCRIBERS  15
#define VICTIM_HOLDS 4
#define MAX_KILLS    1000
#define WAIT_NS      INT64_C(10000000000)

struct board {
	_Atomic uint32_t ready; /* the victim's turn, when it is in the middle of it */
	_Atomic uint32_t verified;
	double dead[MAX_KILLS]; /* us */
	double clean[MAX_KILLS];
};

struct observer {
	struct bench *bench;
	struct board *board;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscribers[SUBSCRIBERS];
	uint64_t own_rings;
	uint64_t sent;
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

static void victim_publisher(struct board *board, struct kickmsg_client *client, uint32_t turn)
{
	struct kickmsg_publisher *publisher = kick_publisher(client, TOPIC, NULL);
	void *loans[VICTIM_HOLDS], *more;
	uint64_t words[8] = { 0 };

	for (unsigned i = 0; i < VICTIM_HOLDS; i++)
		if (kickmsg_loan(publisher, sizeof(words), &loans[i]) < 0)
			bench_die("the victim gets no loan");
	atomic_store(&board->ready, turn);
	for (uint64_t n = 0;; n++) { /* until killed; a pool that is empty for a moment is fine */
		kickmsg_send(publisher, words, sizeof(words));
		if (kickmsg_loan(publisher, sizeof(words), &more) == 0)
			kickmsg_discard(publisher, more);
	}
}

static void victim_subscriber(struct board *board, struct kickmsg_client *client, uint32_t turn)
{
	int64_t end = bench_now_ns() + WAIT_NS;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample samples[VICTIM_HOLDS];

	/* its predecessor's place may need one more pass of the broker */
	while (kickmsg_subscribe(client, TOPIC, NULL, &subscriber) == -ENOSPC)
		if (bench_now_ns() > end)
			bench_die("the victim gets no place");
	atomic_store(&board->ready, turn);
	for (unsigned i = 0; i < VICTIM_HOLDS; i++)
		if (kickmsg_receive(subscriber, WAIT_NS, &samples[i]) < 0)
			bench_die("the victim receives nothing");
	atomic_store(&board->ready, turn + 1);
	for (;;)
		pause();
}

static void drain(struct observer *observer)
{
	for (unsigned i = 0; i < SUBSCRIBERS; i++) {
		struct kickmsg_sample sample;
		int r;

		while ((r = kickmsg_try_receive(observer->subscribers[i], &sample)) == 0)
			kickmsg_sample_release(&sample);
		if (r != -EAGAIN)
			bench_die("receive: %s", kickmsg_strerror(r));
	}
}

static void wait_ready(struct observer *observer, uint32_t turn)
{
	int64_t end = bench_now_ns() + WAIT_NS;

	while (atomic_load(&observer->board->ready) != turn) {
		drain(observer);
		if (bench_now_ns() > end)
			bench_die("the victim isn't there after %d s", (int)(WAIT_NS / 1000000000));
		usleep(50); /* it may need this CPU */
	}
}

/* Until no word and no live bit speaks of the dead. */
static void wait_clean(struct observer *observer)
{
	const struct km_region *region = &observer->publisher->attachment.region;
	int64_t end = bench_now_ns() + WAIT_NS;
	uint32_t slot = 0, looks = 0;

	drain(observer);
	for (;;) {
		while (slot < region->geometry.pool_size &&
			atomic_load_explicit(&region->slots[slot].word, memory_order_acquire) == 0)
			slot++;
		if (slot == region->geometry.pool_size &&
			(atomic_load_explicit(&region->header->live, memory_order_acquire) &
				KM_LIVE_RINGS) == observer->own_rings)
			return;
		if (++looks % 1024 == 0 && bench_now_ns() > end)
			bench_die("the broker hasn't reconciled after %d s: slot %u is %#llx, live "
				  "is %#llx",
				(int)(WAIT_NS / 1000000000), slot,
				(unsigned long long)(slot < region->geometry.pool_size
							     ? region->slots[slot].word
							     : 0),
				(unsigned long long)region->header->live);
	}
}

static void one_kill(struct observer *observer, unsigned index)
{
	struct board *board = observer->board;
	uint32_t turn = 2 * index + 1;
	pid_t parent = getpid(), victim = fork();
	struct pollfd death = { .events = POLLIN };
	uint64_t words[8] = { 0 }, start, dead, clean;

	if (victim < 0)
		bench_die("fork: %s", strerror(errno));
	if (victim == 0) {
		bench_die_with(parent);
		bench_pin(1);
		struct kickmsg_client *client = kick_client(observer->bench->socket_path);

		(observer->of_subscriber ? victim_subscriber : victim_publisher)(
			board, client, turn);
	}
	death.fd = (int)syscall(SYS_pidfd_open, victim, 0);
	if (death.fd < 0)
		bench_die("pidfd_open: %s", strerror(errno));
	wait_ready(observer, turn);
	if (observer->of_subscriber) {
		for (unsigned i = 0; i < 5 * VICTIM_HOLDS; i++)
			if (kickmsg_send(observer->publisher, words, sizeof(words)) < 0)
				bench_die("the observer can't send");
		wait_ready(observer, turn + 1);
	}
	/* somewhere in its loop, a different place each time */
	for (unsigned i = (unsigned)rand() % 64; i > 0; i--)
		drain(observer);
	drain(observer);

	start = bench_ticks();
	kill(victim, SIGKILL);
	/* asleep, as a broker is: one that polled would take the CPU that the death needs */
	if (poll(&death, 1, (int)(WAIT_NS / 1000000)) != 1)
		bench_die("the victim doesn't die");
	dead = bench_ticks();
	wait_clean(observer);
	clean = bench_ticks();
	waitpid(victim, NULL, 0);
	close(death.fd);
	board->dead[index] = (double)(dead - start) * bench_ns_per_tick() / 1e3;
	board->clean[index] = (double)(clean - start) * bench_ns_per_tick() / 1e3;
	atomic_fetch_add(&board->verified, 1);
}

static void observer_main(
	struct observer *observer, const struct scenario *scenario, unsigned kills)
{
	struct kickmsg_topic_config config;

	bench_pin(0);
	kickmsg_topic_config_init(&config);
	config.max_payload_size = 64;
	config.pool_size = scenario->pool;
	config.max_subscribers = SUBSCRIBERS + 1;
	observer->client = kick_client(observer->bench->socket_path);
	observer->publisher = kick_publisher(observer->client, TOPIC, &config);
	for (unsigned i = 0; i < SUBSCRIBERS; i++)
		observer->subscribers[i] = kick_subscriber(observer->client, TOPIC);
	observer->own_rings = atomic_load(&observer->publisher->attachment.region.header->live) &
			      KM_LIVE_RINGS;
	for (unsigned i = 0; i < kills; i++)
		one_kill(observer, i);
	kickmsg_client_free(observer->client);
}

static void report(struct bench *bench, const struct scenario *scenario, struct board *board,
	unsigned kills, const double *probes)
{
	static const char *const systems[] = { "floor", "kickmsg-rings", "after-death" };
	double ratios[MAX_KILLS], after[MAX_KILLS];
	double *figures[] = { board->dead, board->clean, after };

	for (unsigned i = 0; i < kills; i++) {
		ratios[i] = board->clean[i] / board->dead[i];
		after[i] = board->clean[i] - board->dead[i];
	}
	for (unsigned i = 0; i < 3; i++) {
		struct bench_row *row = bench_row_new(
			&bench->report, scenario->load, systems[i], "us");

		bench_row_values(row, figures[i], kills);
		bench_median(figures[i], kills); /* sorts them */
		row->p99 = figures[i][kills * 99 / 100];
		row->noisy = stage_probes_differ(probes[0], probes[1]);
		snprintf(row->note, sizeof(row->note), "%u kills, %u slots, line %.0f/%.0f ns",
			kills, scenario->pool, probes[0], probes[1]);
		if (i == 0)
			row->ratio = 1;
		if (i != 1)
			continue;
		row->ratio = bench_median(ratios, kills);
		row->goal = scenario->pool == 256 ? 1000 : 0;
		row->goal_is_absolute = true;
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
	pid_t parent = getpid(), pid;
	double probes[2] = { stage_probe(bench) };

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		bench_die_with(parent);
		observer_main(&observer, scenario, kills);
		exit(0);
	}
	if (pid < 0 || bench_reap(pid, 60) != 0)
		bench_die("%s: the observer failed", scenario->load);
	probes[1] = stage_probe(bench);
	report(bench, scenario, board, kills, probes);
	munmap(board, sizeof(*board));
}

void bench_recovery(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (strcmp(scenarios[i].load, load) == 0)
			run(bench, &scenarios[i]);
}
