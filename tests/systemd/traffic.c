/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that talks to itself through the broker's memory, and asks the broker now and then,
 * until SIGTERM. Any error ends it with status 1 and a word.
 *
 *   traffic [once]
 *   traffic topics COUNT      holds so many more topics meanwhile
 *   traffic refused COUNT     asks so often for what there can't be
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/program.h"

/* A topic of a shape that can't be. */
static void be_refused(unsigned long count)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client;

	kickmsg_topic_config_init(&config);
	must(kickmsg_client_new(NULL, &client), "connect");
	must(kickmsg_advertise(client, "nag", NULL, &publisher), "advertise");
	config.ring_capacity *= 2;
	while (count-- > 0) {
		struct kickmsg_publisher *other;

		must(kickmsg_advertise(client, "nag", &config, &other) < 0 ? 0 : -EPROTO, "refuse");
	}
	kickmsg_client_free(client);
}

/* Makes topics that live as long as the client. */
static void hold(struct kickmsg_client *client, unsigned long count)
{
	struct kickmsg_publisher *publisher;
	char name[32];

	while (count-- > 0) {
		snprintf(name, sizeof name, "held%d.%lu", (int)getpid(), count);
		must(kickmsg_advertise(client, name, NULL, &publisher), "hold");
	}
}

int main(int argc, char **argv)
{
	bool once = argc > 1 && strcmp(argv[1], "once") == 0;
	char name[32]; /* it gets what it has sent itself */
	struct kickmsg_topic_ref ref = { .name = name };
	struct kickmsg_topic_info info;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	unsigned long messages = 0, calls = 0;
	int64_t longest_ns = 0;

	if (argc > 2 && strcmp(argv[1], "refused") == 0) {
		be_refused(strtoul(argv[2], NULL, 10));
		return EXIT_SUCCESS;
	}
	snprintf(name, sizeof name, "traffic%d", (int)getpid());
	until_sigterm();
	must(kickmsg_client_new(NULL, &client), "connect");
	must(kickmsg_advertise_or_join(client, name, NULL, &publisher), "advertise");
	must(kickmsg_subscribe(client, name, NULL, &subscriber), "subscribe");
	if (argc > 2)
		hold(client, strtoul(argv[2], NULL, 10));
	puts("ready");
	fflush(stdout);
	do {
		struct timespec before, after;

		for (int i = 0; i < 100; i++, messages++) {
			unsigned long got = 0;

			must((int)kickmsg_send(publisher, &messages, sizeof messages), "send");
			must((int)kickmsg_try_receive_copy(subscriber, &got, sizeof got),
				"receive");
			must(got == messages ? 0 : -EPROTO, "compare");
		}
		clock_gettime(CLOCK_MONOTONIC, &before);
		must(kickmsg_topic_get_info(client, &ref, &info), "info");
		clock_gettime(CLOCK_MONOTONIC, &after);
		calls++;
		int64_t ns = (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec -
			     before.tv_nsec;
		longest_ns = ns > longest_ns ? ns : longest_ns;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	} while (!ending && !once);
	printf("%lu messages, %lu calls, the longest took %.1f ms, lost %llu\n", messages, calls,
		(double)longest_ns / 1e6, (unsigned long long)kickmsg_subscriber_lost(subscriber));
	must(kickmsg_subscriber_lost(subscriber) == 0 ? 0 : -EPROTO, "lost");
	kickmsg_client_free(client);
	return EXIT_SUCCESS;
}
