/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broadcast channel: every member publishes, every member hears all, itself too unless it asks
 * not to. Three members, which are three clients of this one process; as three processes nothing
 * would be different.
 */
#include <errno.h>
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

struct member {
	const char *name;
	uint32_t skip_own;
	const char *hears; /* what it should have heard in the end */
	struct kickmsg_client *client;
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;
};

static int join(struct member *member)
{
	const struct kickmsg_client_config config = { .name = member->name };
	const struct kickmsg_subscribe_options options = { .skip_own = member->skip_own };
	int r = kickmsg_client_new(&config, &member->client);

	if (r < 0)
		return r;
	/* the first member creates the channel, with the defaults; nobody needs to know which one that is */
	r = kickmsg_join_broadcast(
		member->client, "lobby", NULL, &options, &member->pub, &member->sub);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", member->name,
			kickmsg_client_last_error(member->client));
	return r;
}

/* All that waits for it, in one line, is what it should hear. */
static int listen(struct member *member)
{
	char heard[256] = "", text[64];
	ssize_t n;

	while ((n = kickmsg_try_receive_copy(member->sub, text, sizeof text)) >= 0) {
		strncat(heard, text, (size_t)n);
		strcat(heard, " ");
	}
	if (n != -EAGAIN)
		return (int)n;
	printf("%s hears: %s\n", member->name, heard);
	return strcmp(heard, member->hears) == 0 ? 0 : -EPROTO;
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct member members[] = {
		{ .name = "anna", .hears = "anna! ben! cleo! " },
		{ .name = "ben", .hears = "anna! ben! cleo! " },
		{ .name = "cleo", .skip_own = 1, .hears = "anna! ben! " },
	};
	int r = 0;

	output_begin();
	for (int i = 0; r == 0 && i < 3; i++)
		r = join(&members[i]);
	for (int i = 0; r >= 0 && i < 3; i++) {
		char text[64];

		snprintf(text, sizeof text, "%s!", members[i].name);
		r = (int)kickmsg_send(members[i].pub, text, strlen(text));
	}
	for (int i = 0; r >= 0 && i < 3; i++)
		r = listen(&members[i]);
	for (int i = 0; i < 3; i++)
		kickmsg_client_free(members[i].client); /* with its publisher and subscriber */
	if (r < 0)
		fprintf(stderr, "hello_broadcast: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return output_end("hello_broadcast", r < 0);
}
