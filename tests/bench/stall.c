/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delays of survivors while others die. A publisher (CPU 0) sends every 20 us, a subscriber
 * (CPU 1) polls; each notes its longest publish and its longest gap in each round. Meanwhile others
 * come and go: in one round they free what they have and exit, in the next one they are killed in
 * the middle of it. The first is the floor: the same processes, the same noise of the scheduler. So
 * each transport has its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define PERIOD_NS  20000
#define MAX_ROUNDS 10
#define WAIT_NS    INT64_C(10000000000)

enum mode { GRACEFUL, KILLED, MODES };

static const struct side {
	const char *topic;
	const char *floor;
	const char *system;
	enum kickmsg_transport transport;
} sides[] = {
	{ "stall", "floor", "kickmsg-rings", KICKMSG_TRANSPORT_RINGS },
	{ "stall-shared", "floor-shared", "kickmsg-shared", KICKMSG_TRANSPORT_SHARED },
};

struct board {
	const struct side *side;
	_Alignas(STAGE_APART) _Atomic uint32_t phase; /* 1 + round * MODES + mode; 0: not begun */
	_Atomic uint32_t end;
	_Atomic uint32_t stop; /* a victim of this turn is to stop in order */
	_Alignas(STAGE_APART) _Atomic uint32_t ready;
	_Atomic uint32_t survivors_ready;
	/* the longest of each phase, in ticks */
	_Alignas(STAGE_APART) uint64_t publish[MODES * MAX_ROUNDS];
	_Alignas(STAGE_APART) uint64_t gap[MODES * MAX_ROUNDS];
	struct histogram publishes[MODES];
	struct histogram gaps[MODES];
	uint64_t verified;
};

static void note(struct board *board, uint32_t phase, uint64_t ticks, uint64_t *longest,
	struct histogram *histograms)
{
	if (phase == 0)
		return;
	if (ticks > longest[phase - 1])
		longest[phase - 1] = ticks;
	histogram_add(&histograms[(phase - 1) % MODES], ticks);
}

static void survive_publisher(struct board *board, const char *socket_path)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_publisher *publisher;
	struct kickmsg_topic_config config;
	uint64_t period = (uint64_t)(PERIOD_NS / bench_ns_per_tick()), words[8], sequence = 0;

	kickmsg_topic_config_init(&config);
	config.transport = board->side->transport;
	publisher = kick_publisher(client, board->side->topic, &config);
	atomic_fetch_add(&board->survivors_ready, 1);
	while (!atomic_load(&board->end)) {
		uint32_t phase = atomic_load(&board->phase);
		uint64_t start = bench_ticks();
		ssize_t r;

		message_write(words, sizeof(words), sequence++);
		r = kickmsg_send(publisher, words, sizeof(words));
		if (r < 0)
			bench_die("a survivor can't send: %s", kickmsg_strerror((int)r));
		note(board, phase, bench_ticks() - start, board->publish, board->publishes);
		while (bench_ticks() - start < period)
			;
	}
	kickmsg_client_free(client);
}

static void survive_subscriber(struct board *board, const char *socket_path)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_subscriber *subscriber = kick_subscriber(client, board->side->topic);
	uint64_t last = 0, verified = 0;
	uint32_t publisher_id = 0;

	while (!atomic_load(&board->end)) {
		struct kickmsg_sample sample;
		uint32_t phase = atomic_load(&board->phase);
		int r = kickmsg_try_receive(subscriber, &sample);

		if (r == -EAGAIN)
			continue;
		if (r < 0)
			bench_die("a survivor can't receive: %s", kickmsg_strerror(r));
		/* the first message: only the survivor sends yet */
		if (publisher_id == 0) {
			publisher_id = sample.publisher_id;
			atomic_fetch_add(&board->survivors_ready, 1);
		}
		if (!message_good(sample.data, sample.len, sample.publisher_sequence - 1))
			bench_die("a survivor got a wrong message");
		verified++;
		if (sample.publisher_id == publisher_id) {
			uint64_t now = bench_ticks();

			if (last)
				note(board, phase, now - last, board->gap, board->gaps);
			last = now;
		}
		kickmsg_sample_release(&sample);
	}
	board->verified = verified;
	kickmsg_client_free(client);
}

/* Sends or receives until it is killed or told to stop. */
static void victim(struct board *board, const char *socket_path, uint32_t turn)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_publisher *publisher = NULL;
	struct kickmsg_subscriber *subscriber = NULL;
	struct kickmsg_sample sample;
	uint64_t words[8], sequence = 0;
	bool ready = false;

	if (turn % 2)
		publisher = kick_publisher(client, board->side->topic, NULL);
	else
		subscriber = kick_subscriber(client, board->side->topic);
	while (atomic_load(&board->stop) != turn) {
		if (publisher) {
			message_write(words, sizeof(words), sequence++);
			kickmsg_send(publisher, words, sizeof(words));
			usleep(20);
		} else {
			/* the subscriber holds its samples, as many as it may */
			kickmsg_receive(subscriber, 100000, &sample);
		}
		if (!ready)
			atomic_store(&board->ready, turn);
		ready = true;
	}
	kickmsg_client_free(client);
}

static pid_t start(struct board *board, struct bench *bench, int cpu, uint32_t turn,
	void (*survivor)(struct board *board, const char *socket_path))
{
	pid_t pid = bench_fork();

	if (pid == 0) {
		if (cpu >= 0)
			bench_pin((unsigned)cpu);
		if (survivor)
			survivor(board, bench->socket_path);
		else
			victim(board, bench->socket_path, turn);
		exit(0);
	}
	return pid;
}

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
	int64_t end = bench_now_ns() + WAIT_NS;

	while (atomic_load(word) != value) {
		if (bench_now_ns() > end)
			bench_die("stall: somebody isn't there after %d s",
				(int)(WAIT_NS / 1000000000));
		usleep(100);
	}
}

/* Waits until both survivors have noted a figure of the phase: on a busy machine one of them may not
 * have run in it yet. */
static void wait_noted(const struct board *board, uint32_t phase)
{
	const volatile uint64_t *publish = &board->publish[phase - 1];
	const volatile uint64_t *gap = &board->gap[phase - 1];
	int64_t end = bench_now_ns() + WAIT_NS;

	while (*publish == 0 || *gap == 0) {
		if (bench_now_ns() > end)
			bench_die("stall: the survivors don't get on");
		usleep(100);
	}
}

static void one_round(
	struct board *board, struct bench *bench, uint32_t *turn, unsigned victims, enum mode mode)
{
	for (unsigned i = 0; i < victims; i++) {
		pid_t pid = start(board, bench, -1, ++*turn, NULL);

		wait_for(&board->ready, *turn);
		usleep((unsigned)rand() % 500);
		if (mode == KILLED)
			kill(pid, SIGKILL);
		else
			atomic_store(&board->stop, *turn);
		if (bench_reap(pid, 10) != (mode == KILLED ? SIGKILL : 0))
			bench_die("stall: a victim failed by itself");
	}
}

static void report(struct bench *bench, struct board *board, unsigned rounds, unsigned victims,
	const double *probes)
{
	static const char *const loads[] = { "stall-publish", "stall-gap" };
	const uint64_t *longest[] = { board->publish, board->gap };
	const struct histogram *histograms[] = { board->publishes, board->gaps };
	double us = bench_ns_per_tick() / 1e3;

	for (unsigned load = 0; load < 2; load++) {
		double floor = 0;

		for (unsigned mode = 0; mode < MODES; mode++) {
			const struct histogram *all = &histograms[load][mode];
			struct bench_row *row = bench_row_new(&bench->report, loads[load],
				mode == KILLED ? board->side->system : board->side->floor, "us");
			double values[MAX_ROUNDS];

			for (unsigned i = 0; i < rounds; i++)
				values[i] = (double)longest[load][i * MODES + mode] * us;
			bench_row_values(row, values, rounds);
			row->p99 = histogram_quantile(all, 0.99) * us;
			row->p999 = histogram_quantile(all, 0.999) * us;
			row->p9999 = histogram_quantile(all, 0.9999) * us;
			floor = mode == GRACEFUL ? row->median : floor;
			row->ratio = row->median / floor;
			row->noisy = stage_probes_differ(probes[0], probes[1]);
			snprintf(row->note, sizeof(row->note),
				"longest of each round of %u %s; line %.0f/%.0f ns", victims,
				mode == KILLED ? "kills" : "orderly exits", probes[0], probes[1]);
		}
	}
	bench->report.verified += board->verified;
}

static void run(struct bench *bench, const struct side *side)
{
	struct board *board = bench_shared(sizeof(*board));
	unsigned rounds = bench->scale.rounds < MAX_ROUNDS ? bench->scale.rounds : MAX_ROUNDS;
	unsigned victims = bench->scale.kills / rounds + 1;
	double probes[2] = { stage_probe(bench) };
	pid_t survivors[2];
	uint32_t turn = 0;

	board->side = side;
	survivors[0] = start(board, bench, 0, 0, survive_publisher);
	wait_for(&board->survivors_ready, 1);
	survivors[1] = start(board, bench, 1, 0, survive_subscriber);
	wait_for(&board->survivors_ready, 2);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned mode = 0; mode < MODES; mode++) {
			atomic_store(&board->phase, 1 + round * MODES + mode);
			one_round(board, bench, &turn, victims, mode);
			wait_noted(board, 1 + round * MODES + mode);
		}
	}
	atomic_store(&board->end, 1);
	for (unsigned i = 0; i < 2; i++)
		if (bench_reap(survivors[i], 10) != 0)
			bench_die("stall: a survivor failed");
	probes[1] = stage_probe(bench);
	report(bench, board, rounds, victims, probes);
	munmap(board, sizeof(*board));
}

void bench_stall(struct bench *bench, const char *load)
{
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		run(bench, &sides[i]);
}
