/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its client in a main loop of GLib: `loop_glib TOPIC` prints what comes, line by line,
 * until SIGTERM.
 */
#include <errno.h>
#include <glib-unix.h>
#include <kickmsg.h>
#include <stdio.h>

static GMainLoop *loop;
static int error;

/* A subscriber's descriptor stays readable until a receive says -EAGAIN. */
static gboolean print_messages(gint fd, GIOCondition what, gpointer sub)
{
	char line[256];
	ssize_t n;

	(void)fd, (void)what;
	while ((n = kickmsg_try_receive_copy(sub, line, sizeof line)) >= 0)
		printf("%.*s", (int)n, line);
	fflush(stdout);
	if (n != -EAGAIN) {
		error = (int)n;
		g_main_loop_quit(loop);
	}
	return G_SOURCE_CONTINUE;
}

/* The topic is rejoined by it when another broker comes. */
static gboolean dispatch(gint fd, GIOCondition what, gpointer client)
{
	(void)fd, (void)what;
	kickmsg_client_dispatch(client);
	return G_SOURCE_CONTINUE;
}

static gboolean stop(gpointer unused)
{
	(void)unused;
	g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

static int run(struct kickmsg_client *client, struct kickmsg_subscriber *sub)
{
	int messages = kickmsg_subscriber_get_fd(sub);

	if (messages < 0)
		return messages;
	loop = g_main_loop_new(NULL, FALSE);
	g_unix_fd_add(messages, G_IO_IN, print_messages, sub);
	g_unix_fd_add(kickmsg_client_get_fd(client), G_IO_IN, dispatch, client);
	g_unix_signal_add(SIGTERM, stop, NULL);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
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
		fprintf(stderr, "loop_glib: %s\n", kickmsg_strerror(r));
	kickmsg_client_free(client);
	return r < 0;
}
