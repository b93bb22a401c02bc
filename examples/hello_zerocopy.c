/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides without a copy: the publisher lets the kernel read its standard input into the lent
 * slot, the subscriber writes to its standard output from there. `hello_zerocopy pub < FILE`, and
 * before that, in another shell, `hello_zerocopy sub COUNT > COPY` for COUNT frames of up to 1 MiB.
 */
#include <errno.h>
#include <kickmsg.h>
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
	config.pool_size = 64;
	config.ring_capacity = 16;
	int r = kickmsg_advertise(client, "frames", &config, &pub);
	if (r < 0)
		return r;
	while (r == 0 && len > 0) {
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

static int subscribe_side(struct kickmsg_client *client, long count)
{
	struct kickmsg_sample sample;
	struct kickmsg_subscriber *sub;

	int r = kickmsg_subscribe(client, "frames", NULL, &sub);
	if (r < 0)
		return r;
	fprintf(stderr, "subscribed\n");
	while (r == 0 && count-- != 0) {
		r = kickmsg_receive(sub, -1, &sample);
		if (r < 0)
			break;
		if (write(STDOUT_FILENO, sample.data, sample.len) != (ssize_t)sample.len)
			r = -EIO;
		kickmsg_sample_release(&sample);
	}
	kickmsg_subscriber_free(sub);
	return r;
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
