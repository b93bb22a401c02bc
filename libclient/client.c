/* SPDX-License-Identifier: Apache-2.0 */
/* A client: where its broker is, what is polled, and its end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "cleanup.h"
#include "control.h"
#include "name.h"
#include "reconnect.h"
#include "rejoin.h"
#include "waiter.h"

#define DEFAULT_TIMEOUT_NS UINT64_C(10000000000)
#define SYSTEM_SOCKET      "/run/kickmsg/kickmsgd.sock"
#define USER_SOCKET        "/kickmsg/kickmsgd.sock" /* below $XDG_RUNTIME_DIR */

static int socket_address(const struct kickmsg_client_config *config, struct sockaddr_un *ret)
{
	const char *path = config->socket_path ? config->socket_path
					       : secure_getenv("KICKMSG_SOCKET");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path)
		n = snprintf(ret->sun_path, sizeof ret->sun_path, "%s", path);
	else if (geteuid() == 0 || !runtime)
		n = snprintf(ret->sun_path, sizeof ret->sun_path, SYSTEM_SOCKET);
	else
		n = snprintf(ret->sun_path, sizeof ret->sun_path, "%s" USER_SOCKET, runtime);
	return n <= 0 || (size_t)n >= sizeof ret->sun_path ? -EINVAL : 0;
}

static int copy_name(char *ret, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= KM_PREFIX_SIZE)
		return -EINVAL;
	memcpy(ret, name, len);
	return 0;
}

/* What may be polled for the client's whole life. */
static int open_poll(struct kickmsg_client *client)
{
	struct epoll_event readable = { .events = EPOLLIN };

	client->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	client->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (client->poll_fd < 0 || client->timer_fd < 0 ||
		epoll_ctl(client->poll_fd, EPOLL_CTL_ADD, client->timer_fd, &readable) < 0)
		return -errno;
	return 0;
}

/* Of a client that couldn't be made, by the calling thread. */
static _Thread_local char new_error[KM_WIRE_TEXT_SIZE];

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
	static const struct kickmsg_client_config defaults;
	struct km_msg_hello hello = { .header.op = KM_OP_HELLO, .version = KM_WIRE_VERSION };
	struct sockaddr_un address;

	new_error[0] = 0;
	if (!config)
		config = &defaults;
	int r = socket_address(config, &address);
	if (r == 0)
		r = copy_name(
			hello.name, config->name ? config->name : program_invocation_short_name);
	if (r == -EINVAL && !config->name)
		r = copy_name(hello.name, "client");
	const char *prefix = config->prefix ? config->prefix : "kickmsg";
	if (r == 0)
		r = km_name_sanitise(prefix, hello.prefix, sizeof hello.prefix);
	if (r == 0)
		r = km_name_strip(prefix, hello.raw_prefix, sizeof hello.raw_prefix);
	if (r < 0)
		return r;

	struct kickmsg_client *client = calloc(1, sizeof *client);
	if (!client)
		return -ENOMEM;
	client->socket = client->poll_fd = client->timer_fd = -1;
	client->timeout_ns = config->timeout_ns ? config->timeout_ns : DEFAULT_TIMEOUT_NS;
	if (client->timeout_ns > INT64_MAX / 2)
		client->timeout_ns = INT64_MAX / 2;
	client->address = address;
	client->hello = hello;
	client->on_event = config->on_event;
	client->userdata = config->userdata;
	client->random = (uint64_t)km_clock_ns() ^ (uint64_t)getpid() << 32;
	TAILQ_INIT(&client->told);
	pthread_mutex_init(&client->lock, NULL);
	r = open_poll(client);
	if (r == 0)
		r = km_reconnect_now(client);
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
	if (!client)
		return;
	while (client->attachments) {
		struct km_attachment *first = client->attachments;

		if (first->role == KM_ROLE_PUBLISHER)
			kickmsg_publisher_free((struct kickmsg_publisher *)first);
		else
			kickmsg_subscriber_free((struct kickmsg_subscriber *)first);
	}
	km_client_memory_unref(client->memory);
	km_close(client->socket);
	km_close(client->timer_fd);
	km_close(client->poll_fd);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

KM_EXPORT int kickmsg_client_get_fd(const struct kickmsg_client *client)
{
	return client->poll_fd;
}

KM_EXPORT int kickmsg_client_dispatch(struct kickmsg_client *client)
{
	int handled = 0, r;
	struct km_told told;

	pthread_mutex_lock(&client->lock);
	do {
		r = km_reconnect_step(client, &handled);
		/* each is told before the next step: of one thing there is only the latest */
		for (; km_rejoin_take_event(client, &told); handled++) {
			pthread_mutex_unlock(&client->lock);
			client->on_event(client->userdata, &told.event);
			pthread_mutex_lock(&client->lock);
		}
	} while (r > 0);
	km_reconnect_arm(client);
	if (r == 0 && handled == 0 && client->link != KM_LINK_UP)
		r = -ENOTCONN;
	pthread_mutex_unlock(&client->lock);
	return r < 0 ? r : handled;
}

KM_EXPORT const char *kickmsg_client_last_error(const struct kickmsg_client *client)
{
	return client ? client->error : new_error;
}
