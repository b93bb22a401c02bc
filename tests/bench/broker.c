/* SPDX-License-Identifier: Apache-2.0 */
/* The run's own broker: it has a private directory and a private socket, and ends with the run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/bench/bench.h"

#define START_SECONDS 10
#define STOP_SECONDS  5.0

static char socket_path[96];
static char config_path[96];

/* True when the broker takes connections. */
static bool broker_ready(void)
{
	struct kickmsg_client_config config = { .socket_path = socket_path };
	struct kickmsg_client *client;

	if (kickmsg_client_new(&config, &client) < 0)
		return false;
	kickmsg_client_free(client);
	return true;
}

/* Starts the broker with a config of ours, so the machine's own plays no part. Its limits are
 * beyond all loads. */
static void write_config(const struct bench *bench)
{
	FILE *file;

	snprintf(config_path, sizeof(config_path), "%s/kickmsgd.conf", bench->dir);
	file = fopen(config_path, "we");
	if (!file || fputs("[limits]\nclients = 2000\ntopics = 20000\n", file) < 0 ||
		fclose(file) != 0)
		bench_die("%s: %s", config_path, strerror(errno));
}

void bench_broker_start(struct bench *bench)
{
	const char *tmp = getenv("TMPDIR");
	int64_t end = bench_now_ns() + START_SECONDS * INT64_C(1000000000);
	pid_t parent = getpid();

	snprintf(bench->dir, sizeof(bench->dir), "%s/kickmsg-bench-XXXXXX",
		tmp && strlen(tmp) < 32 ? tmp : "/tmp");
	if (!mkdtemp(bench->dir)) {
		bench->dir[0] = 0;
		bench_die("mkdtemp: %s", strerror(errno));
	}
	snprintf(socket_path, sizeof(socket_path), "%s/broker.sock", bench->dir);
	bench->socket_path = socket_path;
	write_config(bench);
	bench->broker = fork();
	if (bench->broker < 0)
		bench_die("fork: %s", strerror(errno));
	if (bench->broker == 0) {
		bench_die_with(parent);
		execl(bench->kickmsgd, bench->kickmsgd, "--config", config_path, "--socket",
			socket_path, "--log-level", "error", (char *)NULL);
		fprintf(stderr, "kickmsg-bench: %s: %s\n", bench->kickmsgd, strerror(errno));
		_exit(127);
	}
	while (!broker_ready()) {
		pid_t ended[] = { bench->broker };

		if (bench_now_ns() > end)
			bench_die("%s takes no connections after %d s", bench->kickmsgd,
				START_SECONDS);
		bench_wait_any(ended, 1, 0.005);
		if (waitpid(ended[0], NULL, WNOHANG) == ended[0]) {
			bench->broker = 0;
			bench_die("%s has ended at once", bench->kickmsgd);
		}
	}
}

/* Removes our config, and the files of a broker or a peer that was killed. Nobody makes
 * subfolders. */
static void empty_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
}

void bench_broker_stop(struct bench *bench)
{
	if (bench->broker > 0) {
		kill(bench->broker, SIGTERM);
		bench_reap(bench->broker, STOP_SECONDS);
		bench->broker = 0;
	}
	if (bench->dir[0]) {
		empty_directory(bench->dir);
		if (rmdir(bench->dir) < 0)
			fprintf(stderr, "kickmsg-bench: %s: %s\n", bench->dir, strerror(errno));
		bench->dir[0] = 0;
	}
}

void bench_broker_abandon(const struct bench *bench)
{
	if (bench->broker > 0)
		kill(bench->broker, SIGKILL);
	if (bench->dir[0]) {
		unlink(config_path);
		unlink(socket_path);
		rmdir(bench->dir);
	}
}
