/* SPDX-License-Identifier: Apache-2.0 */
/* The broker: see ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/terminal.h"

enum { PAGE = 256 };

/* Says at which path no broker could be reached, and what to do: the path may be the wrong one. */
static void print_unreachable(struct ctl *ctl, int error)
{
	const char *systems = kickmsg_system_socket();
	char path[128] = "", text[CTL_TEXT_SIZE];
	int r = kickmsg_socket_path(ctl->values[CTL_OPT_SOCKET].text, path, sizeof path);
	bool other = strcmp(path, systems) != 0 && access(systems, F_OK) == 0;
	if (r < 0) /* the error has the path that was said */
		snprintf(text, sizeof text, "%s", kickmsg_client_last_error(NULL));
	else if (error == -ECONNREFUSED && other)
		snprintf(text, sizeof text,
			"there is no broker at %s; the system's is at %s (--socket, "
			"KICKMSG_SOCKET)",
			path, systems);
	else if (error == -ECONNREFUSED)
		snprintf(text, sizeof text,
			"there is no broker at %s; start kickmsgd, or say where it is (--socket, "
			"KICKMSG_SOCKET)",
			path);
	else if (error == -EACCES || error == -EPERM)
		snprintf(text, sizeof text,
			"may not connect to the broker at %s: its socket's group may (kickmsg, for "
			"who has logged in as a member of it)",
			path);
	else
		snprintf(text, sizeof text, "can't connect to the broker at %s: %s", path,
			kickmsg_client_last_error(NULL));
	print_error(ctl, NULL, error, text);
}

/* Says that the broker is gone, where messages flow on without it, and that the next one is there. */
static void on_event(void *userdata, const struct kickmsg_event *event)
{
	const struct ctl *ctl = userdata;
	char path[128] = "?";

	kickmsg_socket_path(ctl->values[CTL_OPT_SOCKET].text, path, sizeof path);
	if (event->kind == KICKMSG_EVENT_DISCONNECTED)
		fprintf(stderr,
			"kickmsgctl: the broker at %s is gone; messages flow on, and the next "
			"one is waited for\n",
			path);
	else if (event->kind == KICKMSG_EVENT_RECONNECTED)
		fprintf(stderr, "kickmsgctl: there is a broker at %s again\n", path);
	else if (event->kind == KICKMSG_EVENT_REJOIN_FAILED)
		fprintf(stderr, "kickmsgctl: can't take part in the topic again: %s\n",
			kickmsg_strerror(event->error));
}

uint64_t ctl_wait_ns(const struct ctl *ctl)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	const int64_t left = ctl->begin_ns + (int64_t)(timeout->seconds * 1e9) - ctl_now_ns();

	if (!ctl_given(ctl, CTL_OPT_WAIT))
		return 0;
	return !timeout->given ? UINT64_MAX : left > 0 ? (uint64_t)left : 0;
}

int ctl_connect(struct ctl *ctl, const char *prefix, struct kickmsg_client **ret)
{
	const struct kickmsg_client_config config = {
		.name = "kickmsgctl",
		.socket_path = ctl->values[CTL_OPT_SOCKET].text,
		.prefix = prefix,
		/* watch tells of it in its own lines */
		.on_event = ctl->verb->run == ctl_watch ? NULL : on_event,
		.userdata = ctl,
		.wait_for_broker_ns = ctl_wait_ns(ctl),
	};
	int r = kickmsg_client_new(&config, ret);

	if (r == 0)
		return CTL_DONE;
	print_unreachable(ctl, r);
	return r == -EACCES || r == -EPERM ? CTL_NOT_ALLOWED : CTL_NO_BROKER;
}

int ctl_fetch_topics(
	struct kickmsg_client *client, struct kickmsg_topic_info **ret, size_t *ret_count)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	size_t count = 0, room = 0;
	uint64_t cursor = 0;
	ssize_t n;

	do {
		if (room < count + PAGE) {
			room = 2 * count + PAGE;
			struct kickmsg_topic_info *more = reallocarray(topics, room, sizeof *more);
			if (!more)
				return -ENOMEM;
			topics = more;
		}
		n = kickmsg_topic_list(client, &cursor, topics + count, PAGE);
		if (n < 0)
			return (int)n;
		count += (size_t)n;
	} while (n > 0);
	*ret = ctl_steal(topics);
	*ret_count = count;
	return 0;
}
