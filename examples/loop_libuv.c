/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its client in a loop of libuv: `loop_libuv TOPIC` prints what comes, line by line,
 * until SIGTERM.
 */
#include <errno.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>
#include <uv.h>

static int error;

/* A subscriber's descriptor stays readable until a receive says -EAGAIN. */
static void print_messages(uv_poll_t *poll, int status, int events)
{
	char line[256];
	ssize_t n;

	(void)status, (void)events;
	while ((n = kickmsg_try_receive_copy(poll->data, line, sizeof line)) >= 0)
		printf("%.*s", (int)n, line);
	fflush(stdout);
	if (n != -EAGAIN) {
		error = (int)n;
		uv_stop(poll->loop);
	}
}

/* The topic is rejoined by it when another broker comes. */
static void dispatch(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	kickmsg_client_dispatch(poll->data);
}

static void stop(uv_signal_t *signal, int number)
{
	(void)number;
	uv_stop(signal->loop);
}

static int run(struct kickmsg_client *client, struct kickmsg_subscriber *sub)
{
	uv_poll_t messages = { .data = sub }, news = { .data = client };
	int fd = kickmsg_subscriber_get_fd(sub);
	uv_loop_t *loop = uv_default_loop();
	uv_signal_t ends;

	if (fd < 0)
		return fd;
	uv_poll_init(loop, &messages, fd);
	uv_poll_start(&messages, UV_READABLE, print_messages);
	uv_poll_init(loop, &news, kickmsg_client_get_fd(client));
	uv_poll_start(&news, UV_READABLE, dispatch);
	uv_signal_init(loop, &ends);
	uv_signal_start(&ends, stop, SIGTERM);
	uv_run(loop, UV_RUN_DEFAULT);
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
		fprintf(stderr, "loop_libuv: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return r < 0;
}
