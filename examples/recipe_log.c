/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that loses nothing: kickmsg-recipes(7). Each entry is a call, which is answered once the entry is
 * written. The caller has many in flight, and waits where all places are taken; so what is slow slows
 * its callers down, and an entry that isn't confirmed is known to the one who wrote it.
 */
#include <kickmsg-service.h>
#include <pthread.h>
#include <stdio.h>

#include "output.h"

enum { ENTRIES = 10000 };

static int written, confirmed, failed;

static void *write_log(void *server)
{
	struct kickmsg_request entry;

	while (written < ENTRIES && kickmsg_take_request(server, -1, &entry) == 0) {
		written++; /* to a file, which is synced here */
		kickmsg_reply(&entry, NULL, 0);
	}
	return NULL;
}

/* Waits for the next confirmation. */
static int confirm(struct kickmsg_caller *log)
{
	struct kickmsg_reply reply;
	int r = kickmsg_take_reply(log, -1, &reply);

	if (r < 0)
		return r;
	/* the server died before it could say that it has written the entry: write it again, or
	 * tell of it */
	if (reply.error < 0)
		failed++;
	else
		confirmed++;
	kickmsg_reply_release(&reply);
	return 0;
}

static int append(struct kickmsg_caller *log, int number)
{
	uint64_t id;
	int r;

	while ((r = kickmsg_call_begin(log, &number, sizeof number, -1, &id)) == -EDQUOT)
		if ((r = confirm(log)) < 0)
			break;
	return r;
}

static int run(struct kickmsg_client *client)
{
	const struct kickmsg_caller_options options = { .wait_ns = 5000000000 };
	struct kickmsg_server *server;
	struct kickmsg_caller *log;
	pthread_t thread;
	int r = kickmsg_serve(client, "log", NULL, &server);

	if (r < 0)
		return r;
	if (pthread_create(&thread, NULL, write_log, server) != 0)
		return -EAGAIN;
	r = kickmsg_open_service(client, "log", &options, &log);
	for (int i = 0; r == 0 && i < ENTRIES; i++)
		r = append(log, i);
	while (r == 0)
		r = confirm(log);
	if (r < 0 && r != -ENOENT) /* -ENOENT: no call is in flight any more */
		kickmsg_server_interrupt(server);
	pthread_join(thread, NULL);
	return r == -ENOENT ? 0 : r;
}

int main(void)
{
	struct kickmsg_client *client = NULL;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = run(client);
	if (r == 0)
		printf("%d entries written, %d confirmed, %d failed\n", written, confirmed, failed);
	else
		fprintf(stderr, "recipe_log: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return output_end("recipe_log", r < 0);
}
