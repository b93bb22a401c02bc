/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server in a loop of epoll: `loop_service NAME` adds two numbers for whoever calls, until SIGTERM.
 * `loop_service NAME A B` calls it.
 */
#include <errno.h>
#include <kickmsg-service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "output.h"

#define TIMEOUT_NS INT64_C(5000000000)

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return fd < 0 ? fd : epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* A server's descriptor stays readable until a take says -EAGAIN, or -EBUSY while another one serves. */
static int answer_all(struct kickmsg_server *server)
{
	struct kickmsg_request request;
	int r;

	while ((r = kickmsg_take_request(server, 0, &request)) == 0) {
		const int *numbers = request.data;

		if (request.len != 2 * sizeof(int)) {
			kickmsg_reply_error(&request, -EINVAL);
			continue;
		}
		int sum = numbers[0] + numbers[1];
		kickmsg_reply(&request, &sum, sizeof sum);
	}
	return r == -EAGAIN || r == -EBUSY ? 0 : r;
}

static int serve(struct kickmsg_client *client, const char *name)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), requests, signals;
	struct kickmsg_server *server;
	struct epoll_event event;
	sigset_t ends;
	int r = kickmsg_serve(client, name, NULL, &server);

	if (r < 0)
		return r;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	requests = kickmsg_server_get_fd(server);
	r = watch(epoll, requests);
	if (r == 0)
		r = watch(epoll, signals);
	if (r == 0)
		r = watch(epoll, kickmsg_client_get_fd(client));
	while (r == 0) {
		int n = epoll_wait(epoll, &event, 1, -1);

		if (n < 0 && errno == EINTR) /* the kernel's work for the library may do that */
			continue;
		if (n < 0)
			return -errno;
		if (event.data.fd == signals)
			break;
		if (event.data.fd == requests)
			r = answer_all(server);
		else
			kickmsg_client_dispatch(client); /* a broker that is new is joined by it */
	}
	return r;
}

static int call(struct kickmsg_client *client, const char *name, const int numbers[2])
{
	const struct kickmsg_caller_options options = { .wait_ns = TIMEOUT_NS };
	struct kickmsg_caller *caller;
	struct kickmsg_reply reply;
	int r = kickmsg_open_service(client, name, &options, &caller);

	if (r == 0)
		r = kickmsg_call(caller, numbers, 2 * sizeof *numbers, TIMEOUT_NS, &reply);
	if (r < 0)
		return r;
	printf("%d + %d = %d\n", numbers[0], numbers[1], *(const int *)reply.data);
	kickmsg_reply_release(&reply);
	return 0;
}

int main(int argc, char **argv)
{
	struct kickmsg_client *client = NULL;

	output_begin();
	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: loop_service NAME [A B]\n");
		return 2;
	}
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0 && argc == 2)
		r = serve(client, argv[1]);
	else if (r == 0)
		r = call(client, argv[1], (const int[]){ atoi(argv[2]), atoi(argv[3]) });
	kickmsg_client_free(client);
	if (r < 0)
		fprintf(stderr, "loop_service: %s\n", kickmsg_strerror(r));
	return output_end("loop_service", r < 0);
}
