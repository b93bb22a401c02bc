/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and response. A child process serves "adder". This one calls it, first one call at a time,
 * then many at once, and sees what happens when the server dies.
 *
 * A call always ends: with its reply, or with an error. Nothing here waits for a time-out to find out
 * that nobody answers any more.
 */
#include <errno.h>
#include <kickmsg-service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

#define SECOND INT64_C(1000000000)
#define MANY   10

static int new_client(const char *name, struct kickmsg_client **ret)
{
	const struct kickmsg_client_config config = { .name = name };

	return kickmsg_client_new(&config, ret);
}

/* --- the server ----------------------------------------------------------------------------------- */

static int serve(void)
{
	struct kickmsg_client *client;
	struct kickmsg_server *server;
	struct kickmsg_request request;
	int r = new_client("calculator", &client);

	if (r == 0)
		r = kickmsg_serve(client, "adder", NULL, &server);
	while (r == 0) {
		r = kickmsg_take_request(server, -1, &request);
		if (r < 0)
			break;
		/* callers may say anything */
		if (request.len != 2 * sizeof(int)) {
			kickmsg_reply_error(&request, -EINVAL);
			continue;
		}
		const int *numbers = request.data;
		int sum = numbers[0] + numbers[1];
		kickmsg_reply(&request, &sum, sizeof sum);
	}
	fprintf(stderr, "hello_service, server: %s\n", kickmsg_strerror(r));
	return 1;
}

/* --- the caller ----------------------------------------------------------------------------------- */

static int call_one_at_a_time(struct kickmsg_caller *caller)
{
	struct kickmsg_reply reply;

	for (int i = 1; i <= 3; i++) {
		const int numbers[] = { i, 100 };
		int r = kickmsg_call(caller, numbers, sizeof numbers, 5 * SECOND, &reply);

		if (r < 0)
			return r;
		printf("%d + %d = %d\n", numbers[0], numbers[1], *(const int *)reply.data);
		kickmsg_reply_release(&reply);
	}
	int r = kickmsg_call(caller, "one", 3, 5 * SECOND, &reply);
	printf("a request that is no two numbers: %s\n", kickmsg_strerror(r));
	return r == -EINVAL ? 0 : -EPROTO;
}

static int call_many(struct kickmsg_caller *caller)
{
	struct kickmsg_reply reply;
	uint64_t id;
	int total = 0;

	for (int i = 0; i < MANY; i++) {
		const int numbers[] = { i, i };
		int r = kickmsg_call_begin(caller, numbers, sizeof numbers, 5 * SECOND, &id);

		if (r < 0)
			return r;
	}
	/* replies come in the order in which they are answered; reply.id says which */
	for (int i = 0; i < MANY; i++) {
		int r = kickmsg_take_reply(caller, -1, &reply);

		if (r < 0 || reply.error < 0)
			return r < 0 ? r : reply.error;
		total += *(const int *)reply.data;
		kickmsg_reply_release(&reply);
	}
	printf("%d calls at once: all their sums together are %d\n", MANY, total);
	return total == MANY * (MANY - 1) ? 0 : -EPROTO;
}

static int lose_the_server(struct kickmsg_caller *caller, pid_t server)
{
	const int numbers[] = { 1, 2 };
	struct kickmsg_reply reply;
	uint64_t id;

	kill(server, SIGSTOP);
	int r = kickmsg_call_begin(caller, numbers, sizeof numbers, -1, &id);
	kill(server, SIGKILL);
	if (r == 0)
		r = kickmsg_take_reply(caller, -1, &reply);
	if (r < 0)
		return r;
	printf("its server was killed: %s\n", kickmsg_strerror(reply.error));
	return reply.error == -ECONNRESET ? 0 : -EPROTO;
}

int main(void)
{
	const struct kickmsg_caller_options options = { .wait_ns = 5 * (uint64_t)SECOND };
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client = NULL;
	struct kickmsg_caller *caller = NULL;

	output_begin();
	pid_t server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return serve();
	}
	int r = new_client("hello_service", &client);
	if (r == 0)
		r = kickmsg_open_service(client, "adder", &options, &caller);
	if (r == 0)
		r = call_one_at_a_time(caller);
	if (r == 0)
		r = call_many(caller);
	if (r == 0)
		r = lose_the_server(caller, server);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	kickmsg_client_free(client);
	if (r < 0)
		fprintf(stderr, "hello_service: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return output_end("hello_service", r < 0);
}
