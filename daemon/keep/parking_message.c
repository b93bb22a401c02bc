/* SPDX-License-Identifier: Apache-2.0 */
/* One message of the parking: see parking_message.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/keep/parking_message.h"

union control {
	char bytes[CMSG_SPACE(KM_MESSAGE_FDS * sizeof(int))];
	struct cmsghdr align;
};

int km_message_send(int socket, const struct km_message *message)
{
	union control control = { 0 };
	struct iovec part = { (void *)message->entries,
		message->entry_count * sizeof message->entries[0] };
	size_t size = message->fd_count * sizeof(int);
	struct msghdr header = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(size) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(rights), message->fds, size);
	while (sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static ssize_t receive(int socket, struct msghdr *header, int flags, struct km_message *ret)
{
	struct iovec part = { ret->entries, sizeof ret->entries };
	ssize_t n;

	header->msg_iov = &part;
	header->msg_iovlen = 1;
	do
		n = recvmsg(socket, header, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EAGAIN;
	ret->entry_count = (size_t)n / sizeof ret->entries[0];
	ret->fd_count = 0;
	return n;
}

static ssize_t peek(int socket, int offset, struct msghdr *header, struct km_message *ret)
{
	ret->fd_count = 0;
	if (setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) < 0)
		return -errno;
	return receive(socket, header, MSG_PEEK, ret);
}

ssize_t km_message_peek_entries(int socket, int offset, struct km_message *ret)
{
	struct msghdr header = { 0 };

	return peek(socket, offset, &header, ret);
}

ssize_t km_message_peek(int socket, int offset, struct km_message *ret)
{
	union control control;
	struct msghdr header = { .msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	ssize_t n = peek(socket, offset, &header, ret);

	if (n < 0)
		return n;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
		ret->fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret->fds, CMSG_DATA(rights), ret->fd_count * sizeof(int));
	}
	return header.msg_flags & MSG_CTRUNC ? -EMFILE : n;
}

int km_message_take(int socket, struct km_message *ret)
{
	struct msghdr header = { 0 };
	ssize_t n = receive(socket, &header, 0, ret);

	return n < 0 ? (int)n : 0;
}

void km_message_close(struct km_message *message)
{
	while (message->fd_count > 0)
		km_close(message->fds[--message->fd_count]);
}
