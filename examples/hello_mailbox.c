/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and reply. A mailbox has one reader, its owner, and as many writers as like to; it is
 * found by the owner's client name and a tag. The calculator has a mailbox for requests; who asks
 * has one for replies, and says in the request where that is.
 *
 * Both are clients of this one process; as two processes nothing would be different.
 */
#include <errno.h>
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define SECOND INT64_C(1000000000)

struct request {
	uint32_t number;
	int32_t a, b;
	char reply_owner[64], reply_tag[128];
};

struct reply {
	uint32_t number; /* the request's */
	int32_t sum;
};

static int new_client(const char *name, struct kickmsg_client **ret)
{
	const struct kickmsg_client_config config = { .name = name };

	return kickmsg_client_new(&config, ret);
}

/* Takes one request from its mailbox and answers to the one that the request names. */
static int serve_one(struct kickmsg_client *calculator, struct kickmsg_subscriber *requests)
{
	struct kickmsg_publisher *out;
	struct request request;
	ssize_t n = kickmsg_receive_copy(requests, &request, sizeof request, 5 * SECOND);

	if (n < 0)
		return (int)n;
	/* a process that may write can write anything */
	if (n != sizeof request || !memchr(request.reply_owner, 0, sizeof request.reply_owner) ||
		!memchr(request.reply_tag, 0, sizeof request.reply_tag))
		return -EPROTO;
	int r = kickmsg_open_mailbox(calculator, request.reply_owner, request.reply_tag, &out);
	if (r < 0)
		return r;
	const struct reply reply = { request.number, request.a + request.b };
	n = kickmsg_send(out, &reply, sizeof reply);
	/* what was sent stays in the mailbox; a real one would keep this for the next request */
	kickmsg_publisher_free(out);
	return n < 0 ? (int)n : 0;
}

static int converse(struct kickmsg_client *calculator, struct kickmsg_client *asker)
{
	struct kickmsg_subscriber *requests, *replies, *second;
	struct kickmsg_publisher *ask;
	struct reply reply;
	int r = kickmsg_create_mailbox(calculator, "requests", NULL, NULL, &requests);

	if (r == 0)
		r = kickmsg_create_mailbox(asker, "replies", NULL, NULL, &replies);
	if (r == 0)
		r = kickmsg_open_mailbox(asker, "calculator", "requests", &ask);
	for (uint32_t i = 1; r == 0 && i <= 3; i++) {
		const struct request request = {
			.number = i,
			.a = (int32_t)i,
			.b = 100,
			.reply_owner = "asker",
			.reply_tag = "replies",
		};
		ssize_t n = kickmsg_send(ask, &request, sizeof request);

		r = n < 0 ? (int)n : serve_one(calculator, requests);
		if (r == 0)
			n = kickmsg_receive_copy(replies, &reply, sizeof reply, 5 * SECOND);
		if (r < 0 || n < 0)
			return r < 0 ? r : (int)n;
		printf("%d + %d = %d\n", request.a, request.b, reply.sum);
		if (n != sizeof reply || reply.number != i || reply.sum != (int32_t)i + 100)
			return -EPROTO;
	}
	if (r < 0)
		return r;
	/* there is one reader and no other */
	r = kickmsg_create_mailbox(asker, "replies", NULL, NULL, &second);
	printf("a second reader: %s\n", r == 0 ? "let in" : kickmsg_strerror(r));
	return r == -ENOSPC ? 0 : -EPROTO;
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *calculator = NULL, *asker = NULL;
	int r = new_client("calculator", &calculator);

	output_begin();
	if (r == 0)
		r = new_client("asker", &asker);
	if (r == 0)
		r = converse(calculator, asker);
	kickmsg_client_free(asker);
	kickmsg_client_free(calculator);
	if (r < 0)
		fprintf(stderr, "hello_mailbox: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return output_end("hello_mailbox", r < 0);
}
