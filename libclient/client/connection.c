/* SPDX-License-Identifier: Apache-2.0 */
/* A client's lock, last error and messages: see connection.h. */
#include "libclient/client/connection.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define PATIENCE_NS INT64_C(10000000) /* the least that a call waits, if its time is longer */

void km_close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fds[i] = km_close(fds[i]);
}

/* --- the lock, the last error ------------------------------------------------------------------- */

void km_client_lock(struct kickmsg_client *client)
{
	pthread_mutex_lock(&client->turn);
	pthread_mutex_lock(&client->lock);
}

bool km_client_trylock(struct kickmsg_client *client)
{
	if (client->pid == KM_INHERITED) /* the thread that would unlock may be gone */
		return false;
	if (pthread_mutex_trylock(&client->turn) != 0)
		return false;
	if (pthread_mutex_trylock(&client->lock) == 0)
		return true;
	pthread_mutex_unlock(&client->turn);
	return false;
}

bool km_client_trylock_alone(struct kickmsg_client *client)
{
	return client->pid != KM_INHERITED && pthread_mutex_trylock(&client->lock) == 0;
}

void km_client_unlock(struct kickmsg_client *client)
{
	pthread_mutex_unlock(&client->lock);
	pthread_mutex_unlock(&client->turn);
}

bool km_client_is_inherited(const struct kickmsg_client *client)
{
	return client->pid != getpid();
}

int km_client_fail(struct kickmsg_client *client, int r, const char *format, ...)
{
	va_list arguments;

	if (km_client_is_inherited(client))
		return -ECHILD;
	km_client_lock(client);
	va_start(arguments, format);
	vsnprintf(client->error, sizeof client->error, format, arguments);
	va_end(arguments);
	km_client_unlock(client);
	return r;
}

void km_client_explain(struct kickmsg_client *client, int error)
{
	if (client->error[0] != '\0')
		return;
	if (error == -ENOTCONN)
		strcpy(client->error, "the broker has closed the connection");
	else if (error == -ETIMEDOUT)
		strcpy(client->error, "the broker did not answer in time");
	else
		snprintf(client->error, sizeof client->error, "%s", kickmsg_strerror(error));
}

int km_client_failed(struct kickmsg_client *client, int r)
{
	if (km_client_is_inherited(client))
		return -ECHILD;
	km_client_lock(client);
	km_client_explain(client, r);
	km_client_unlock(client);
	return r;
}

/* --- messages ------------------------------------------------------------------------------------ */

uint32_t km_client_next_serial(struct kickmsg_client *client)
{
	return ++client->serial ? client->serial : ++client->serial; /* events have 0 */
}

int km_client_take(
	struct kickmsg_client *client, union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	int r = km_wire_receive_answer(client->socket, ret, ret_fds, ret_count);

	if (r < 0 && r != -EMFILE)
		return r;
	client->in_vain = false;
	if (ret->header.serial == client->overdue)
		client->overdue = 0;
	if (client->link == KM_LINK_UP)
		client->backoff_ns = 0;
	return r;
}

void km_client_drop_stray(
	struct kickmsg_client *client, const union km_msg *answer, int *fds, size_t count, int r)
{
	const struct km_connection_handler *handler = client->handler;

	if (client->happened && client->happened->on_message(client, answer))
		;
	else if (answer->header.op == KM_OP_EVENT && handler)
		handler->on_changed(client);
	else if (handler && handler->on_answer(client, answer, r < 0 ? NULL : fds))
		;
	else if (answer->header.op == KM_OP_ATTACHED &&
		 !(handler && handler->has_endpoint(client, answer->attached.endpoint))) {
		if (r == 0) /* later records may lie in that segment */
			km_client_memory_adopt(client->memory, &answer->attached, fds);
		km_client_give_back(client, answer->attached.endpoint);
	}
	km_close_fds(fds, count);
}

int km_client_take_stray(struct kickmsg_client *client)
{
	union km_msg message;
	int fds[KM_WIRE_MAX_FDS];
	size_t count;
	int r = km_client_take(client, &message, fds, &count);

	if (r < 0 && r != -EMFILE)
		return r;
	km_client_drop_stray(client, &message, fds, count, r);
	return 1;
}

int64_t km_client_deadline(const struct kickmsg_client *client)
{
	int64_t wait_ns = (int64_t)client->timeout_ns;

	if (client->in_vain && wait_ns > PATIENCE_NS)
		wait_ns = wait_ns / 100 > PATIENCE_NS ? wait_ns / 100 : PATIENCE_NS;
	return km_clock_ns() + wait_ns;
}

int km_client_wait(struct kickmsg_client *client, short events, int64_t deadline_ns)
{
	struct pollfd watched = { .fd = client->socket, .events = events };

	for (;;) {
		int64_t left = deadline_ns - km_clock_ns();
		struct timespec timeout = { left / 1000000000, left % 1000000000 };

		if (left <= 0)
			return -ETIMEDOUT;
		pthread_mutex_unlock(&client->lock);
		int r = ppoll(&watched, 1, &timeout, NULL) < 0 ? -errno : watched.revents;
		pthread_mutex_lock(&client->lock);
		if (r > 0)
			return 0;
		if (r < 0 && r != -EINTR)
			return r;
	}
}

/* --- farewells ----------------------------------------------------------------------------------- */

/* Says whether epoll is to tell that the socket takes more again. */
static void watch_socket(struct kickmsg_client *client, uint32_t events)
{
	struct epoll_event watched = { .events = events };

	epoll_ctl(client->poll_fd, EPOLL_CTL_MOD, client->socket, &watched);
}

static int say_farewell(struct kickmsg_client *client, uint64_t endpoint)
{
	struct km_msg_detach detach = {
		.header = { .op = KM_OP_DETACH, .serial = km_client_next_serial(client) },
		.endpoint = endpoint,
	};

	return km_wire_send(client->socket, &detach, sizeof detach, NULL, 0);
}

void km_client_say_farewells(struct kickmsg_client *client)
{
	struct km_farewells *left = &client->farewells;

	if (left->count == 0)
		return;
	while (left->count > 0 && say_farewell(client, left->endpoints[left->count - 1]) == 0)
		left->count--;
	if (left->count == 0)
		watch_socket(client, EPOLLIN);
}

void km_client_give_back(struct kickmsg_client *client, uint64_t endpoint)
{
	struct km_farewells *left = &client->farewells;

	if (client->ends)
		return;
	km_client_say_farewells(client);
	/* hung up, which the next look at the socket says */
	if (endpoint == 0 || (left->count == 0 && say_farewell(client, endpoint) != -EAGAIN))
		return;
	if (left->count == left->capacity) {
		size_t capacity = left->capacity ? 2 * left->capacity : 64;
		uint64_t *endpoints = reallocarray(left->endpoints, capacity, sizeof *endpoints);

		/* the broker hears of the endpoint when the client ends */
		if (!endpoints)
			return;
		left->endpoints = endpoints;
		left->capacity = capacity;
	}
	if (left->count == 0)
		watch_socket(client, EPOLLIN | EPOLLOUT);
	left->endpoints[left->count++] = endpoint;
}

int km_client_say_stalled(struct kickmsg_client *client, uint64_t endpoint)
{
	struct km_msg_detach stalled = {
		.header = { .op = KM_OP_STALLED, .serial = km_client_next_serial(client) },
		.endpoint = endpoint,
	};

	return km_wire_send(client->socket, &stalled, sizeof stalled, NULL, 0);
}

/* Says the farewell for all. A socket that takes no more of earlier messages still takes this one:
 * its limit is raised first, above what reconnect.c has set. */
void km_client_give_all_back(struct kickmsg_client *client)
{
	int size = INT32_MAX; /* as much as the machine allows */

	if (client->link != KM_LINK_UP)
		return;
	if (say_farewell(client, KM_ALL_ENDPOINTS) == -EAGAIN) {
		setsockopt(client->socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		say_farewell(client, KM_ALL_ENDPOINTS);
	}
}
