/* SPDX-License-Identifier: Apache-2.0 */
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client;
	struct kickmsg_publisher *pub;
	char line[256];
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0)
		r = kickmsg_advertise(client, "hello", NULL, &pub);
	while (r >= 0 && fgets(line, sizeof(line), stdin))
		r = (int)kickmsg_send(pub, line, strlen(line));
	if (r < 0)
		fprintf(stderr, "hello_pub: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return r < 0;
}
