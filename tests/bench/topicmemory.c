/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's memory: what the kernel has reserved for it, against the payloads that its config asks for. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/kick.h"

/* Bytes of the memfds in the broker's hands whose names have `topic` in them. */
static double reserved_bytes(const struct bench *bench, const char *topic)
{
	char path[320], name[256];
	double bytes = 0;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)bench->broker);
	dir = opendir(path);
	if (!dir)
		bench_die("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir))) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)bench->broker, entry->d_name);
		length = readlink(path, name, sizeof(name) - 1);
		if (length < 0)
			continue;
		name[length] = 0;
		if (strstr(name, topic) && stat(path, &st) == 0)
			bytes += 512.0 * (double)st.st_blocks;
	}
	closedir(dir);
	return bytes;
}

static void one_transport(struct bench *bench, const char *load, const char *system,
	const struct kickmsg_topic_config *config, double asked)
{
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_topic_sizing sizing;
	struct bench_row *row;
	double real;

	if (kickmsg_topic_config_check(config, &sizing) < 0)
		bench_die("%s: the config is out of range", load);
	kick_publisher(client, "sized-topic", config);
	real = reserved_bytes(bench, "sized-topic") / 1024;
	kickmsg_client_free(client);
	row = bench_row_new(&bench->report, load, system, "KiB");
	bench_row_values(row, &real, 1);
	row->ratio = real / asked;
	snprintf(row->note, sizeof(row->note), "%.0f KiB said by kickmsg_topic_config_check()",
		(double)sizing.total_bytes / 1024);
	if ((double)sizing.total_bytes != real * 1024)
		bench_die("%s, %s: %.0f KiB reserved, but %.0f said", load, system, real,
			(double)sizing.total_bytes / 1024);
}

static void one_shape(struct bench *bench, const char *load, const char *what,
	struct kickmsg_topic_config *config)
{
	struct kickmsg_topic_sizing sizing;
	struct bench_row *row;
	char name[32];

	kickmsg_topic_config_check(config, &sizing);
	uint64_t pool = config->pool_size > 0 ? config->pool_size : sizing.needed_pool;
	double asked = (double)pool * (double)config->max_payload_size / 1024;

	snprintf(name, sizeof(name), "%s-%s", load, what);
	row = bench_row_new(&bench->report, name, "floor", "KiB");
	bench_row_values(row, &asked, 1);
	row->ratio = 1;
	snprintf(row->note, sizeof(row->note), "%llu payloads of %llu bytes",
		(unsigned long long)pool, (unsigned long long)config->max_payload_size);
	config->transport = KICKMSG_TRANSPORT_RINGS;
	one_transport(bench, name, "kickmsg-rings", config, asked);
	config->transport = KICKMSG_TRANSPORT_SHARED;
	one_transport(bench, name, "kickmsg-shared", config, asked);
}

void bench_topic_memory(struct bench *bench, const char *load)
{
	struct kickmsg_topic_config config;

	/* a fresh broker: one that has made such topics has memory for more of them, without names */
	bench_broker_stop(bench);
	bench_broker_start(bench);
	kickmsg_topic_config_init(&config);
	one_shape(bench, load, "default", &config);
	config.max_payload_size = 64;
	one_shape(bench, load, "64", &config);
	config.max_payload_size = 1 << 20;
	config.pool_size = 16;
	config.ring_capacity = 4;
	config.max_subscribers = 4;
	one_shape(bench, load, "1m", &config);
}
