/* SPDX-License-Identifier: Apache-2.0 */
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int publish_lines(struct kickmsg_client *client)
{
	struct kickmsg_publisher *pub;
	char line[256];
	int r = kickmsg_advertise(client, "hello", NULL, &pub);

	if (r < 0)
		return r;
	while (r >= 0 && fgets(line, sizeof(line), stdin))
		r = (int)kickmsg_send(pub, line, strlen(line));
	kickmsg_publisher_free(pub);
	return r;
}

static int print_lines(struct kickmsg_client *client)
{
	struct kickmsg_subscriber *sub;
	char line[256];
	int r = kickmsg_subscribe_or_create(client, "hello", NULL, NULL, &sub);

	if (r < 0)
		return r;
	while ((r = (int)kickmsg_receive_copy(sub, line, sizeof(line), -1)) >= 0) {
		if (printf("%.*s", r, line) < 0 || fflush(stdout) != 0) { /* at once */
			perror("hello: standard output");
			exit(1);
		}
	}
	kickmsg_subscriber_free(sub);
	return r;
}

int main(int argc, char **argv)
{
	struct kickmsg_client *client = NULL;
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0)
		r = argc > 1 && strcmp(argv[1], "pub") == 0 ? publish_lines(client)
							    : print_lines(client);
	if (r < 0)
		fprintf(stderr, "hello: %s\n", kickmsg_client_last_error(client));
	kickmsg_client_free(client);
	return r < 0;
}
