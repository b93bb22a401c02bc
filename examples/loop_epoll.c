/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop of epoll around a subscriber and its client: `loop_epoll TOPIC` prints what comes, line by
 * line, until SIGTERM.
 */
#include <errno.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

/* A subscriber's descriptor stays readable until a receive says -EAGAIN. */
static int print_messages(struct kickmsg_subscriber *sub)
{
	char line[256];
	ssize_t n;

	while ((n = kickmsg_try_receive_copy(sub, line, sizeof line)) >= 0)
		printf("%.*s", (int)n, line);
	fflush(stdout);
	return n == -EAGAIN ? 0 : (int)n;
}

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return fd < 0 ? fd : epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int run(struct kickmsg_client *client, struct kickmsg_subscriber *sub)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals, r;
	int messages = kickmsg_subscriber_get_fd(sub);
	struct epoll_event event;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	r = watch(epoll, signals);
	if (r == 0)
		r = watch(epoll, messages);
	if (r == 0)
		r = watch(epoll, kickmsg_client_get_fd(client));
	while (r == 0 && epoll_wait(epoll, &event, 1, -1) == 1) {
		if (event.data.fd == signals)
			break;
		if (event.data.fd == messages)
			r = print_messages(sub);
		else
			kickmsg_client_dispatch(client); /* the topic is rejoined by it */
	}
	return r;
}

int main(int argc, char **argv)
{
	struct kickmsg_client *client = NULL;
	struct kickmsg_subscriber *sub;

	if (argc != 2) {
		fprintf(stderr, "usage: loop_epoll TOPIC\n");
		return 2;
	}
	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = kickmsg_subscribe_or_create(client, argv[1], NULL, NULL, &sub);
	if (r == 0)
		r = run(client, sub);
	if (r < 0)
		fprintf(stderr, "loop_epoll: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return r < 0;
}
