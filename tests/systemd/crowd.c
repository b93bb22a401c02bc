/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients of many topics, or one that comes and goes all the time, until SIGTERM. Any error ends
 * it with status 1 and a word.
 *
 *   crowd CLIENTS TOPICS     so many clients of so many topics each; then a control call each 2 ms
 *   crowd loop               connects, advertises, sends and leaves
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/program.h"

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct kickmsg_client *join(const char *name, unsigned long topics)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client;
	char topic[64];

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.max_publishers = config.max_subscribers = config.max_borrows = 1;
	config.max_loans = 1;
	config.ring_capacity = 4;
	config.pool_size = 9;
	config.max_payload_size = 64;
	must(kickmsg_client_new(NULL, &client), "connect");
	for (unsigned long i = 0; i < topics; i++) {
		snprintf(topic, sizeof topic, "%s.%lu", name, i);
		must(kickmsg_advertise(client, topic, &config, &publisher), "advertise");
		must((int)kickmsg_send(publisher, "x", 1), "send");
	}
	return client;
}

int main(int argc, char **argv)
{
	char name[32], first[64];
	struct kickmsg_topic_ref ref = { .name = first };
	struct kickmsg_topic_info info;
	unsigned long rounds = 0;
	double longest = 0, start = now();

	until_sigterm();
	snprintf(name, sizeof name, "crowd%d", (int)getpid());
	if (argc == 2) {
		for (; !ending; rounds++)
			kickmsg_client_free(join(name, 1));
		printf("%lu rounds\n", rounds);
		return rounds > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	unsigned long clients = strtoul(argv[1], NULL, 10);
	struct kickmsg_client **all = calloc(clients, sizeof *all);
	for (unsigned long i = 0; i < clients; i++) {
		snprintf(name, sizeof name, "crowd%d.%lu", (int)getpid(), i);
		all[i] = join(name, strtoul(argv[2], NULL, 10));
	}
	printf("in after %.2f s\n", now() - start);
	fflush(stdout);
	snprintf(first, sizeof first, "crowd%d.0.0", (int)getpid());
	while (!ending) {
		double before = now();

		must(kickmsg_topic_get_info(all[0], &ref, &info), "info");
		longest = now() - before > longest ? now() - before : longest;
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	printf("the longest control call took %.3f s\n", longest);
	for (unsigned long i = 0; i < clients; i++)
		kickmsg_client_free(all[i]);
	free(all);
	return EXIT_SUCCESS;
}
