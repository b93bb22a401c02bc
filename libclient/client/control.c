/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers: see control.h. Answers come in the order of the requests. The answer to a
 * request that has timed out may come later. Its serial says so, and what it brought is given back.
 */
#include "libclient/client/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/ring/waiter.h"
#include "libclient/client/reconnect.h"

/* Waits for the answer to this request; serial 0: for the overdue answer, which nobody wants any
 * more. */
static int await_answer(struct kickmsg_client *client, uint32_t serial, int64_t deadline_ns,
	union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	while (serial > 0 || client->overdue > 0) {
		int r = km_client_take(client, ret, ret_fds, ret_count);

		if (r == -EAGAIN)
			r = km_client_wait(client, POLLIN, deadline_ns);
		else if ((r == 0 || r == -EMFILE) && serial > 0 && ret->header.serial == serial &&
			 ret->header.op != KM_OP_EVENT)
			return r;
		else if (r == 0 || r == -EMFILE)
			km_client_drop_stray(client, ret, ret_fds, *ret_count, r), r = 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Sends the request, if the connection stands, once no answer is overdue. */
static int send_in_turn(struct kickmsg_client *client, struct km_msg_header *header, size_t size,
	int64_t deadline_ns)
{
	union km_msg late;
	int fds[KM_WIRE_MAX_FDS];
	size_t count;
	int r = await_answer(client, 0, deadline_ns, &late, fds, &count);

	if (r < 0)
		return r;
	header->serial = km_client_next_serial(client);
	if (header->op == KM_OP_ADVERTISE || header->op == KM_OP_SUBSCRIBE)
		((struct km_msg_attach *)header)->segments = km_client_memory_count(client->memory);
	for (;;) {
		km_client_say_farewells(client);
		r = km_wire_send(client->socket, header, size, NULL, 0);
		if (r == -EAGAIN)
			r = km_client_wait(client, POLLOUT, deadline_ns);
		else
			return r;
		if (r < 0)
			return r;
	}
}

/* Does the error of a connection mean that there is no broker? Then a request fails with
 * -ENOTCONN. */
static bool means_no_broker(int error)
{
	return error == -ECONNREFUSED || error == -ENOTCONN;
}

/* Sends the request; over a new connection if the old one turns out to be closed. */
static int send_request(struct kickmsg_client *client, struct km_msg_header *header, size_t size,
	int64_t deadline_ns)
{
	uint64_t connection = client->connection;

	for (;;) {
		int r = 0;

		if (client->link != KM_LINK_UP)
			r = km_reconnect_now(client, deadline_ns);
		if (r < 0)
			return means_no_broker(r) ? -ENOTCONN : r;
		r = send_in_turn(client, header, size, deadline_ns);
		if (r != -ENOTCONN)
			return r;
		km_reconnect_lost(client);
		if (client->connection != connection)
			return -ENOTCONN;
	}
}

static int ask_and_wait(struct kickmsg_client *client, struct km_msg_header *header, size_t size,
	int64_t deadline_ns, union km_msg *ret, int *fds, size_t *ret_count)
{
	int r = send_request(client, header, size, deadline_ns);
	bool sent = r == 0;

	if (sent)
		r = await_answer(client, header->serial, deadline_ns, ret, fds, ret_count);
	if (sent && r == -EMFILE && ret->header.op == KM_OP_ATTACHED)
		km_client_give_back(client, ret->attached.endpoint);
	if (r == -ENOTCONN && client->link == KM_LINK_UP)
		km_reconnect_lost(client);
	if (r == -ETIMEDOUT) {
		client->in_vain = true;
		if (sent)
			client->overdue = header->serial;
	}
	return r;
}

bool km_client_was_deadly(const union km_msg *answer)
{
	return answer->header.op == KM_OP_ERROR && answer->error.error == -EIO;
}

/* Is this the answer that the request may have? A SUBSCRIBE may have been kept. */
static bool is_expected(const struct km_msg_header *request, uint32_t expected, uint32_t op)
{
	return op == expected ||
	       (op == KM_OP_WAITS && request->op == KM_OP_SUBSCRIBE &&
		       ((const struct km_msg_attach *)request)->flags & KM_ATTACH_WAIT);
}

int km_client_call_locked(struct kickmsg_client *client, void *request, size_t size,
	uint32_t expected, union km_msg *ret, int *ret_fds, size_t *ret_count)
{
	struct km_msg_header *header = request;
	const int64_t deadline_ns = km_client_deadline(client);
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	client->error[0] = '\0';
	int r = ask_and_wait(client, header, size, deadline_ns, ret, fds, &count);
	/* Two brokers ended at the request, which was not done. That may be chance once; twice it
	 * isn't. */
	if (r == 0 && km_client_was_deadly(ret))
		r = ask_and_wait(client, header, size, deadline_ns, ret, fds, &count);
	if (r == 0 && ret->header.op == KM_OP_ERROR) {
		memcpy(client->error, ret->error.text, sizeof client->error);
		r = ret->error.error;
	} else if (r == 0 &&
		   (!is_expected(header, expected, ret->header.op) || (count > 0 && !ret_fds))) {
		km_close_fds(fds, count);
		r = -EPROTO;
	}
	if (r == -ENOTCONN || r == -ETIMEDOUT)
		client->error[0] = '\0'; /* it may say why an earlier connection was refused */
	if (r < 0) {
		km_client_explain(client, r);
		return r;
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
	KM_KEEP_ERRNO;
	if (km_client_is_inherited(client))
		return -ECHILD;
	km_client_lock(client);
	int r = km_client_call_locked(client, request, size, expected, ret, ret_fds, ret_fd_count);
	km_client_unlock(client);
	return r;
}
