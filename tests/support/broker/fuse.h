/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file whose last close never ends: of a FUSE server that caches writes and never answers one. It
 * is mounted in a namespace of a child's own, so nothing of it is left, however the test ends.
 *
 *   struct slow_file file;
 *   if (!slow_file_start(&file, dir)) ... not here
 *   fd = slow_file_open(&file);        any number; the caller's
 *   slow_file_dirty(&file);            from now on the last close of each waits
 *   slow_file_end(&file);              no more
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/protocol/wire.h"

#define SLOW_FILE_SIZE 4096

struct slow_file {
	pid_t pid;
	int socket;
};

static inline void slow_reply(int dev, uint64_t unique, int error, const void *data, size_t size)
{
	static char bytes[SLOW_FILE_SIZE + 256];
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof header + size), .error = error, .unique = unique
	};

	memcpy(bytes, &header, sizeof header);
	if (size > 0)
		memcpy(bytes + sizeof header, data, size);
	if (write(dev, bytes, header.len) < 0)
		return; /* the process that asked doesn't wait any more */
}

static inline struct fuse_attr slow_attributes(uint64_t node)
{
	return (struct fuse_attr){ .ino = node,
		.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666,
		.nlink = 1,
		.size = node == FUSE_ROOT_ID ? 0 : SLOW_FILE_SIZE };
}

static inline void slow_answer(int dev, const struct fuse_in_header *in)
{
	static const char zeroes[SLOW_FILE_SIZE];
	struct fuse_init_out init = { .major = 7,
		.minor = 31,
		.flags = FUSE_WRITEBACK_CACHE,
		.max_write = SLOW_FILE_SIZE,
		.max_background = 16,
		.time_gran = 1 };
	struct fuse_entry_out entry = {
		.nodeid = 2, .entry_valid = 1000, .attr_valid = 1000, .attr = slow_attributes(2)
	};
	struct fuse_attr_out attributes = { .attr_valid = 1000,
		.attr = slow_attributes(in->nodeid) };
	struct fuse_open_out opened = { .fh = 1 };

	switch (in->opcode) {
	case FUSE_INIT:
		slow_reply(dev, in->unique, 0, &init, sizeof init);
		break;
	case FUSE_LOOKUP:
		slow_reply(dev, in->unique, 0, &entry, sizeof entry);
		break;
	case FUSE_GETATTR:
		slow_reply(dev, in->unique, 0, &attributes, sizeof attributes);
		break;
	case FUSE_OPEN:
		slow_reply(dev, in->unique, 0, &opened, sizeof opened);
		break;
	case FUSE_READ:
		slow_reply(dev, in->unique, 0, zeroes, sizeof zeroes);
		break;
	case FUSE_WRITE: /* never answered, so a last close never ends */
	case FUSE_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		slow_reply(dev, in->unique, -ENOSYS, NULL, 0);
	}
}

/* Opens files, and makes the file dirty, as the test tells it. */
__attribute__((noreturn)) static inline void slow_open(const char *path, int socket)
{
	static const char page[SLOW_FILE_SIZE] = "dirty";
	struct km_msg_header header = { 0 };
	char word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int keeper = open(path, O_RDWR | O_CLOEXEC);
	if (keeper < 0 || write(socket, "r", 1) != 1)
		_exit(1);
	while (read(socket, &word, 1) == 1) {
		bool dirty = word == 'd';
		int fd = dirty ? -1 : open(path, O_RDWR | O_CLOEXEC);

		if (dirty && pwrite(keeper, page, sizeof page, 0) != sizeof page)
			_exit(1);
		if (km_wire_send(socket, &header, sizeof header, &fd, !dirty) < 0)
			_exit(1);
		km_close(fd); /* the file is clean still, so this close ends */
	}
	_exit(0);
}

/* The server is the parent. When it dies, however, every process that waits for it ends. */
__attribute__((noreturn)) static inline void slow_serve(const char *dir, int socket)
{
	static char in[1 << 17];
	char options[128], path[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		dev);
	snprintf(path, sizeof path, "%s/file", dir);
	if (dev < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("slow", dir, "fuse", 0, options) < 0)
		_exit(1);
	if (fork() == 0) {
		close(dev);
		slow_open(path, socket);
	}
	close(socket);
	while (read(dev, in, sizeof in) > 0 || errno == EINTR)
		slow_answer(dev, (const struct fuse_in_header *)(void *)in);
	_exit(0);
}

static inline bool slow_file_start(struct slow_file *file, const char *dir)
{
	int pair[2];
	char word;

	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	file->pid = fork();
	if (file->pid == 0) {
		close(pair[0]);
		slow_serve(dir, pair[1]);
	}
	close(pair[1]);
	file->socket = pair[0];
	return read(file->socket, &word, 1) == 1;
}

/* Returns -1 where the file can't be opened. */
static inline int slow_file_open(struct slow_file *file)
{
	int fds[KM_WIRE_MAX_FDS];
	union km_msg message;
	size_t count = 0;

	if (write(file->socket, "o", 1) != 1 ||
		km_wire_receive(file->socket, &message, fds, &count) < 0 || count != 1)
		return -1;
	return fds[0];
}

static inline bool slow_file_dirty(struct slow_file *file)
{
	struct km_msg_header header;

	return write(file->socket, "d", 1) == 1 &&
	       read(file->socket, &header, sizeof header) == sizeof header;
}

static inline void slow_file_end(struct slow_file *file)
{
	kill(file->pid, SIGKILL);
	waitpid(file->pid, NULL, 0);
	close(file->socket);
}
