/* SPDX-License-Identifier: Apache-2.0 */
/* How messages and their descriptors travel: see wire.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/protocol/wire.h"

int km_wire_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(KM_WIRE_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)message, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count > KM_WIRE_MAX_FDS)
		return -EINVAL;
	if (fd_count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
	}
	for (;;) {
		ssize_t n = sendmsg(socket, &header, MSG_NOSIGNAL);

		if (n >= 0)
			return (size_t)n == size ? 0 : -EPROTO;
		if (errno == EPIPE || errno == ECONNRESET)
			return -ENOTCONN;
		if (errno != EINTR)
			return -errno;
	}
}

static ssize_t receive(int socket, struct msghdr *header, int flags)
{
	bool was_reset = false;
	ssize_t n;

	for (;;) {
		n = recvmsg(socket, header, flags);
		/* the peer left answers unread: what it had sent before comes all the same */
		if (n < 0 && errno == ECONNRESET && !was_reset)
			was_reset = true;
		else if (n >= 0 || errno != EINTR)
			break;
	}
	if (n < 0)
		return errno == ECONNRESET ? -ENOTCONN : -errno;
	return n;
}

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Moves the descriptors above 2. False: the process can't have them there, and all are closed. */
static bool lift_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fds[i] = km_fd_above_stdio(fds[i]);
		if (fds[i] >= 0)
			continue;
		close_fds(fds, i);
		close_fds(fds + i + 1, count - i - 1);
		return false;
	}
	return true;
}

/* Takes the descriptors out of a received message. All or none: on an error what came is closed.
 * Errors: -EMFILE not all of them could be installed; -EPROTO there are too many, or the message is
 * too long. */
static int take_fds(struct msghdr *header, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_count)
{
	/* as many as the control buffer's alignment leaves room for */
	int fds[KM_WIRE_MAX_FDS + 2];
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	*ret_count = 0;
	if (count > KM_WIRE_MAX_FDS || header->msg_flags & MSG_TRUNC) {
		close_fds(fds, count);
		return -EPROTO;
	}
	if (header->msg_flags & MSG_CTRUNC) {
		close_fds(fds, count);
		return -EMFILE;
	}
	if (!lift_fds(fds, count))
		return -EMFILE;
	memcpy(ret_fds, fds, count * sizeof(int));
	*ret_count = count;
	return 0;
}

/* *ret_error is take_fds()'s. */
static ssize_t receive_with_fds(int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS],
	size_t *ret_fd_count, int *ret_error)
{
	union {
		/* room for one more than is allowed, to see and close it */
		char bytes[CMSG_SPACE((KM_WIRE_MAX_FDS + 1) * sizeof(int))];
		struct cmsghdr align;
	} control;
	static_assert(sizeof control.bytes <= CMSG_LEN((KM_WIRE_MAX_FDS + 2) * sizeof(int)),
		"take_fds() has room for all");
	struct iovec part = { ret, sizeof *ret };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t n = receive(socket, &header, MSG_CMSG_CLOEXEC);

	*ret_fd_count = 0;
	*ret_error = 0;
	if (n < 0)
		return n;
	*ret_error = take_fds(&header, ret_fds, ret_fd_count);
	if (n == 0 && *ret_error == 0 && *ret_fd_count == 0)
		return -ENOTCONN;
	return n;
}

/* Is it an answer, with the descriptors that belong to it? With -EMFILE these are missing. */
static bool fits(const union km_msg *answer, size_t size, size_t fd_count, int error)
{
	size_t announced = size < sizeof answer->header ? 0 : km_wire_announced_fds(answer);

	if (error == 0)
		return km_wire_check_answer(answer, size, fd_count) == 0;
	return announced > 0 && km_wire_check_answer(answer, size, announced) == 0;
}

int km_wire_receive_answer(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count)
{
	int error;
	ssize_t n = receive_with_fds(socket, ret, ret_fds, ret_fd_count, &error);

	if (n < 0)
		return (int)n;
	if (error == -EPROTO || !fits(ret, (size_t)n, *ret_fd_count, error)) {
		close_fds(ret_fds, *ret_fd_count);
		*ret_fd_count = 0;
		return -EPROTO;
	}
	return error;
}

ssize_t km_wire_receive(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count)
{
	int error;
	ssize_t n = receive_with_fds(socket, ret, ret_fds, ret_fd_count, &error);

	return n >= 0 && error < 0 ? error : n;
}

/* Without a control buffer the kernel installs no descriptor, and says that there was one. */
ssize_t km_wire_peek(int socket, union km_msg *ret)
{
	struct iovec part = { ret, sizeof *ret };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n = receive(socket, &header, MSG_PEEK);

	if (n < 0)
		return n;
	if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	return n == 0 ? -ENOTCONN : n;
}

void km_wire_skip(int socket)
{
	while (recv(socket, NULL, 0, MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}
