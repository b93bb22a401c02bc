/* SPDX-License-Identifier: Apache-2.0 */
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client;
	struct kickmsg_subscriber *sub;
	char line[256];
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0)
		r = kickmsg_subscribe(client, "hello", NULL, &sub);
	while (r >= 0 && (r = (int)kickmsg_receive_copy(sub, line, sizeof(line), -1)) >= 0)
		printf("%.*s", r, line);
	if (r < 0)
		fprintf(stderr, "hello_sub: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return r < 0;
}
