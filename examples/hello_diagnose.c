/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a topic from outside its traffic: who takes part, its numbers, its health. A child
 * process takes three slots on loan and is killed; nobody tells the broker, and nothing leaks.
 */
#include <errno.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

static const struct kickmsg_topic_ref topic = { .name = "diagnosed" };

/* The child: a client of its own (mappings are not inherited), three loans, and then nothing. */
static void victim(int ready)
{
	const struct kickmsg_client_config config = { .name = "victim" };
	struct kickmsg_client *client;
	struct kickmsg_publisher *pub;
	void *payload;
	int r = kickmsg_client_new(&config, &client);

	if (r == 0)
		r = kickmsg_advertise(client, topic.name, NULL, &pub);
	for (int i = 0; r == 0 && i < 3; i++)
		r = kickmsg_loan(pub, 100, &payload);
	if (r == 0 && write(ready, "", 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

static int look(struct kickmsg_client *client, struct kickmsg_topic_diagnosis *ret)
{
	struct kickmsg_participant who[8];
	struct kickmsg_topic_stats stats;
	uint64_t cursor = 0;
	ssize_t n = kickmsg_topic_participants(client, &topic, &cursor, who, 8);

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n; i++)
		printf("  %s: pid %d, %u publishers, %u subscribers, %s\n", who[i].client_name,
			who[i].pid, who[i].publishers, who[i].subscribers,
			who[i].alive ? "alive" : "dead");
	int r = kickmsg_topic_get_stats(client, &topic, &stats);
	if (r == 0)
		r = kickmsg_topic_diagnose(client, &topic, ret);
	if (r == 0)
		printf("  sent %llu, received %llu; slots: %u free, %u lent, %u in flight; %s\n",
			(unsigned long long)stats.sent, (unsigned long long)stats.received,
			ret->slots_free, ret->slots_loaned, ret->slots_in_flight,
			ret->healthy ? "healthy" : "NOT healthy");
	return r;
}

/* Looks again until all slots are free and the dead is gone, for 10 s at most. */
static int await_recovery(struct kickmsg_client *client)
{
	const struct timespec pause_between = { .tv_nsec = 5000000 };
	struct kickmsg_topic_diagnosis health;

	for (int left = 2000; left > 0; left--) {
		int r = kickmsg_topic_diagnose(client, &topic, &health);

		if (r < 0)
			return r;
		if (health.healthy && health.slots_loaned == 0 && health.publishers == 1)
			return 0;
		nanosleep(&pause_between, NULL);
	}
	return -ETIMEDOUT;
}

static int diagnose(struct kickmsg_client *client, pid_t child)
{
	struct kickmsg_topic_diagnosis health;

	printf("with the child alive:\n");
	int r = look(client, &health);
	if (r == 0 && (health.slots_loaned != 3 || health.publishers != 2 || !health.healthy))
		r = -EPROTO;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (r == 0)
		r = await_recovery(client);
	if (r < 0)
		return r;
	printf("with the child killed:\n");
	r = look(client, &health);
	return r < 0 ? r : health.slots_loaned == 0 && health.healthy ? 0 : -EPROTO;
}

/* Starts the victim and waits until it has its loans. */
static int start_victim(pid_t *ret)
{
	char byte;
	int ready[2];

	if (pipe(ready) < 0)
		return -errno;
	*ret = fork();
	if (*ret < 0)
		return -errno;
	if (*ret == 0)
		victim(ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		return 0;
	waitpid(*ret, NULL, 0);
	return -ECHILD;
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client = NULL;
	struct kickmsg_publisher *pub;
	pid_t child = -1;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0)
		r = kickmsg_advertise(client, topic.name, NULL, &pub);
	if (r == 0)
		r = start_victim(&child);
	if (r == 0)
		r = diagnose(client, child);
	if (r < 0)
		fprintf(stderr, "hello_diagnose: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	kickmsg_client_free(client);
	return output_end("hello_diagnose", r < 0);
}
