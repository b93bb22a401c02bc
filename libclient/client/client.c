/* SPDX-License-Identifier: Apache-2.0 */
/* A client: where its broker is, what is polled, and its end. */
#include "libclient/client/client.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/protocol/name.h"
#include "common/protocol/socketpath.h"
#include "libclient/client/control.h"
#include "libclient/client/inherit.h"
#include "libclient/client/reconnect.h"
#include "libclient/export.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/watch/watch.h"

#define DEFAULT_TIMEOUT_NS UINT64_C(10000000000)

/* The last error of a client that couldn't be made, for the calling thread. */
static _Thread_local char new_error[KM_WIRE_TEXT_SIZE];

int km_client_address(const struct kickmsg_client_config *config, struct sockaddr_un *ret)
{
	const struct km_socket_choice choice = km_socket_choose(config->socket_path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	size_t len = km_socket_client_path(&choice, ret->sun_path, sizeof ret->sun_path);
	if (len > 0 && len < sizeof ret->sun_path)
		return 0;
	snprintf(new_error, sizeof new_error,
		"the socket's path has %zu bytes, it must have 1 to %zu: %.100s...", len,
		sizeof ret->sun_path - 1, ret->sun_path);
	return -EINVAL;
}

static int name_client(const struct kickmsg_client_config *config, struct km_msg_hello *ret)
{
	if (km_name_escape(config->name ? config->name : program_invocation_short_name, ret->name,
		    sizeof ret->name) == 0)
		return 0;
	if (!config->name)
		return km_name_escape("client", ret->name, sizeof ret->name);
	snprintf(new_error, sizeof new_error,
		"the client's name \"%.64s\" must have 1 to %zu bytes "
		"as it is written",
		config->name, sizeof ret->name - 1);
	return -EINVAL;
}

static int name_prefix(const char *prefix, struct km_msg_hello *ret)
{
	if (km_name_escape(prefix, ret->prefix, sizeof ret->prefix) == 0)
		return 0;
	snprintf(new_error, sizeof new_error,
		"the prefix \"%.64s\" must have 1 to %zu bytes "
		"as it is written",
		prefix, sizeof ret->prefix - 1);
	return -EINVAL;
}

/* The descriptor that may be polled for the client's whole life. */
static int open_poll(struct kickmsg_client *client)
{
	struct epoll_event readable = { .events = EPOLLIN };

	client->poll_fd = km_fd_above_stdio(epoll_create1(EPOLL_CLOEXEC));
	if (client->poll_fd < 0)
		return -errno;
	client->timer_fd = km_fd_above_stdio(
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (client->timer_fd < 0 ||
		epoll_ctl(client->poll_fd, EPOLL_CTL_ADD, client->timer_fd, &readable) < 0)
		return -errno;
	return 0;
}

static void keep_error(const struct kickmsg_client *client, int error)
{
	if (client->error[0] != 0)
		memcpy(new_error, client->error, sizeof new_error);
	else
		snprintf(new_error, sizeof new_error, "%s: %s", client->address.sun_path,
			kickmsg_strerror(error));
}

KM_EXPORT int kickmsg_client_new(
	const struct kickmsg_client_config *config, struct kickmsg_client **ret)
{
	KM_KEEP_ERRNO;
	static const struct kickmsg_client_config defaults;
	struct km_msg_hello hello = { .header.op = KM_OP_HELLO,
		.version = KM_WIRE_VERSION,
		.layout_version = KM_LAYOUT_VERSION };
	struct sockaddr_un address;

	new_error[0] = 0;
	if (!config)
		config = &defaults;
	int r = km_client_address(config, &address);
	if (r == 0)
		r = name_client(config, &hello);
	if (r == 0)
		r = name_prefix(config->prefix ? config->prefix : "kickmsg", &hello);
	if (r < 0)
		return r;

	struct kickmsg_client *client = calloc(1, sizeof *client);
	if (!client) {
		snprintf(new_error, sizeof new_error, "%s", kickmsg_strerror(-ENOMEM));
		return -ENOMEM;
	}
	client->socket = client->poll_fd = client->timer_fd = -1;
	client->pid = getpid();
	client->timeout_ns = config->timeout_ns ? config->timeout_ns : DEFAULT_TIMEOUT_NS;
	if (client->timeout_ns > INT64_MAX / 2)
		client->timeout_ns = INT64_MAX / 2;
	client->address = address;
	client->hello = hello;
	client->events.on_event = config->on_event;
	client->events.userdata = config->userdata;
	client->random = (uint64_t)km_clock_ns() ^ (uint64_t)getpid() << 32;
	TAILQ_INIT(&client->events.told);
	pthread_mutex_init(&client->turn, NULL);
	pthread_mutex_init(&client->lock, NULL);
	r = km_inherit_watch(client);
	if (r == 0)
		r = open_poll(client);
	km_client_lock(client);
	if (r == 0)
		r = km_reconnect_first(client, config->wait_for_broker_ns);
	km_client_unlock(client);
	if (r < 0) {
		keep_error(client, r);
		kickmsg_client_free(client);
		return r;
	}
	*ret = client;
	return 0;
}

KM_EXPORT void kickmsg_client_free(struct kickmsg_client *client)
{
	KM_KEEP_ERRNO;
	if (!client || km_client_is_inherited(client))
		return;
	km_inherit_forget(client);
	client->ends = true;
	while (client->services)
		client->services->free(client->services);
	while (client->handles)
		client->handler->on_end(client);
	km_client_memory_unref(client->memory);
	km_client_give_all_back(client);
	km_watch_free(client->watch);
	free(client->happened);
	free(client->farewells.endpoints);
	km_close(client->socket);
	km_close(client->timer_fd);
	km_close(client->poll_fd);
	pthread_mutex_destroy(&client->lock);
	pthread_mutex_destroy(&client->turn);
	free(client);
}

KM_EXPORT int kickmsg_client_get_fd(const struct kickmsg_client *client)
{
	return km_client_is_inherited(client) ? -ECHILD : client->poll_fd;
}

/* Tells the user what waits, without the lock. Returns how much that was; -ECHILD: the callback
 * forked, and this is the child. */
static int tell_user(struct kickmsg_client *client)
{
	struct kickmsg_happening happening;
	struct km_told told;
	int count = 0;

	for (;; count++) {
		const bool has_event = km_event_take(&client->events, &told);
		const bool has_happening = !has_event && client->happened &&
					   client->happened->waits;

		if (!has_event && !has_happening)
			return count;
		if (has_happening)
			client->happened->take(client->happened, &happening);
		km_client_unlock(client);
		if (has_event)
			client->events.on_event(client->events.userdata, &told.event);
		else
			client->happened->on_happening(client->happened->userdata, &happening);
		if (km_client_is_inherited(client))
			return -ECHILD;
		km_client_lock(client);
	}
}

KM_EXPORT int kickmsg_client_dispatch(struct kickmsg_client *client)
{
	KM_KEEP_ERRNO;
	int handled = 0, told, r;

	if (km_client_is_inherited(client))
		return -ECHILD;
	km_client_lock(client);
	do {
		r = km_reconnect_step(client, &handled);
		/* each event is told before the next step of the connection: of one thing only the
		 * latest news is kept */
		told = tell_user(client);
		if (told < 0)
			return told;
		handled += told;
	} while (r > 0);
	km_reconnect_arm(client);
	if (r == 0 && handled == 0 && client->link != KM_LINK_UP)
		r = -ENOTCONN;
	km_client_unlock(client);
	return r < 0 ? r : handled;
}

KM_EXPORT const char *kickmsg_client_last_error(const struct kickmsg_client *client)
{
	if (!client)
		return new_error;
	return km_client_is_inherited(client) ? kickmsg_strerror(-ECHILD) : client->error;
}
