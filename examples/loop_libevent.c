/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its client in a loop of libevent: `loop_libevent TOPIC` prints what comes, line by
 * line, until SIGTERM.
 */
#include <errno.h>
#include <event2/event.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>

static struct event_base *loop;
static int error;

/* A subscriber's descriptor stays readable until a receive says -EAGAIN. */
static void print_messages(evutil_socket_t fd, short what, void *sub)
{
	char line[256];
	ssize_t n;

	(void)fd, (void)what;
	while ((n = kickmsg_try_receive_copy(sub, line, sizeof line)) >= 0)
		printf("%.*s", (int)n, line);
	fflush(stdout);
	if (n != -EAGAIN) {
		error = (int)n;
		event_base_loopbreak(loop);
	}
}

/* The topic is rejoined by it when another broker comes. */
static void dispatch(evutil_socket_t fd, short what, void *client)
{
	(void)fd, (void)what;
	kickmsg_client_dispatch(client);
}

static void stop(evutil_socket_t signal, short what, void *unused)
{
	(void)signal, (void)what, (void)unused;
	event_base_loopbreak(loop);
}

static int run(struct kickmsg_client *client, struct kickmsg_subscriber *sub)
{
	int messages = kickmsg_subscriber_get_fd(sub), news = kickmsg_client_get_fd(client);

	if (messages < 0)
		return messages;
	loop = event_base_new();
	struct event *events[] = {
		event_new(loop, messages, EV_READ | EV_PERSIST, print_messages, sub),
		event_new(loop, news, EV_READ | EV_PERSIST, dispatch, client),
		evsignal_new(loop, SIGTERM, stop, NULL),
	};
	for (int i = 0; i < 3; i++)
		event_add(events[i], NULL);
	event_base_dispatch(loop);
	for (int i = 0; i < 3; i++)
		event_free(events[i]);
	event_base_free(loop);
	return error;
}

int main(int argc, char **argv)
{
	struct kickmsg_client *client = NULL;
	struct kickmsg_subscriber *sub;

	int r = kickmsg_client_new(NULL, &client);
	if (r == 0)
		r = kickmsg_subscribe_or_create(
			client, argc > 1 ? argv[1] : "hello", NULL, NULL, &sub);
	if (r == 0)
		r = run(client, sub);
	if (r < 0)
		fprintf(stderr, "loop_libevent: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return r < 0;
}
