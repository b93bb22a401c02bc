/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU that a subscriber needs for a message each millisecond: in a receive that sleeps, by a
 * descriptor over io_uring and over the library's thread, in a wait set of one. The ways take turns.
 * Each has a process of its own, whose threads are counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define PACE_NS  1000000
#define MESSAGES 1000
#define RING     1024

enum way { DIRECT, URING, THREAD, SET, WAYS };

static const char *const names[WAYS] = { "receive", "epoll", "epoll-thread", "waitset" };

struct board {
	_Atomic uint32_t ready;
	double ns; /* ns of CPU for each message */
};

static double cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return ((double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec) * 1e9 +
	       ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e3;
}

struct loop {
	enum way way;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_waitset *set;
	int epoll;
};

static void begin(struct loop *loop)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (loop->way == SET) {
		if (kickmsg_waitset_new(&loop->set) < 0 ||
			kickmsg_waitset_add_subscriber(loop->set, loop->subscriber, loop) < 0)
			bench_die("no wait set");
	} else if (loop->way != DIRECT) {
		setenv("KICKMSG_WAIT", loop->way == URING ? "uring" : "thread", 1);
		int fd = kickmsg_subscriber_get_fd(loop->subscriber);

		loop->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (fd < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			_exit(2);
	}
}

static void take_one(struct loop *loop, struct kickmsg_sample *ret)
{
	struct epoll_event event;
	void *ready;
	int r;

	if (loop->way == DIRECT && (r = kickmsg_receive(loop->subscriber, -1, ret)) < 0)
		bench_die("receive: %s", kickmsg_strerror(r));
	if (loop->way == DIRECT)
		return;
	while ((r = kickmsg_try_receive(loop->subscriber, ret)) == -EAGAIN) {
		if (loop->way == SET)
			kickmsg_waitset_wait(loop->set, -1, &ready, 1);
		else
			epoll_wait(loop->epoll, &event, 1, -1);
	}
	if (r < 0)
		bench_die("receive: %s", kickmsg_strerror(r));
}

static void receive_all(const struct bench *bench, struct board *board, enum way way,
	const char *topic, unsigned count)
{
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct loop loop = { .way = way, .subscriber = kick_subscriber(client, topic) };
	struct kickmsg_sample sample;

	begin(&loop);
	atomic_store(&board->ready, 1);
	stage_futex_wake(&board->ready);
	double before = 0;
	for (unsigned i = 0; i < count; i++) {
		take_one(&loop, &sample);
		if (!message_good(sample.data, sample.len, i))
			bench_die("message %u is wrong", i);
		kickmsg_sample_release(&sample);
		if (i == count / 10) /* messages to warm up */
			before = cpu_ns();
	}
	board->ns = (cpu_ns() - before) / (count - count / 10 - 1);
	kickmsg_client_free(client);
	_exit(0);
}

/* Measures ns of CPU for each message. 0: this way doesn't exist here. */
static double measure(struct bench *bench, struct kickmsg_publisher *publisher, struct board *board,
	enum way way, const char *topic, unsigned count)
{
	struct timespec at;
	uint64_t words[8];

	atomic_store(&board->ready, 0);
	pid_t pid = bench_fork();
	if (pid == 0)
		receive_all(bench, board, way, topic, count);
	for (int i = 0; i < 10000 && !atomic_load(&board->ready) && !bench_wait_any(&pid, 1, 0);
		i++)
		stage_futex_wait(&board->ready, 0, 1);
	clock_gettime(CLOCK_MONOTONIC, &at);
	for (uint64_t i = 0; i < count && atomic_load(&board->ready); i++) {
		message_write(words, sizeof(words), i);
		if (kickmsg_send(publisher, words, sizeof(words)) < 0)
			bench_die("send");
		at.tv_nsec += PACE_NS;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	int status = bench_reap(pid, 10);
	if (status != 0 && !(way == URING && WIFEXITED(status) && WEXITSTATUS(status) == 2))
		bench_die("wait-cpu, %s: status %#x", names[way], (unsigned)status);
	bench->report.verified += status == 0 ? count : 0;
	return status == 0 ? board->ns : 0;
}

void bench_wait_cpu(struct bench *bench, const char *load)
{
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct board *board = bench_shared(sizeof(*board));
	unsigned rounds = bench->scale.smoke ? 1 : 5, count = bench->scale.smoke ? 50 : MESSAGES;
	double values[WAYS][BENCH_MAX_ROUNDS], ratios[BENCH_MAX_ROUNDS];
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.max_payload_size = 64;
	/* the ring is long: a receiver that has no CPU for a while loses nothing */
	config.ring_capacity = RING;
	struct kickmsg_publisher *publisher = kick_publisher(client, load, &config);
	for (unsigned round = 0; round < rounds; round++)
		for (enum way way = 0; way < WAYS; way++)
			values[way][round] = measure(bench, publisher, board, way, load, count);
	for (enum way way = 0; way < WAYS; way++) {
		struct bench_row *row = bench_row_new(&bench->report, load, names[way], "ns");

		if (values[way][0] == 0) {
			bench_row_note(row, "no io_uring with FUTEX_WAIT");
			continue;
		}
		bench_row_values(row, values[way], rounds);
		for (unsigned round = 0; round < rounds; round++)
			ratios[round] = values[way][round] / values[DIRECT][round];
		row->ratio = bench_median(ratios, rounds);
		row->goal = way == URING ? 1.2 : 0;
		bench_row_note(row, "CPU of the receiving process for each message, one each ms");
	}
	kickmsg_client_free(client);
}
