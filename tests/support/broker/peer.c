/* SPDX-License-Identifier: Apache-2.0 */
/* Raw peers and children: see peer.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker/broker.h"
#include "tests/support/broker/peer.h"

#define LIMIT_MS 20000

static int ready_fd = -1;

/* Client segments by their socket; 0: none. A client that lets go of its segment is dead, so
 * each is kept until a later hello gets the same socket. */
static int segment_of[1024];

static void die(const char *what)
{
	fprintf(stderr, "test support: %s: %s\n", what, strerror(errno));
	_exit(99);
}

int test_peer_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		die("connect to the broker");
	return fd;
}

static int answer_with_fds(int socket, union km_msg *ret, int *fds, size_t *count)
{
	ssize_t n = km_wire_receive(socket, ret, fds, count);

	if (n < 0)
		return (int)n;
	if (km_wire_check_answer(ret, (size_t)n, *count) < 0)
		return -EPROTO;
	return (int)ret->header.op;
}

int test_peer_answer(int socket, union km_msg *ret)
{
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;
	int r = answer_with_fds(socket, ret, fds, &count);

	while (count > 0)
		close(fds[--count]);
	return r;
}

int test_peer_call(int socket, const void *request, size_t size, union km_msg *ret)
{
	if (send(socket, request, size, MSG_NOSIGNAL) < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ENOTCONN : -errno;
	return test_peer_answer(socket, ret);
}

int test_peer_hello(const char *path, const char *name, int *ret_segment_fd)
{
	struct km_msg_hello hello = TEST_HELLO(.name = "");
	int socket = test_peer_connect(path), fds[KM_WIRE_MAX_FDS];
	union km_msg answer;
	size_t count = 0;

	snprintf(hello.name, sizeof hello.name, "%s", name);
	snprintf(hello.prefix, sizeof hello.prefix, "kickmsg");
	if (send(socket, &hello, sizeof hello, MSG_NOSIGNAL) < 0 ||
		answer_with_fds(socket, &answer, fds, &count) != KM_OP_HELLO_OK)
		die("hello");
	if (ret_segment_fd) {
		*ret_segment_fd = fds[0];
		return socket;
	}
	if (socket >= (int)(sizeof segment_of / sizeof segment_of[0]))
		die("too many sockets");
	if (segment_of[socket] > 0)
		close(segment_of[socket]);
	segment_of[socket] = fds[0];
	return socket;
}

void test_child_ready(void)
{
	if (write(ready_fd, "", 1) != 1)
		_exit(99);
	close(ready_fd);
	ready_fd = -1;
}

pid_t test_child_start(void (*run)(void *argument), void *argument)
{
	pid_t parent = getpid(), pid = -1;
	struct pollfd ready;
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(98);
		close(fds[0]);
		ready_fd = fds[1];
		run(argument);
		_exit(0);
	}
	close(fds[1]);
	ready = (struct pollfd){ fds[0], POLLIN, 0 };
	if (poll(&ready, 1, LIMIT_MS) != 1 || read(fds[0], &byte, 1) != 1)
		die("a child never got ready");
	close(fds[0]);
	return pid;
}

int test_child_end(pid_t pid, int number)
{
	int status = -1;

	kill(pid, number);
	if (!test_wait_until(waitpid(pid, &status, WNOHANG) == pid, LIMIT_MS)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		die("a child didn't end");
	}
	return status;
}
