/* SPDX-License-Identifier: Apache-2.0 */
/* A send costs the same whatever its subscriber sleeps by: see count.h. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "tests/bench/count.h"
#include "tests/bench/kick.h"
#include "tests/support/uring.h"

enum sleep { BY_RECEIVE, BY_URING, BY_THREAD, BY_RING_OF_THREAD, BY_SET, SLEEPS };

static const char *const sleep_names[SLEEPS] = { "a receive", "a descriptor over io_uring",
	"a descriptor over the library's thread", "a descriptor over the thread's io_uring",
	"a wait set" };

/* So many descriptors of a client have a ring of their own; the next one is the thread's. */
#define OWN_RINGS 64

/* So many sends with one and the same count make that the count: a sleeper may wake by itself
 * meanwhile (each 0.1 s). */
#define ALIKE    5
#define MAX_SENT 100

struct board {
	_Atomic uint32_t waits; /* messages that the subscriber has begun to wait for */
	_Atomic uint32_t sends; /* one more than the publisher may have sent */
	_Atomic uint32_t over;
};

struct sleeper {
	enum sleep by;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_waitset *set;
	int fd;
};

/* The next descriptor of the client is served by the library's thread. */
static void use_up_rings(struct kickmsg_client *client)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_subscribers = OWN_RINGS;
	if (kickmsg_advertise(client, "others", &config, &publisher) < 0)
		_exit(1);
	for (int i = 0; i < OWN_RINGS; i++)
		if (kickmsg_subscribe(client, "others", NULL, &subscriber) < 0 ||
			kickmsg_subscriber_get_fd(subscriber) < 0)
			_exit(1);
}

static bool needs_uring(enum sleep by)
{
	return by == BY_URING || by == BY_RING_OF_THREAD;
}

static void begin(struct sleeper *sleeper, struct kickmsg_client *client)
{
	struct kickmsg_client_info info;

	if (sleeper->by == BY_SET) {
		if (kickmsg_waitset_new(&sleeper->set) < 0 ||
			kickmsg_waitset_add_subscriber(sleeper->set, sleeper->subscriber, sleeper) <
				0)
			_exit(1);
	} else if (sleeper->by != BY_RECEIVE) {
		setenv("KICKMSG_WAIT", needs_uring(sleeper->by) ? "uring" : "thread", 1);
		if (sleeper->by == BY_RING_OF_THREAD)
			use_up_rings(client);
		sleeper->fd = kickmsg_subscriber_get_fd(sleeper->subscriber);
		kickmsg_client_get_info(client, &info);
		if (sleeper->fd < 0 || info.wait_threads != (sleeper->by != BY_URING))
			_exit(1);
	}
}

static int take(struct sleeper *sleeper, struct kickmsg_sample *ret)
{
	struct pollfd polled = { .fd = sleeper->fd, .events = POLLIN };
	void *ready;
	int r;

	if (sleeper->by == BY_RECEIVE)
		return kickmsg_receive(sleeper->subscriber, -1, ret);
	while ((r = kickmsg_try_receive(sleeper->subscriber, ret)) == -EAGAIN) {
		if (sleeper->by == BY_SET)
			kickmsg_waitset_wait(sleeper->set, -1, &ready, 1);
		else
			poll(&polled, 1, -1);
	}
	return r;
}

static void subscribe_and_sleep(
	const char *socket_path, struct board *board, enum count_way way, enum sleep by)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct sleeper sleeper = { .by = by };
	struct kickmsg_sample sample;

	sleeper.subscriber = count_subscriber(client, way, ".waits");
	begin(&sleeper, client);
	for (;;) {
		atomic_fetch_add(&board->waits, 1);
		if (take(&sleeper, &sample) < 0 || kickmsg_sample_release(&sample) < 0)
			_exit(1);
	}
}

/* Do all threads of the process sleep? */
static bool is_asleep(pid_t pid)
{
	char path[64];
	bool asleep = true;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return false;
	for (struct dirent *task; asleep && (task = readdir(tasks));) {
		char name[512], line[256] = "";

		if (task->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s/stat", path, task->d_name);
		FILE *file = fopen(name, "re");
		char *got = file ? fgets(line, sizeof(line), file) : NULL;
		const char *state = got ? strrchr(line, ')') : NULL;
		asleep = state && state[2] == 'S';
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return asleep;
}

static void wait_until(const _Atomic uint32_t *word, uint32_t value, pid_t sleeper)
{
	for (int i = 0; i < 100000; i++) {
		if (atomic_load(word) >= value && (sleeper == 0 || is_asleep(sleeper)))
			return;
		usleep(100);
	}
	bench_die("count-waits: nobody comes");
}

/* Sends as often as the board allows, each time between two marks. */
static void send_all(const char *socket_path, struct board *board, enum count_way way, pid_t parent)
{
	bench_die_with(parent);
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_publisher *publisher = count_publisher(client, way, ".waits");
	const uint64_t words[8] = { 0 };
	ssize_t r = 0;

	atomic_store(&board->sends, 1);
	for (uint32_t i = 1; i <= SLEEPS * MAX_SENT; i++) {
		if (i == 1)
			count_be_traced();
		COUNT_MARK();
		r = kickmsg_send(publisher, words, sizeof(words));
		COUNT_MARK();
		if (r < 0)
			_exit(1);
	}
	_exit(0);
}

static bool is_same(struct count_steps a, struct count_steps b)
{
	return a.instructions == b.instructions && a.locked == b.locked && a.calls == b.calls;
}

/* Finds the count that ALIKE sends have. The first sends differ, since their symbols aren't
 * bound yet. */
static struct count_steps count_usual(pid_t publisher, struct board *board, pid_t sleeper)
{
	struct count_steps seen[MAX_SENT];

	for (unsigned i = 0; i < MAX_SENT; i++) {
		unsigned alike = 0;

		wait_until(&board->waits, i + 1, sleeper);
		seen[i] = count_steps(publisher, "a send to a sleeper");
		for (unsigned k = 0; k <= i; k++)
			alike += is_same(seen[k], seen[i]);
		if (alike == ALIKE)
			return seen[i];
	}
	bench_die("count-waits: no two sends are alike");
}

static int count_way(const char *socket_path, enum count_way way)
{
	struct board *board = bench_shared(sizeof(*board));
	struct count_steps usual[SLEEPS];
	pid_t parent = getpid();
	int bad = 0;

	fflush(NULL);
	pid_t publisher = fork();
	if (publisher == 0)
		send_all(socket_path, board, way, parent);
	wait_until(&board->sends, 1, 0);
	if (!count_traced(publisher))
		return COUNT_SKIPPED;
	for (enum sleep by = 0; by < SLEEPS; by++) {
		if (needs_uring(by) && !test_has_uring())
			continue;
		atomic_store(&board->waits, 0);
		pid_t sleeper = bench_fork();
		if (sleeper == 0)
			subscribe_and_sleep(socket_path, board, way, by);
		usual[by] = count_usual(publisher, board, sleeper);
		kill(sleeper, SIGKILL);
		bench_reap(sleeper, 10);
		bool good = is_same(usual[by], usual[BY_RECEIVE]) && usual[by].calls == 1;
		printf("%s: send to who sleeps by %s: %u instructions, %u locked, %u system "
		       "calls%s\n",
			count_way_name(way), sleep_names[by], usual[by].instructions,
			usual[by].locked, usual[by].calls, good ? "" : ": WRONG");
		bad |= !good;
	}
	kill(publisher, SIGKILL);
	bench_reap(publisher, 10);
	return bad;
}

int count_waits(const char *socket_path)
{
	int bad = 0;

	for (enum count_way way = 0; way < COUNT_WAYS && bad == 0; way++)
		bad = count_way(socket_path, way);
	return bad;
}
