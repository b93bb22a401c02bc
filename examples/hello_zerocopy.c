/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides without a copy: the publisher lets the kernel read its standard input into the lent
 * slot, the subscriber writes to its standard output from there. `hello_zerocopy pub < FILE`, and
 * before that, in another shell, `hello_zerocopy sub COUNT > COPY` for COUNT frames of up to 1 MiB.
 * SIGTERM ends `sub` in its sleep, and it says what it lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_SIZE (1u << 20)

static int publish_side(struct kickmsg_client *client)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *pub;
	ssize_t len = 1;
	void *frame;

	kickmsg_topic_config_init(&config);
	config.max_payload_size = FRAME_SIZE;
	config.ring_capacity = 16;
	config.max_publishers = 2;
	config.max_subscribers = 4; /* all of which takes 45 slots */
	int r = kickmsg_advertise(client, "frames", &config, &pub);
	if (r < 0)
		return r;
	while (r >= 0 && len > 0) {
		r = kickmsg_loan(pub, FRAME_SIZE, &frame);
		if (r < 0)
			break;
		len = read(STDIN_FILENO, frame, FRAME_SIZE);
		if (len > 0)
			r = kickmsg_publish(pub, frame, (size_t)len);
		else
			r = len < 0 ? -errno : kickmsg_discard(pub, frame);
	}
	kickmsg_publisher_free(pub);
	return r;
}

static struct kickmsg_subscriber *sub;

static void stop(int signal)
{
	(void)signal;
	kickmsg_subscriber_interrupt(sub);
}

static int subscribe_side(struct kickmsg_client *client, long count)
{
	struct sigaction ends = { .sa_handler = stop };
	struct kickmsg_sample sample;

	int r = kickmsg_subscribe(client, "frames", NULL, &sub);
	if (r < 0)
		return r;
	sigaction(SIGTERM, &ends, NULL);
	fprintf(stderr, "subscribed\n");
	while (r == 0 && count-- != 0) {
		r = kickmsg_receive(sub, -1, &sample);
		if (r < 0)
			break;
		if (write(STDOUT_FILENO, sample.data, sample.len) != (ssize_t)sample.len)
			r = -EIO;
		kickmsg_sample_release(&sample);
	}
	fprintf(stderr, "lost: %" PRIu64 "\n", kickmsg_subscriber_lost(sub));
	signal(SIGTERM, SIG_DFL);
	kickmsg_subscriber_free(sub);
	return r == -EINTR ? 0 : r;
}

int main(int argc, char **argv)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	int publish = argc > 1 && strcmp(argv[1], "pub") == 0;
	long count = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
	struct kickmsg_client *client;

	if (argc < 2 || argc > 3 || (!publish && strcmp(argv[1], "sub") != 0)) {
		fprintf(stderr, "usage: hello_zerocopy pub | sub [COUNT]\n");
		return 2;
	}
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0) {
		r = publish ? publish_side(client) : subscribe_side(client, count);
		if (r < 0)
			fprintf(stderr, "%s\n", kickmsg_client_last_error(client));
		kickmsg_client_free(client);
	}
	if (r < 0)
		fprintf(stderr, "hello_zerocopy: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return r < 0;
}
