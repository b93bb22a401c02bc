/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a frozen reliable subscriber delays its publisher beyond stall_ns. It is stopped before it takes
 * anything, and the publisher sends more than its ring holds. One send waits until the broker has made the
 * subscriber an ordinary one. That no other send finds its ring full is checked.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define MAX_FREEZES 100
#define STALL_NS    INT64_C(20000000)
#define CELLS       64
#define SENDS       (4 * CELLS)
#define GOAL_US     1000

/* A reliable subscriber that stops at once. */
static pid_t start_frozen(const struct bench *bench, const char *topic)
{
	const struct kickmsg_subscribe_options options = { .reliable = 1 };
	pid_t pid = bench_fork();
	int status;

	if (pid == 0) {
		kick_subscriber_with(kick_client(bench->socket_path), topic, &options);
		raise(SIGSTOP);
		_exit(1);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		bench_die("no reliable subscriber");
	return pid;
}

static uint64_t refused(const struct kickmsg_publisher *publisher)
{
	struct kickmsg_publisher_stats stats;

	kickmsg_publisher_get_stats(publisher, &stats);
	return stats.no_room;
}

/* us */
static double freeze_once(
	struct bench *bench, const char *topic, struct kickmsg_publisher *publisher)
{
	const uint64_t before = refused(publisher);
	pid_t frozen = start_frozen(bench, topic);
	int64_t longest = 0;

	for (uint64_t i = 0; i < SENDS; i++) {
		int64_t start = bench_now_ns();
		ssize_t r = kickmsg_send_wait(publisher, &i, sizeof(i), -1);
		int64_t took = bench_now_ns() - start;

		if (r != sizeof(i))
			bench_die("send: %s", kickmsg_strerror((int)r));
		longest = took > longest ? took : longest;
	}
	if (refused(publisher) != before + 1)
		bench_die("%llu sends waited for a frozen subscriber",
			(unsigned long long)(refused(publisher) - before));
	kill(frozen, SIGKILL);
	bench_reap(frozen, 10);
	bench->report.verified++;
	return (double)(longest - STALL_NS) / 1e3;
}

static void frozen_row(
	struct bench *bench, const char *load, const char *system, enum kickmsg_transport transport)
{
	unsigned count = bench->scale.kills < MAX_FREEZES ? bench->scale.kills : MAX_FREEZES;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_topic_config config;
	double values[MAX_FREEZES];

	kickmsg_topic_config_init(&config);
	config.max_payload_size = 64;
	config.max_publishers = 1;
	config.max_reliable = 1;
	config.stall_ns = STALL_NS;
	config.ring_capacity = CELLS;
	config.transport = transport;
	struct kickmsg_publisher *publisher = kick_publisher(client, system, &config);
	for (unsigned i = 0; i < count; i++)
		values[i] = freeze_once(bench, system, publisher);
	kickmsg_client_free(client);
	struct bench_row *row = bench_row_new(&bench->report, load, system, "us");
	bench_row_times(row, values, count, GOAL_US);
	snprintf(row->note, sizeof(row->note), "beyond a stall_ns of %d ms, one send of %d",
		(int)(STALL_NS / 1000000), SENDS);
}

void bench_frozen(struct bench *bench, const char *load)
{
	frozen_row(bench, load, "kickmsg-shared", KICKMSG_TRANSPORT_SHARED);
	frozen_row(bench, load, "kickmsg-rings", KICKMSG_TRANSPORT_RINGS);
}
