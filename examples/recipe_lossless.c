/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic whose logger loses nothing: kickmsg-recipes(7). The logger is a reliable subscriber, so the writer
 * waits where the ring is full of what the logger hasn't got yet. A logger that stands still for longer than
 * stall_ns is waited for no more, and both are told.
 */
#include <errno.h>
#include <kickmsg.h>
#include <pthread.h>
#include <stdio.h>

#include "output.h"

enum { ENTRIES = 10000, LAST = -1 };

struct logger {
	struct kickmsg_subscriber *log;
	int logged, result;
};

static void *write_log(void *argument)
{
	struct logger *logger = argument;
	int entry = 0;

	while (entry != LAST) {
		ssize_t n = kickmsg_receive_copy(logger->log, &entry, sizeof entry, -1);

		/* the logger stood still for too long: from here on it may lose entries */
		if (n == -ENOLINK) {
			fprintf(stderr, "recipe_lossless: publishers wait no more\n");
		} else if (n < 0) {
			logger->result = (int)n;
			break;
		} else if (entry != LAST) {
			logger->logged++; /* to a file */
		}
	}
	return NULL;
}

static int run(struct kickmsg_client *client, struct logger *logger, int *ret_sent)
{
	const struct kickmsg_subscribe_options options = { .reliable = 1 };
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *writer;
	pthread_t thread;
	ssize_t n = 0;

	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_payload_size = sizeof(int);
	config.max_reliable = 1;
	config.stall_ns = 5000000000; /* longer than the logger's disk takes at its worst */
	int r = kickmsg_advertise(client, "lossless", &config, &writer);
	if (r == 0)
		r = kickmsg_subscribe(client, "lossless", &options, &logger->log);
	if (r < 0)
		return r;
	if (pthread_create(&thread, NULL, write_log, logger) != 0)
		return -EAGAIN;
	for (int entry = 0; n >= 0 && entry < ENTRIES; entry++) {
		n = kickmsg_send_wait(writer, &entry, sizeof entry, -1);
		*ret_sent += n >= 0;
	}
	const int last = LAST;
	if (n >= 0)
		n = kickmsg_send_wait(writer, &last, sizeof last, -1);
	if (n < 0)
		kickmsg_subscriber_interrupt(logger->log);
	pthread_join(thread, NULL);
	return n < 0 ? (int)n : logger->result;
}

int main(void)
{
	struct kickmsg_client *client = NULL;
	struct logger logger = { 0 };
	int sent = 0;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = run(client, &logger, &sent);
	if (r == 0)
		printf("%d entries sent, %d logged, %lu lost\n", sent, logger.logged,
			(unsigned long)kickmsg_subscriber_lost(logger.log));
	else
		fprintf(stderr, "recipe_lossless: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return output_end("recipe_lossless", r < 0);
}
