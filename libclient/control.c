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
	void *memory;
	struct km_client_segment *segments = realloc(
		client->segments, (client->segment_count + 1) * sizeof *client->segments);

	if (!segments)
		return -ENOMEM;
	client->segments = segments;
	int r = km_segment_map(fd, size, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	segments[client->segment_count++] = (struct km_client_segment){ memory, size };
	return 0;
}

static void give_back(
	struct kickmsg_client *client, const union km_msg *answer, const int *fds, size_t count)
{
	struct km_msg_detach detach = {
		.header = { .op = KM_OP_DETACH, .serial = ++client->serial },
		.endpoint = answer->attached.endpoint,
	};

	if (answer->attached.observes)
		return;
	/* later records may lie in the segment that came along, as the last one */
	if (answer->attached.new_segment_size > 0)
		km_client_add_segment(client, fds[count - 1], answer->attached.new_segment_size);
	km_wire_send(client->socket, &detach, sizeof detach, NULL, 0);
}

/* One answer from the socket, checked. Returns 0, -EAGAIN, -ENOTCONN or -EPROTO. */
static int take_answer(
	struct kickmsg_client *client, union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	ssize_t n = km_wire_receive(client->socket, ret, ret_fds, ret_count);

	if (n < 0)
		return (int)n;
	if (km_wire_check_answer(ret, (size_t)n, *ret_count) < 0) {
		km_close_fds(ret_fds, *ret_count);
		return -EPROTO;
	}
	return 0;
}

static void drop_stray(
	struct kickmsg_client *client, const union km_msg *answer, int *fds, size_t count)
{
	if (answer->header.op == KM_OP_EVENT)
		client->events++;
	/* after its restart the broker may answer once more what it had answered before */
	if (answer->header.op == KM_OP_ATTACHED && answer->header.serial != client->answered)
		give_back(client, answer, fds, count);
	km_close_fds(fds, count);
}

int km_client_take_stray(struct kickmsg_client *client)
{
	union km_msg message;
	int fds[KM_WIRE_MAX_FDS];
	size_t count;
	int r = take_answer(client, &message, fds, &count);

	if (r < 0)
		return r;
	drop_stray(client, &message, fds, count);
	return 1;
}

static int wait_readable(int socket, int64_t deadline_ns)
{
	struct pollfd watched = { .fd = socket, .events = POLLIN };

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
		int r = take_answer(client, ret, ret_fds, ret_count);

		if (r == -EAGAIN)
			r = wait_readable(client->socket, deadline_ns);
		else if (r == 0 && ret->header.serial == serial && ret->header.op != KM_OP_EVENT)
			return 0;
		else if (r == 0)
			drop_stray(client, ret, ret_fds, *ret_count);
		if (r < 0)
			return r;
	}
}

static int call_locked(struct kickmsg_client *client, void *request, size_t size, uint32_t expected,
	union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	struct km_msg_header *header = request;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	client->error[0] = '\0';
	header->serial = ++client->serial ? client->serial : ++client->serial; /* 0: events' */
	int r = km_wire_send(client->socket, request, size, NULL, 0);
	if (r == 0)
		r = await_answer(client, header->serial, ret, fds, &count);
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
	int r = call_locked(client, request, size, expected, ret, ret_fds, ret_fd_count);
	pthread_mutex_unlock(&client->lock);
	return r;
}
