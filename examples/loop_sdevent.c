/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its client in a loop of sd-event: `loop_sdevent TOPIC` prints what comes, line by
 * line, until SIGTERM.
 */
#include <errno.h>
#include <kickmsg.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

/* A subscriber's descriptor stays readable until a receive says -EAGAIN. */
static int print_messages(sd_event_source *source, int fd, uint32_t what, void *sub)
{
	char line[256];
	ssize_t n;

	(void)fd, (void)what;
	while ((n = kickmsg_try_receive_copy(sub, line, sizeof line)) >= 0)
		printf("%.*s", (int)n, line);
	fflush(stdout);
	if (n != -EAGAIN)
		sd_event_exit(sd_event_source_get_event(source), (int)n);
	return 0;
}

/* The topic is rejoined by it when another broker comes. */
static int dispatch(sd_event_source *source, int fd, uint32_t what, void *client)
{
	(void)source, (void)fd, (void)what;
	kickmsg_client_dispatch(client);
	return 0;
}

static int run(struct kickmsg_client *client, struct kickmsg_subscriber *sub)
{
	int messages = kickmsg_subscriber_get_fd(sub), news = kickmsg_client_get_fd(client);
	sd_event *loop = NULL;
	sigset_t ends;

	if (messages < 0)
		return messages;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	int r = sd_event_new(&loop);
	if (r >= 0)
		r = sd_event_add_io(loop, NULL, messages, EPOLLIN, print_messages, sub);
	if (r >= 0)
		r = sd_event_add_io(loop, NULL, news, EPOLLIN, dispatch, client);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL); /* ends the loop */
	if (r >= 0)
		r = sd_event_loop(loop);
	sd_event_unref(loop);
	return r;
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
		fprintf(stderr, "loop_sdevent: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return r < 0;
}
