/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From accept to hello: see stranger.h. The kernel says who a peer is: SO_PEERCRED, and a pidfd
 * that says when it dies.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/protocol/wire.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/peer/stranger.h"
#include "daemon/run/log.h"

/* The peer's process as the kernel knows it. Errors: -ESRCH it is gone already; -EMFILE, ... */
static int open_pidfd(struct km_session *session, int *ret)
{
	int r = km_session_peer_pidfd(session->socket, ret);

	if (r != -ENOPROTOOPT)
		return r;
	session->keeps_pidfd = true;
	/* Before Linux 6.5 the number may have become another process' since the connection. If the
	 * connection still stands after the pidfd was opened it has not: the process that connected
	 * has it open. */
	int fd = (int)syscall(SYS_pidfd_open, session->kept.pid, 0);
	struct pollfd state = { session->socket, 0, 0 };

	if (fd < 0)
		return -errno;
	if (poll(&state, 1, 0) < 0 || state.revents & (POLLHUP | POLLERR)) {
		close(fd);
		return -ESRCH;
	}
	*ret = fd;
	return 0;
}

static int identify(struct km_session *session)
{
	struct ucred cred;
	socklen_t size = sizeof cred;

	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	session->kept.pid = cred.pid;
	session->kept.uid = cred.uid;
	session->kept.gid = cred.gid;
	session->account = km_account_ref(&session->broker->accounts, session->kept.uid);
	if (!session->account)
		return -ENOMEM;
	return open_pidfd(session, &session->pidfd);
}

/* Has the connection said nothing that only waits for its turn? */
static bool is_silent(const struct km_session *session)
{
	struct pollfd state = { session->socket, POLLIN, 0 };

	return poll(&state, 1, 0) == 0;
}

/* The connection of this account that has been silent for longest; null: all have something to
 * say. */
static struct km_session *find_silent(struct km_broker *broker, const struct km_account *account)
{
	struct km_session *session;

	TAILQ_FOREACH (session, &broker->strangers, in_strangers)
		if (session->account == account && is_silent(session))
			return session;
	return NULL;
}

static struct km_account *find_biggest(struct km_broker *broker)
{
	struct km_account *account, *biggest = NULL;

	LIST_FOREACH (account, &broker->accounts.list, next)
		if (!biggest || account->used[KM_STRANGERS] > biggest->used[KM_STRANGERS])
			biggest = account;
	return biggest;
}

static void send_away(struct km_session *session, const char *why)
{
	km_log(LOG_INFO | KM_EVENT_CLIENT_SENT_AWAY, session, NULL, "sent away: %s", why);
	km_session_disconnect(session);
}

/* Makes room for one more connection. -EDQUOT: none can go, since all have something to say, or
 * stay open only because they can't be closed. */
static int make_room(struct km_broker *broker, struct km_account *account)
{
	struct km_session *silent = NULL;

	if (account->used[KM_STRANGERS] >= KM_STRANGERS_OF_USER)
		silent = find_silent(broker, account);
	else if (broker->accounts.used[KM_STRANGERS] >= KM_STRANGERS_IN_ALL)
		silent = find_silent(broker, find_biggest(broker));
	if (silent)
		send_away(silent, "it is silent, and there are too many such connections");
	return account->used[KM_STRANGERS] < 4 * KM_STRANGERS_OF_USER ? 0 : -EDQUOT;
}

void km_stranger_expire(struct km_broker *broker, int64_t now_ns)
{
	struct km_session *session, *next;

	for (session = TAILQ_FIRST(&broker->strangers); session; session = next) {
		next = TAILQ_NEXT(session, in_strangers);
		if (now_ns - session->kept.since_ns < KM_HELLO_LIMIT_NS)
			break; /* those behind came later */
		if (is_silent(session))
			send_away(session, "it never said hello");
	}
}

/* Says the reason before the connection is closed: the client's call fails with it. A reason that
 * the socket doesn't take goes unsaid. */
static void give_reason(int socket, int error)
{
	struct km_msg_error answer = { .header.op = KM_OP_ERROR, .error = error };

	if (error == -EMFILE)
		snprintf(answer.text, sizeof answer.text,
			"the broker can have no more descriptors open (its RLIMIT_NOFILE)");
	else
		snprintf(answer.text, sizeof answer.text,
			"the broker can't take this connection: %s", strerror(-error));
	km_wire_send(socket, &answer, sizeof answer, NULL, 0);
}

void km_stranger_accept(struct km_broker *broker, int socket)
{
	struct km_session *session = calloc(1, sizeof *session);

	if (!session) {
		km_log(LOG_ERR | KM_EVENT_CANT_ACCEPT, NULL, NULL, "no memory for a connection");
		give_reason(socket, -ENOMEM);
		km_hangup(&broker->hangup, socket, NULL);
		return;
	}
	session->broker = broker;
	session->kept.state = KM_SESSION_NEW;
	session->socket = socket;
	session->pidfd = -1;
	session->kept.id = ++broker->next_session;
	session->kept.since_ns = km_clock_ns();
	LIST_INIT(&session->members);
	LIST_INIT(&session->waits);
	LIST_INSERT_HEAD(&broker->sessions, session, next);
	km_hangup_refuse_rights(socket);
	int r = identify(session);
	if (r == 0 && !km_operator_has_descriptors(session))
		r = -EMFILE;
	if (r == 0)
		r = make_room(broker, session->account);
	if (r == 0)
		r = km_session_watch(session);
	if (r == 0) {
		session->is_stranger = true;
		km_account_take(session->account, KM_STRANGERS, 1);
		TAILQ_INSERT_TAIL(&broker->strangers, session, in_strangers);
		return;
	}
	km_log((r == -ESRCH ? LOG_DEBUG : LOG_WARNING) | KM_EVENT_CANT_ACCEPT, session, NULL,
		"not taken in: %s", strerror(-r));
	if (r != -ESRCH)
		give_reason(session->socket, r);
	km_session_free(session);
}
