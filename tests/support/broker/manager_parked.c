/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's parking (daemon/keep/parking.h), seen and changed from the manager's side: see
 * manager.h. A message is a list of words [id:44 | part:16 | kind:2 | count:2] and the descriptors
 * of all of them.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/broker/manager.h"

#define MAX_FDS      253
#define MAX_MESSAGES 4096

struct message {
	uint64_t entries[MAX_FDS];
	size_t entry_count;
	int fds[MAX_FDS];
	size_t fd_count;
};

union control {
	char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

/* A descriptor of an entry, by the names of store.h. */
struct wanted {
	uint64_t entry; /* the entry's id and part, without the count */
	unsigned index;
};

static struct wanted parse(const char *name)
{
	static const struct {
		char letter;
		unsigned kind, index;
	} letters[] = { { 's', 0, 0 }, { 'd', 0, 1 }, { 'm', 1, 0 }, { 'c', 2, 0 }, { 'p', 2, 1 },
		{ 'b', 2, 2 } };
	char *end;
	uint64_t id = strtoull(name + 1, &end, 36), part = 0;

	if (*end == '.')
		part = strtoull(end + 1, NULL, 36);
	for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
		if (letters[i].letter == *name)
			return (struct wanted){ id << 18 | part << 2 | letters[i].kind,
				letters[i].index };
	abort();
}

static bool receive(int socket, struct message *ret)
{
	union control control;
	struct iovec part = { ret->entries, sizeof ret->entries };
	struct msghdr header = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	ssize_t n = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return false;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	ret->entry_count = (size_t)n / sizeof ret->entries[0];
	ret->fd_count = rights ? (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	memcpy(ret->fds, CMSG_DATA(rights), ret->fd_count * sizeof(int));
	return true;
}

static void send_back(int socket, const struct message *message)
{
	union control control = { 0 };
	struct iovec part = { (void *)message->entries, message->entry_count * sizeof(uint64_t) };
	struct msghdr header = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(message->fd_count * sizeof(int)) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(message->fd_count * sizeof(int));
	memcpy(CMSG_DATA(rights), message->fds, message->fd_count * sizeof(int));
	if (sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		perror("a parked message can't be sent back");
}

/* Takes an entry out of a message, with its descriptors. */
static void cut(struct message *message, size_t entry, size_t at)
{
	size_t count = message->entries[entry] & 3;

	for (size_t i = at; i < at + count; i++)
		close(message->fds[i]);
	message->fd_count -= count;
	memmove(&message->fds[at], &message->fds[at + count],
		(message->fd_count - at) * sizeof(int));
	message->entry_count--;
	memmove(&message->entries[entry], &message->entries[entry + 1],
		(message->entry_count - entry) * sizeof(uint64_t));
}

/* Looks for an entry in all messages, and changes it. */
static bool change(struct message *message, struct wanted wanted,
	void (*what)(struct message *message, size_t entry, size_t at, unsigned index, int *fd),
	int *fd)
{
	size_t at = 0;

	for (size_t i = 0; i < message->entry_count; i++) {
		unsigned count = message->entries[i] & 3;

		if (message->entries[i] >> 2 == wanted.entry && wanted.index < count) {
			what(message, i, at, wanted.index, fd);
			return true;
		}
		at += count;
	}
	return false;
}

/* Takes all messages and sends them again, changed. */
static bool go_through(struct test_manager *manager, const char *name,
	void (*what)(struct message *message, size_t entry, size_t at, unsigned index, int *fd),
	int *fd)
{
	struct message *messages = calloc(MAX_MESSAGES, sizeof *messages);
	int in = test_manager_find(manager, "I"), out = test_manager_find(manager, "O");
	size_t count = 0;
	bool found = false;

	while (count < MAX_MESSAGES && receive(out, &messages[count]))
		count++;
	for (size_t i = 0; i < count; i++) {
		found |= change(&messages[i], parse(name), what, fd);
		if (messages[i].entry_count > 0)
			send_back(in, &messages[i]);
		for (size_t j = 0; j < messages[i].fd_count; j++)
			close(messages[i].fds[j]);
	}
	free(messages);
	return found;
}

static void cut_it(struct message *message, size_t entry, size_t at, unsigned index, int *fd)
{
	cut(message, entry, at);
}

static void swap_it(struct message *message, size_t entry, size_t at, unsigned index, int *fd)
{
	close(message->fds[at + index]);
	message->fds[at + index] = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
}

static void copy_it(struct message *message, size_t entry, size_t at, unsigned index, int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = fcntl(message->fds[at + index], F_DUPFD_CLOEXEC, 3);
}

bool test_manager_unpark(struct test_manager *manager, const char *name)
{
	return go_through(manager, name, cut_it, NULL);
}

bool test_manager_repark(struct test_manager *manager, const char *name, int fd)
{
	bool found = go_through(manager, name, swap_it, &fd);

	close(fd);
	return found;
}

int test_manager_parked_fd(struct test_manager *manager, const char *name)
{
	int fd = -1;

	go_through(manager, name, copy_it, &fd);
	return fd;
}

void test_manager_park(struct test_manager *manager, const char *name, int fd)
{
	struct message message = { .entries = { parse(name).entry << 2 | 1 },
		.entry_count = 1,
		.fds = { fd },
		.fd_count = 1 };

	send_back(test_manager_find(manager, "I"), &message);
	close(fd);
}

size_t test_manager_parked(struct test_manager *manager)
{
	int bytes = 0, out = test_manager_find(manager, "O");

	return out >= 0 && ioctl(out, FIONREAD, &bytes) == 0 ? (size_t)bytes / sizeof(uint64_t) : 0;
}

bool test_manager_is_empty(struct test_manager *manager)
{
	return test_manager_stored(manager, 0) == MANAGER_OWN_FDS &&
	       test_manager_parked(manager) == 0;
}
