/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker costs: attaching through it, and its resident memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/kick.h"

#define MAX_ATTACHES 1000

/* Connect, advertise (a new topic, or `topic` that `subscriber` is on), first message; us. */
static double attach_once(struct bench *bench, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_subscriber *subscriber)
{
	uint64_t words[8], start = bench_ticks(), end;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_publisher *publisher = kick_publisher(client, topic, config);
	struct kickmsg_sample sample;
	ssize_t sent;
	int r = 0;

	message_write(words, sizeof(words), start);
	sent = kickmsg_send(publisher, words, sizeof(words));
	if (subscriber && sent >= 0)
		r = kickmsg_try_receive(subscriber, &sample);
	end = bench_ticks();
	if (sent < 0 || r < 0)
		bench_die("first message: %s", kickmsg_strerror(sent < 0 ? (int)sent : r));
	if (subscriber) {
		if (!message_good(sample.data, sizeof(words), start))
			bench_die("the first message is wrong");
		kickmsg_sample_release(&sample);
		bench->report.verified++;
	}
	kickmsg_client_free(client);
	return (double)(end - start) * bench_ns_per_tick() / 1e3;
}

static void attach_row(struct bench *bench, const char *load, const char *system, double *values,
	unsigned count, double probe)
{
	struct bench_row *row = bench_row_new(&bench->report, load, system, "us");
	double after = stage_probe(bench);

	bench_row_values(row, values, count);
	bench_median(values, count); /* sorts them */
	row->p99 = values[count * 99 / 100];
	row->goal = 1000;
	row->goal_is_absolute = true;
	row->noisy = stage_probes_differ(probe, after);
	snprintf(row->note, sizeof(row->note), "line %.0f/%.0f ns", probe, after);
}

void bench_attach(struct bench *bench, const char *load)
{
	static const struct {
		uint32_t transport;
		const char *there, *fresh, *joined;
	} kinds[] = {
		{ KICKMSG_TRANSPORT_RINGS, "attach.there", "new-topic", "to-receiver" },
		{ KICKMSG_TRANSPORT_SHARED, "attach.shared", "new-topic-shared",
			"to-receiver-shared" },
	};
	static double fresh[2][MAX_ATTACHES], joined[2][MAX_ATTACHES];
	unsigned count = bench->scale.attaches;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_topic_config configs[2];
	struct kickmsg_subscriber *subscribers[2];
	double probe = stage_probe(bench);

	for (unsigned k = 0; k < 2; k++) {
		kickmsg_topic_config_init(&configs[k]);
		configs[k].transport = kinds[k].transport;
		kick_publisher(client, kinds[k].there, &configs[k]);
		subscribers[k] = kick_subscriber(client, kinds[k].there);
	}
	for (unsigned i = 0; i < 2 * count; i++) {
		unsigned k = i % 2;
		char topic[64];

		snprintf(topic, sizeof(topic), "attach.%u", i);
		fresh[k][i / 2] = attach_once(bench, topic, &configs[k], NULL);
		joined[k][i / 2] = attach_once(bench, kinds[k].there, &configs[k], subscribers[k]);
	}
	kickmsg_client_free(client);
	for (unsigned k = 0; k < 2; k++) {
		attach_row(bench, load, kinds[k].fresh, fresh[k], count, probe);
		attach_row(bench, load, kinds[k].joined, joined[k], count, probe);
	}
}

void bench_broker_memory(struct bench *bench, const char *load)
{
	struct bench_row *row;
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *file;

	/* one that has served nobody but the client that asked whether it is there */
	bench_broker_stop(bench);
	bench_broker_start(bench);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)bench->broker);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %lu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	if (kib == 0)
		bench_die("%s says no VmRSS", path);
	row = bench_row_new(&bench->report, load, "kickmsgd", "KiB");
	bench_row_values(row, &(double){ (double)kib }, 1);
	row->goal = 3 * 1024;
	row->goal_is_absolute = true;
	snprintf(row->note, sizeof(row->note), "VmRSS of an idle broker");
}
