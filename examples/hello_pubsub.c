/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of the copying calls. In one shell `hello_pubsub pub`, in another `hello_pubsub sub`;
 * a COUNT behind it ends either after so many messages. `pub` waits for a line on its standard
 * input before each message.
 */
#include <inttypes.h>
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int publish_side(struct kickmsg_client *client, long count)
{
	struct kickmsg_publisher *pub;
	char line[256];

	int r = kickmsg_advertise(client, "hello", NULL, &pub);
	if (r < 0)
		return r;
	while (r >= 0 && count-- != 0 && fgets(line, sizeof(line), stdin))
		r = (int)kickmsg_send(pub, line, strlen(line));
	kickmsg_publisher_free(pub);
	return r;
}

static int subscribe_side(struct kickmsg_client *client, long count)
{
	struct kickmsg_subscriber *sub;
	char line[256];

	int r = kickmsg_subscribe(client, "hello", NULL, &sub);
	if (r < 0)
		return r;
	fprintf(stderr, "subscribed\n");
	while (r >= 0 && count-- != 0) {
		r = (int)kickmsg_receive_copy(sub, line, sizeof(line), -1);
		if (r >= 0)
			printf("%.*s", r, line);
		fflush(stdout);
	}
	fprintf(stderr, "lost: %" PRIu64 "\n", kickmsg_subscriber_lost(sub));
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
		fprintf(stderr, "usage: hello_pubsub pub|sub [COUNT]\n");
		return 2;
	}
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0) {
		r = publish ? publish_side(client, count) : subscribe_side(client, count);
		if (r < 0)
			fprintf(stderr, "%s\n", kickmsg_client_last_error(client));
		kickmsg_client_free(client);
	}
	if (r < 0)
		fprintf(stderr, "hello_pubsub: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return r < 0;
}
