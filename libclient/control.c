/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers: see control.h. Answers come in the order of the requests. One whose request
 * has timed out may come later; its serial says so, and what it brought is given back.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "control.h"
#include "reconnect.h"
#include "rejoin.h"
#include "segment.h"
#include "waiter.h"

void km_close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fds[i] = km_close(fds[i]);
}

int km_client_fail(struct kickmsg_client *client, int r, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&client->lock);
	va_start(arguments, format);
	vsnprintf(client->error, sizeof client->error, format, arguments);
	va_end(arguments);
	pthread_mutex_unlock(&client->lock);
	return r;
}

int km_client_add_segment(struct kickmsg_client *client, int fd, uint64_t size)
{
	struct km_client_memory *own = client->memory;
	void *memory;
	struct km_client_segment *segments = realloc(
		own->segments, (own->segment_count + 1) * sizeof *own->segments);

	if (!segments)
		return -ENOMEM;
	own->segments = segments;
	int r = km_segment_map_resident(fd, size, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	segments[own->segment_count++] = (struct km_client_segment){ memory, size };
	return 0;
}

struct km_client_memory *km_client_memory_ref(struct km_client_memory *memory)
{
	memory->users++;
	return memory;
}

void km_client_memory_unref(struct km_client_memory *memory)
{
	if (!memory || --memory->users > 0)
		return;
	for (size_t i = 0; i < memory->segment_count; i++)
		km_segment_unmap(memory->segments[i].memory, memory->segments[i].size);
	free(memory->segments);
	free(memory);
}

uint32_t km_client_next_serial(struct kickmsg_client *client)
{
	return ++client->serial ? client->serial : ++client->serial; /* 0: events' */
}

void km_client_give_back(struct kickmsg_client *client, uint64_t endpoint)
{
	struct km_msg_detach detach = {
		.header = { .op = KM_OP_DETACH, .serial = km_client_next_serial(client) },
		.endpoint = endpoint,
	};

	if (endpoint > 0) /* not an observer's */
		km_wire_send(client->socket, &detach, sizeof detach, NULL, 0);
}

int km_client_take(
	struct kickmsg_client *client, union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	ssize_t n = km_wire_receive(client->socket, ret, ret_fds, ret_count);

	if (n < 0)
		return (int)n;
	if (km_wire_check_answer(ret, (size_t)n, *ret_count) < 0) {
		km_close_fds(ret_fds, *ret_count);
		return -EPROTO;
	}
	if (client->link == KM_LINK_UP)
		client->backoff_ns = 0;
	return 0;
}

static void drop_stray(
	struct kickmsg_client *client, const union km_msg *answer, int *fds, size_t count)
{
	if (answer->header.op == KM_OP_EVENT)
		client->events++;
	else if (km_rejoin_answer(client, answer, fds))
		;
	/* after its restart the broker may answer once more what it had answered before */
	else if (answer->header.op == KM_OP_ATTACHED && answer->header.serial != client->answered) {
		/* later records may lie in the segment that came along, as the last one */
		if (answer->attached.new_segment_size > 0)
			km_client_add_segment(
				client, fds[count - 1], answer->attached.new_segment_size);
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

	if (r < 0)
		return r;
	drop_stray(client, &message, fds, count);
	return 1;
}

int km_client_wait(struct kickmsg_client *client, int64_t deadline_ns)
{
	struct pollfd watched = { .fd = client->socket, .events = POLLIN };

	for (;;) {
		int64_t left = deadline_ns - km_clock_ns();
		struct timespec timeout = { left / 1000000000, left % 1000000000 };

		if (left <= 0)
			return -ETIMEDOUT;
		int n = ppoll(&watched, 1, &timeout, NULL);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int await_answer(struct kickmsg_client *client, uint32_t serial, union km_msg *ret,
	int *ret_fds, size_t *ret_count)
{
	int64_t deadline_ns = km_clock_ns() + (int64_t)client->timeout_ns;

	for (;;) {
		int r = km_client_take(client, ret, ret_fds, ret_count);

		if (r == -EAGAIN)
			r = km_client_wait(client, deadline_ns);
		else if (r == 0 && ret->header.serial == serial && ret->header.op != KM_OP_EVENT)
			return 0;
		else if (r == 0)
			drop_stray(client, ret, ret_fds, *ret_count);
		if (r < 0)
			return r;
	}
}

/* Sends; over a new connection if the old one turns out to be closed. */
static int send_request(struct kickmsg_client *client, struct km_msg_header *header, size_t size)
{
	uint64_t connection = client->connection;

	for (;;) {
		int r = client->link == KM_LINK_UP ? 0 : km_reconnect_now(client);

		/* an endpoint's name is of its connection */
		if (r < 0 || (header->op == KM_OP_DETACH && client->connection != connection))
			return -ENOTCONN;
		header->serial = km_client_next_serial(client);
		r = km_wire_send(client->socket, header, size, NULL, 0);
		if (r != -ENOTCONN)
			return r;
		km_reconnect_lost(client);
		if (client->connection != connection)
			return -ENOTCONN;
	}
}

int km_client_call_locked(struct kickmsg_client *client, void *request, size_t size,
	uint32_t expected, union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	struct km_msg_header *header = request;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	client->error[0] = '\0';
	int r = send_request(client, header, size);
	if (r == 0)
		r = await_answer(client, header->serial, ret, fds, &count);
	if (r == -ENOTCONN && client->link == KM_LINK_UP)
		km_reconnect_lost(client);
	if (r == -ENOTCONN)
		strcpy(client->error, "the broker has closed the connection");
	if (r == -ETIMEDOUT)
		strcpy(client->error, "the broker did not answer in time");
	if (r < 0)
		return r;
	client->answered = header->serial;
	if (ret->header.op == KM_OP_ERROR) {
		memcpy(client->error, ret->error.text, sizeof client->error);
		return ret->error.error;
	}
	if (ret->header.op != expected || (count > 0 && !ret_fds)) {
		km_close_fds(fds, count);
		return -EPROTO;
	}
	if (ret_fds) {
		memcpy(ret_fds, fds, count * sizeof fds[0]);
		*ret_count = count;
	}
	return 0;
}

int km_client_call(struct kickmsg_client *client, void *request, size_t size, uint32_t expected,
	union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count)
{
	pthread_mutex_lock(&client->lock);
	int r = km_client_call_locked(client, request, size, expected, ret, ret_fds, ret_fd_count);
	pthread_mutex_unlock(&client->lock);
	return r;
}
