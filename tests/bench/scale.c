/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker with many topics and with many clients: what each one takes, how fast they come, what
 * they cost when nothing happens, and how long a death goes unnoticed among them. They are held by
 * one other process; a broker of its own, started afresh, has nothing else.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define TOPICS_PER_CLIENT 250
#define MAX_CLIENTS       1000
#define MAX_DEATHS        100
#define HOLD_SECONDS      60.0
#define WAIT_NS           INT64_C(10000000000)

struct board {
	_Atomic uint32_t ready; /* futex: what was asked for is there */
	_Atomic uint32_t end;   /* futex */
	double seconds;         /* ns that it took */
};

static void tell(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	stage_futex_wake(word);
}

static void hold(struct board *board)
{
	tell(&board->ready, 1);
	while (!atomic_load(&board->end))
		stage_futex_wait(&board->end, 0, -1);
}

static void holder_topics(const struct bench *bench, struct board *board, unsigned count,
	const struct kickmsg_topic_config *config)
{
	struct kickmsg_client *client = NULL;
	int64_t start = bench_now_ns();

	for (unsigned i = 0; i < count; i++) {
		char topic[64];

		if (i % TOPICS_PER_CLIENT == 0)
			client = kick_client(bench->socket_path);
		snprintf(topic, sizeof(topic), "scale.%u", i);
		kick_publisher(client, topic, config);
	}
	board->seconds = (double)(bench_now_ns() - start) / 1e9;
	hold(board);
}

static void holder_clients(const struct bench *bench, struct board *board, unsigned count,
	const struct kickmsg_topic_config *config)
{
	int64_t start = bench_now_ns();

	for (unsigned i = 0; i < count; i++)
		kick_client(bench->socket_path);
	board->seconds = (double)(bench_now_ns() - start) / 1e9;
	hold(board);
}

static pid_t start_holder(struct bench *bench, struct board *board, unsigned count,
	const struct kickmsg_topic_config *config,
	void (*holder)(const struct bench *bench, struct board *board, unsigned count,
		const struct kickmsg_topic_config *config))
{
	int64_t end = bench_now_ns() + (int64_t)(HOLD_SECONDS * 1e9);
	pid_t pid = bench_fork();

	if (pid == 0) {
		holder(bench, board, count, config);
		/* the kernel ends thousands of endpoints faster than a call for each would */
		_exit(0);
	}
	while (!atomic_load(&board->ready)) {
		stage_futex_wait(&board->ready, 0, 100);
		if (waitpid(pid, NULL, WNOHANG) == pid || bench_now_ns() > end)
			bench_die("the process that holds %u topics or clients failed", count);
	}
	return pid;
}

static void end_holder(struct bench *bench, struct board *board, pid_t pid)
{
	tell(&board->end, 1);
	bench_reap(pid, HOLD_SECONDS);
	munmap(board, sizeof(*board));
	/* a fresh broker for the next load, since this one still clears thousands of topics away */
	bench_broker_stop(bench);
	bench_broker_start(bench);
}

static unsigned long status_kib(pid_t pid, const char *what)
{
	unsigned long kib = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, what, strlen(what)) == 0)
			sscanf(line + strlen(what), ": %lu", &kib);
	if (file)
		fclose(file);
	return kib;
}

/* A process' own memory. The shared pages of topics, which it maps as well, aren't counted. */
static double own_bytes(pid_t pid)
{
	return 1024.0 * (double)(status_kib(pid, "RssAnon") + status_kib(pid, "RssFile"));
}

/* The kernel's memory for all processes in bytes: pages of topics, inodes and files, tables of
 * pages. */
static double kernel_bytes(void)
{
	static const char *const names[] = { "Shmem:", "Slab:", "PageTables:" };
	char line[128];
	unsigned long kib, sum = 0;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0 &&
				sscanf(line + strlen(names[i]), "%lu", &kib) == 1)
				sum += kib;
	if (file)
		fclose(file);
	return 1024.0 * (double)sum;
}

/* The CPU time that a process has had. */
static double cpu_ns(pid_t pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &ns) != 1)
		bench_die("%s can't be read", path);
	fclose(file);
	return (double)ns;
}

static struct bench_row *one_figure(
	struct bench *bench, const char *load, const char *unit, double value)
{
	struct bench_row *row = bench_row_new(&bench->report, load, "kickmsgd", unit);

	bench_row_values(row, &value, 1);
	return row;
}

/* The row of the memory that each one uses. It isn't known where a few needed no further page,
 * or where other processes gave back more meanwhile. */
static struct bench_row *memory_figure(
	struct bench *bench, const char *load, const char *unit, double used)
{
	struct bench_row *row = one_figure(bench, load, unit, used);

	row->known = used > 0;
	return row;
}

/* The number of topics that the broker's descriptors allow. */
static unsigned possible_topics(unsigned wanted)
{
	struct rlimit limit;
	unsigned most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
		return wanted;
	most = limit.rlim_max > 2000 ? (unsigned)(limit.rlim_max - 800) / 2 : 100;
	return wanted < most ? wanted : most;
}

static void note_count(struct bench_row *row, unsigned count, unsigned wanted, const char *shape)
{
	snprintf(row->note, sizeof(row->note), "%u topics%s, %s", count,
		count < wanted ? " (all that its descriptors allow here)" : "", shape);
}

/* Measures many topics. `goal`: KiB that one topic takes in all, the kernel's included; 0: no
 * goal. */
static void topics_of(struct bench *bench, const char *load, const char *shape,
	const struct kickmsg_topic_config *config, double goal)
{
	struct board *board = bench_shared(sizeof(*board));
	unsigned wanted = bench->scale.topics, count = possible_topics(wanted);
	double before = own_bytes(bench->broker), seconds = bench->scale.round_seconds * 250;
	double kernel = kernel_bytes();
	char name[32];
	pid_t holder = start_holder(bench, board, count, config, holder_topics);
	int64_t start;
	double used;

	snprintf(name, sizeof(name), "%s-advertise", load);
	note_count(one_figure(bench, name, "1/s", count / board->seconds), count, wanted, shape);
	snprintf(name, sizeof(name), "%s-memory", load);
	note_count(memory_figure(bench, name, "B", (own_bytes(bench->broker) - before) / count),
		count, wanted, shape);
	kernel = kernel_bytes() - kernel + own_bytes(bench->broker) - before;
	snprintf(name, sizeof(name), "%s-total", load);
	struct bench_row *total = memory_figure(bench, name, "KiB", kernel / 1024 / count);
	total->goal = goal;
	total->goal_is_absolute = true;
	note_count(total, count, wanted, shape);
	/* the broker's first looks at the new topics are over after this */
	usleep(bench->scale.smoke ? 1000 : 500000);
	start = bench_now_ns();
	used = cpu_ns(bench->broker);
	usleep((useconds_t)(seconds * 1e6));
	used = (cpu_ns(bench->broker) - used) / (double)(bench_now_ns() - start);
	snprintf(name, sizeof(name), "%s-health", load);
	/* in a short run the broker may not have run at all: then the figure is nearly 0 */
	struct bench_row *row = one_figure(bench, name, "%", used > 0 ? 100 * used : 1e-6);
	row->goal = 1;
	row->goal_is_absolute = true;
	note_count(row, count, wanted, shape);
	end_holder(bench, board, holder);
}

void bench_broker_topics(struct bench *bench, const char *load)
{
	struct kickmsg_topic_config config;

	bench_broker_stop(bench);
	bench_broker_start(bench);
	kickmsg_topic_config_init(&config);
	config.max_payload_size = 64; /* memory for payloads isn't the broker's own */
	topics_of(bench, "topics", "16 rings of 64, 225 slots", &config, 0);
	config.max_subscribers = 1;
	config.max_publishers = 1;
	config.ring_capacity = 4;
	config.max_loans = 1;
	config.max_borrows = 1;
	config.pool_size = 8;
	topics_of(bench, "topics-small", "1 ring of 4, 8 slots", &config, 24);
}

/* Kills a client that has a topic. Returns the us until the broker says that the topic has no
 * publisher. */
static double one_death(const struct bench *bench, struct kickmsg_client *client, unsigned index)
{
	struct kickmsg_topic_info info;
	struct kickmsg_topic_ref topic = { 0 };
	struct board *board = bench_shared(sizeof(*board));
	struct kickmsg_topic_config config;
	pid_t pid;
	int64_t start, now;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "death.%u", index);
	topic.name = name;
	kickmsg_topic_config_init(&config);
	config.max_payload_size = 64;
	config.linger_ns = UINT64_C(60000000000);
	pid = bench_fork();
	if (pid == 0) {
		kick_publisher(kick_client(bench->socket_path), name, &config);
		hold(board);
	}
	while (!atomic_load(&board->ready))
		stage_futex_wait(&board->ready, 0, 100);
	start = bench_now_ns();
	kill(pid, SIGKILL);
	do {
		r = kickmsg_topic_get_info(client, &topic, &info);
		now = bench_now_ns();
		if (r < 0 || now - start > WAIT_NS)
			bench_die("a death isn't noticed: %s", kickmsg_strerror(r));
	} while (info.publishers > 0);
	waitpid(pid, NULL, 0);
	munmap(board, sizeof(*board));
	kickmsg_unlink_topic(client, name);
	return (double)(now - start) / 1e3;
}

void bench_broker_clients(struct bench *bench, const char *load)
{
	static double deaths[MAX_DEATHS];
	struct board *board = bench_shared(sizeof(*board));
	unsigned count = bench->scale.clients, kills = bench->scale.kills / 2 + 1;
	struct kickmsg_client *client;
	struct bench_row *row;
	double before;
	pid_t holder;

	bench_broker_stop(bench);
	bench_broker_start(bench);
	kills = kills < MAX_DEATHS ? kills : MAX_DEATHS;
	before = own_bytes(bench->broker);
	holder = start_holder(bench, board, count, NULL, holder_clients);
	row = one_figure(bench, "clients-connect", "1/s", count / board->seconds);
	snprintf(row->note, sizeof(row->note), "%u clients", count);
	row = memory_figure(
		bench, "clients-memory", "B", (own_bytes(bench->broker) - before) / count);
	snprintf(row->note, sizeof(row->note), "%u clients", count);
	client = kick_client(bench->socket_path);
	for (unsigned i = 0; i < kills; i++)
		deaths[i] = one_death(bench, client, i);
	kickmsg_client_free(client);
	row = bench_row_new(&bench->report, "clients-death", "kickmsgd", "us");
	bench_row_values(row, deaths, kills);
	snprintf(row->note, sizeof(row->note),
		"SIGKILL to a topic without its publisher, %u times among %u clients", kills,
		count);
	end_holder(bench, board, holder);
}
