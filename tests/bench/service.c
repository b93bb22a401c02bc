/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker costs: attaching through it, and its resident memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/kick.h"

#define MAX_ATTACHES 1000

struct took {
	double connect, attach; /* us */
};

enum { KINDS = 5, TIMES = MAX_ATTACHES };

/* Waits until the broker is done with the last client, whose end would else be in the next one's
 * time. */
static void let_rest(struct kickmsg_client *client, const char *topic, unsigned others)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;
	int64_t end = bench_now_ns() + INT64_C(1000000000);

	while (kickmsg_topic_get_info(client, &ref, &info) == 0 && info.publishers > others)
		if (bench_now_ns() > end)
			bench_die(
				"the broker still has %u publishers of %s", info.publishers, topic);
}

/* Measures an attach: connect, advertise (a new topic, or `topic` that `subscriber` is on), send
 * the first message. */
static struct took attach_once(struct bench *bench, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_subscriber *subscriber)
{
	uint64_t words[1], start = bench_ticks(), connected, end;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_sample sample;
	ssize_t sent;
	int r = 0;

	connected = bench_ticks();
	struct kickmsg_publisher *publisher = kick_publisher(client, topic, config);
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
	return (struct took){ (double)(connected - start) * bench_ns_per_tick() / 1e3,
		(double)(end - connected) * bench_ns_per_tick() / 1e3 };
}

static void attach_row(struct bench *bench, const char *load, const char *system, double *values,
	unsigned count, double goal, double probe)
{
	struct bench_row *row = bench_row_new(&bench->report, load, system, "us");
	double after = stage_probe(bench);

	bench_row_times(row, values, count, goal);
	row->noisy = stage_probes_differ(probe, after);
	snprintf(row->note, sizeof(row->note), "line %.0f/%.0f ns", probe, after);
}

/* Adds the rows of an attach: one of all of it, one without the connect. */
static void attach_rows(struct bench *bench, const char *load, const char *system,
	const struct took *times, unsigned count, double goal, double probe)
{
	static double whole[TIMES], alone[TIMES];
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		alone[i] = times[i].attach;
		whole[i] = times[i].connect + times[i].attach;
	}
	attach_row(bench, load, system, whole, count, 1000, probe);
	snprintf(name, sizeof(name), "%s-connected", load);
	attach_row(bench, name, system, alone, count, goal, probe);
}

/* The broker makes memory ahead of time for shapes that come again, so not for SORT_FIRST. */
enum sort { SORT_DEFAULT, SORT_SMALL /* two pages */, SORT_FIRST /* a payload size of its own */ };

static void attach_config(
	struct kickmsg_topic_config *config, uint32_t transport, enum sort sort, unsigned turn)
{
	kickmsg_topic_config_init(config);
	config->transport = transport;
	if (sort == SORT_FIRST)
		config->max_payload_size -= 128 * (1 + turn % 8);
	if (sort != SORT_SMALL)
		return;
	config->max_payload_size = 8;
	config->max_subscribers = 1;
	config->max_publishers = 2;
	config->ring_capacity = 4;
	config->max_loans = 1;
	config->max_borrows = 1;
}

void bench_attach(struct bench *bench, const char *load)
{
	static const struct {
		uint32_t transport;
		enum sort sort;
		const char *there, *fresh, *joined;
	} kinds[KINDS] = {
		{ KICKMSG_TRANSPORT_RINGS, SORT_DEFAULT, "attach.there", "new-topic",
			"to-receiver" },
		{ KICKMSG_TRANSPORT_SHARED, SORT_DEFAULT, "attach.shared", "new-topic-shared",
			"to-receiver-shared" },
		{ KICKMSG_TRANSPORT_RINGS, SORT_SMALL, "attach.small", "new-topic-small",
			"to-receiver-small" },
		{ KICKMSG_TRANSPORT_RINGS, SORT_FIRST, NULL, "first-topic", NULL },
		{ KICKMSG_TRANSPORT_SHARED, SORT_FIRST, NULL, "first-topic-shared", NULL },
	};
	static struct took fresh[KINDS][TIMES], joined[KINDS][TIMES];
	unsigned count = bench->scale.attaches;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_topic_config config;
	struct kickmsg_subscriber *subscribers[KINDS] = { NULL };
	double probe = stage_probe(bench);

	for (unsigned k = 0; k < KINDS; k++) {
		attach_config(&config, kinds[k].transport, kinds[k].sort, 0);
		if (!kinds[k].there)
			continue;
		kick_publisher(client, kinds[k].there, &config);
		subscribers[k] = kick_subscriber(client, kinds[k].there);
	}
	for (unsigned i = 0; i < KINDS * count; i++) {
		unsigned k = i % KINDS;
		char topic[64];

		snprintf(topic, sizeof(topic), "attach.%u", i);
		attach_config(&config, kinds[k].transport, kinds[k].sort, i / KINDS);
		fresh[k][i / KINDS] = attach_once(bench, topic, &config, NULL);
		let_rest(client, topic, 0);
		if (!kinds[k].there)
			continue;
		joined[k][i / KINDS] = attach_once(bench, kinds[k].there, &config, subscribers[k]);
		let_rest(client, kinds[k].there, 1);
	}
	kickmsg_client_free(client);
	for (unsigned k = 0; k < KINDS; k++) {
		attach_rows(bench, load, kinds[k].fresh, fresh[k], count, 300, probe);
		if (kinds[k].there)
			attach_rows(bench, load, kinds[k].joined, joined[k], count, 150, probe);
	}
}

void bench_broker_memory(struct bench *bench, const char *load)
{
	struct bench_row *row;
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *file;

	/* a fresh broker, which has served only the client that asked whether it is there */
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
