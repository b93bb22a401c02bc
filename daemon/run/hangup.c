/* SPDX-License-Identifier: Apache-2.0 */
/* Closing a peer's connection: see hangup.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/protocol/wire.h"
#include "daemon/run/account.h"
#include "daemon/run/hangup.h"
#include "daemon/run/log.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

struct km_unclosed {
	STAILQ_ENTRY(km_unclosed) next;
	int socket;
	struct km_account *account;
};

void km_hangup_init(struct km_hangup *hangup)
{
	hangup->socket = -1;
	hangup->pid = 0;
	STAILQ_INIT(&hangup->unclosed);
}

void km_hangup_refuse_rights(int socket)
{
	static const int options[] = { SO_PASSRIGHTS, SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD };
	const int off = 0;

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		setsockopt(socket, SOL_SOCKET, options[i], &off, sizeof off);
}

enum next { NOTHING, PLAIN, WITH_RIGHTS };

/* Looks at the next message. A socket that is shut reads as 0 bytes when it is empty, and so does
 * an empty message; but each message has credentials with it. There is room for these alone, so no
 * descriptor is opened. */
static enum next look(int socket)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr header = { .msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	ssize_t n;

	do
		n = recvmsg(socket, &header, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return NOTHING;
	if (header.msg_flags & MSG_CTRUNC)
		return WITH_RIGHTS;
	/* an emulator says that there is a control message, and there is nothing in it */
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	return cmsg && cmsg->cmsg_type == SCM_CREDENTIALS ? PLAIN : NOTHING;
}

/* Is there no message in the connection that has descriptors? Messages without descriptors are
 * taken. */
static bool is_clean(int socket)
{
	const int on = 1;
	enum next next;

	setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	while ((next = look(socket)) == PLAIN)
		km_wire_skip(socket);
	return next == NOTHING;
}

/* The other process. It has the program's memory as it was, but none that is shared with clients
 * (MADV_DONTFORK), and no descriptor but its socket. */
__attribute__((noreturn)) static void serve(int socket)
{
	int peers[KM_WIRE_MAX_FDS];
	union km_msg message;
	size_t count;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "kickmsgd-hangup");
	if (dup2(socket, STDIN_FILENO) < 0)
		_exit(EXIT_FAILURE);
	if (close_range(1, ~0U, 0) < 0)
		for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd > 0; fd--)
			close(fd);
	while (km_wire_receive(STDIN_FILENO, &message, peers, &count) >= 0)
		while (count > 0) {
			int peer = peers[--count];

			/* a copy that waits in the parking is empty from here on */
			while (look(peer) != NOTHING)
				km_wire_skip(peer);
			close(peer);
		}
	_exit(EXIT_SUCCESS);
}

static int start(struct km_hangup *hangup)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	hangup->pid = fork();
	if (hangup->pid == 0)
		serve(pair[1]);
	int r = hangup->pid < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	close(pair[1]);
	hangup->socket = r < 0 ? km_close(pair[0]) : pair[0];
	return r;
}

/* Forgets the process, which goes on with the connections that it has. */
static void stop(struct km_hangup *hangup)
{
	hangup->socket = km_close(hangup->socket);
	if (hangup->pid > 0)
		waitpid(hangup->pid, NULL, WNOHANG);
	hangup->pid = 0;
}

/* Hands the connection over. Errors: of fork(2) and sendmsg(2); -EAGAIN: the process has enough to
 * do. */
static int hand_over(struct km_hangup *hangup, int socket)
{
	struct km_msg_header word = { 0 };
	int r = -ENOTCONN;

	if (hangup->socket >= 0)
		r = km_wire_send(hangup->socket, &word, sizeof word, &socket, 1);
	if (r != -ENOTCONN)
		return r;
	stop(hangup); /* the process was ended from outside */
	r = start(hangup);
	return r < 0 ? r : km_wire_send(hangup->socket, &word, sizeof word, &socket, 1);
}

static void keep_open(struct km_hangup *hangup, int socket, struct km_account *account, int error)
{
	struct km_unclosed *unclosed = calloc(1, sizeof *unclosed);

	km_log(LOG_WARNING | KM_EVENT_CANT_CLOSE, NULL, NULL,
		"a connection with descriptors of uid %d can't be closed yet: %s",
		account ? (int)account->uid : -1, strerror(-error));
	if (!unclosed)
		/* The socket stays open for good, which is less bad than to wait here. */
		return;
	unclosed->socket = socket;
	unclosed->account = account ? km_account_ref(account->accounts, account->uid) : NULL;
	if (unclosed->account)
		km_account_take(unclosed->account, KM_STRANGERS, 1);
	STAILQ_INSERT_TAIL(&hangup->unclosed, unclosed, next);
}

void km_hangup(struct km_hangup *hangup, int socket, struct km_account *account)
{
	int r;

	/* a copy may wait in the parking, so closing tells the peer nothing; and nothing comes
	 * behind what is looked at */
	shutdown(socket, SHUT_RDWR);
	if (is_clean(socket)) {
		close(socket);
		return;
	}
	r = STAILQ_EMPTY(&hangup->unclosed) ? hand_over(hangup, socket) : -EAGAIN;
	if (r == 0)
		close(socket); /* the process that closes it has a copy */
	else
		keep_open(hangup, socket, account, r);
}

void km_hangup_again(struct km_hangup *hangup)
{
	struct km_unclosed *unclosed;

	while ((unclosed = STAILQ_FIRST(&hangup->unclosed)) &&
		hand_over(hangup, unclosed->socket) == 0) {
		close(unclosed->socket);
		STAILQ_REMOVE_HEAD(&hangup->unclosed, next);
		if (unclosed->account)
			km_account_give(unclosed->account, KM_STRANGERS, 1);
		km_account_unref(unclosed->account);
		free(unclosed);
	}
}

void km_hangup_deinit(struct km_hangup *hangup)
{
	struct km_unclosed *unclosed;

	if (!STAILQ_EMPTY(&hangup->unclosed)) {
		stop(hangup); /* the process is stuck; another one has room */
		km_hangup_again(hangup);
	}
	stop(hangup);
	while ((unclosed = STAILQ_FIRST(&hangup->unclosed))) {
		STAILQ_REMOVE_HEAD(&hangup->unclosed, next);
		km_account_unref(unclosed->account);
		free(unclosed);
	}
}
