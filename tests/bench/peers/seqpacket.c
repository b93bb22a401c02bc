/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets, SOCK_SEQPACKET: one connection for each pair of ends, buffers raised so that 1 MiB fits.
 * Polled with MSG_DONTWAIT where a load polls. A send waits for room. Fan-out is one send for each
 * receiver.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define BUFFER_BYTES (4 << 20)
#define MAX_PEERS    STAGE_MAX_ENDS

struct socket_end {
	struct worker *worker;
	unsigned channel;
	unsigned count; /* connections */
	unsigned wanted;
	unsigned next; /* the connection that is looked at first */
	int listener;
	int fds[MAX_PEERS];
	_Alignas(64) unsigned char message[];
};

static void address_of(
	const struct worker *worker, unsigned channel, unsigned which, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s.%u.%u", worker->dir,
		    worker->name, channel, which) >= sizeof(ret->sun_path))
		bench_die("%s is too long a folder for a socket", worker->dir);
}

static int new_socket(struct worker *worker)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), bytes = BUFFER_BYTES;

	if (fd < 0)
		stage_refuse(worker, "socket: error %d", errno);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return fd;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	struct socket_end *end = peer_end_new(worker, sizeof(*end));

	end->worker = worker;
	end->channel = channel;
	end->wanted = worker->shape.receivers * worker->shape.ends;
	return end;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	struct socket_end *end = peer_end_new(worker, sizeof(*end));
	bool both = worker->shape.kind == SHAPE_PING_PONG;
	unsigned rank = both ? 0 : worker->index - worker->shape.senders;
	struct sockaddr_un address;

	end->worker = worker;
	end->wanted = both ? 1 : worker->shape.senders;
	end->listener = new_socket(worker);
	address_of(worker, channel, rank * worker->shape.ends + index, &address);
	if (bind(end->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(end->listener, MAX_PEERS) < 0)
		stage_refuse(worker, "bind %s: error %d", address.sun_path, errno);
	return end;
}

/* All receivers listen before the first send. */
static void connect_all(struct socket_end *end)
{
	while (end->count < end->wanted) {
		struct sockaddr_un address;
		int fd = new_socket(end->worker);

		address_of(end->worker, end->channel, end->count, &address);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			stage_refuse(end->worker, "connect %s: error %d", address.sun_path, errno);
		end->fds[end->count++] = fd;
	}
}

static void accept_all(struct socket_end *end)
{
	while (end->count < end->wanted) {
		int fd = accept4(end->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			stage_refuse(end->worker, "accept: error %d", errno);
		end->fds[end->count++] = fd;
	}
}

static void socket_send(void *sender, size_t size, uint64_t key)
{
	struct socket_end *end = sender;

	if (end->count < end->wanted)
		connect_all(end);
	message_write(end->message, size, key);
	for (unsigned i = 0; i < end->count; i++)
		if (send(end->fds[i], end->message, size, MSG_NOSIGNAL) != (ssize_t)size)
			stage_refuse(end->worker, "send: error %d", errno);
}

static const void *socket_take(void *receiver, size_t size, bool block)
{
	struct socket_end *end = receiver;

	if (end->count < end->wanted)
		accept_all(end);
	for (unsigned i = 0; i < end->count; i++) {
		int fd = end->fds[end->next];
		ssize_t got = recv(fd, end->message, size,
			MSG_TRUNC | (block && end->count == 1 ? 0 : MSG_DONTWAIT));

		end->next = end->next + 1 < end->count ? end->next + 1 : 0;
		if (got == (ssize_t)size)
			return end->message;
		if (got == 0 || (got < 0 && errno == EAGAIN))
			continue;
		stage_refuse(end->worker, "receive: %zd bytes, error %d", got, errno);
	}
	return NULL;
}

static void socket_release(void *receiver)
{
}

LOOPS(socket_round, peer_seqpacket)

const struct adapter peer_seqpacket = {
	.name = "seqpacket",
	.setting = "AF_UNIX, 4 MiB of buffer",
	.shapes = PEER_ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.exact = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = socket_send,
	.take = socket_take,
	.release = socket_release,
	.round = socket_round,
};
