/* SPDX-License-Identifier: Apache-2.0 */
/* A client: the connection to the broker, its hello, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "cleanup.h"
#include "control.h"
#include "name.h"
#include "segment.h"

#define HELLO_TRIES        4
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

static int connect_to_broker(const struct sockaddr_un *address, uint64_t timeout_ns, int *ret_fd)
{
	struct timeval timeout = { (time_t)(timeout_ns / 1000000000),
		(suseconds_t)(timeout_ns % 1000000000 / 1000) };
	_cleanup_(km_closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (timeout.tv_sec == 0 && timeout.tv_usec == 0)
		timeout.tv_usec = 1; /* 0 would be for ever */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	while (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) {
		if (errno == EAGAIN || errno == EINPROGRESS)
			return -ETIMEDOUT; /* the broker's backlog stayed full */
		if (errno != EINTR)
			return -errno;
	}
	/* from here on, poll() does the waiting */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	*ret_fd = km_steal_fd(fd);
	return 0;
}

static int copy_name(char *ret, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= KM_PREFIX_SIZE)
		return -EINVAL;
	memcpy(ret, name, len);
	return 0;
}

static int say_hello(struct kickmsg_client *client, struct km_msg_hello *hello)
{
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;
	int r = km_client_call(client, hello, sizeof *hello, KM_OP_HELLO_OK, &answer, fds, &count);

	if (r < 0)
		return r;
	if (answer.hello_ok.version != KM_WIRE_VERSION)
		r = -EPROTO;
	else
		r = km_client_add_segment(client, fds[0], answer.hello_ok.segment_size);
	/* the mapping alone stays: when it is gone, so is this client */
	km_close_fds(fds, count);
	return r;
}

KM_EXPORT int kickmsg_client_new(
	const struct kickmsg_client_config *config, struct kickmsg_client **ret)
{
	static const struct kickmsg_client_config defaults;
	struct km_msg_hello hello = { .header.op = KM_OP_HELLO, .version = KM_WIRE_VERSION };
	struct sockaddr_un address;

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
	client->socket = -1;
	client->timeout_ns = config->timeout_ns ? config->timeout_ns : DEFAULT_TIMEOUT_NS;
	if (client->timeout_ns > INT64_MAX / 2)
		client->timeout_ns = INT64_MAX / 2;
	pthread_mutex_init(&client->lock, NULL);
	/* a broker may end between taking the connection in and knowing the client: to the next one
	 * it is a new connection */
	for (int tries = 0; tries < HELLO_TRIES && (tries == 0 || r == -ENOTCONN); tries++) {
		client->socket = km_close(client->socket);
		r = connect_to_broker(&address, client->timeout_ns, &client->socket);
		if (r == 0)
			r = say_hello(client, &hello);
	}
	if (r < 0) {
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
	for (size_t i = 0; i < client->segment_count; i++)
		km_segment_unmap(client->segments[i].memory, client->segments[i].size);
	free(client->segments);
	km_close(client->socket);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

KM_EXPORT int kickmsg_client_get_fd(const struct kickmsg_client *client)
{
	return client->socket;
}

KM_EXPORT int kickmsg_client_dispatch(struct kickmsg_client *client)
{
	int events = 0, r;

	pthread_mutex_lock(&client->lock);
	while ((r = km_client_take_stray(client)) > 0)
		events++;
	pthread_mutex_unlock(&client->lock);
	return r == -EAGAIN ? events : r;
}

KM_EXPORT const char *kickmsg_client_last_error(const struct kickmsg_client *client)
{
	return client->error;
}
