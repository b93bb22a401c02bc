/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connected process, from accept to the last thing freed: see broker.h for its states. Who it
 * is comes from the kernel: SO_PEERCRED, and a pidfd that says when it dies.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "death.h"
#include "keep.h"
#include "listener.h"
#include "log.h"
#include "request.h"
#include "session.h"
#include "wait.h"
#include "waiter.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* Connections that may be there besides those of `clients`: they haven't said hello yet. */
#define SPARE_SOCKETS      32
#define SPARE_USER_SOCKETS 8 /* of one user */
/* Requests of one peer that are served before the others have a turn. */
#define REQUEST_BURST 16

int km_session_answer(
	struct km_session *session, void *message, size_t size, const int *fds, size_t fd_count)
{
	struct km_msg_header *header = message;

	header->serial = session->serial;
	km_keep_commit(
		session->broker); /* what is answered counts, whatever happens to this broker */
	int r = km_wire_send(session->socket, message, size, fds, fd_count);
	if (r == -EAGAIN)
		km_log(LOG_WARNING | KM_EVENT_CLIENT_SENT_AWAY, session, NULL,
			"doesn't read its answers: disconnected");
	else if (r < 0 && r != -ENOTCONN)
		km_log(LOG_WARNING | KM_EVENT_CLIENT_SENT_AWAY, session, NULL, "can't answer: %s",
			strerror(-r));
	session->doomed |= r < 0;
	return r;
}

int km_session_refuse(struct km_session *session, const struct km_topic *topic, int error,
	const char *format, ...)
{
	struct km_msg_error answer = {
		.header.op = KM_OP_ERROR, .error = error, .detail = session->detail
	};
	va_list args;

	session->detail = 0;
	va_start(args, format);
	vsnprintf(answer.text, sizeof answer.text, format, args);
	va_end(args);
	/* waiting for a topic by asking again and again is ordinary */
	km_log((error == -ENOENT ? LOG_DEBUG : LOG_INFO) | KM_EVENT_REFUSED, session, topic,
		"refused: %s (%s)", answer.text, strerror(-error));
	return km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_session_tell(struct km_session *session)
{
	struct km_msg_event event = { .header.op = KM_OP_EVENT, .what = 1 };

	if (session->socket >= 0 &&
		km_wire_send(session->socket, &event, sizeof event, NULL, 0) < 0)
		session->doomed = true;
}

static void close_socket(struct km_session *session)
{
	if (session->socket >= 0 && session->account)
		km_account_give(session->account, KM_CONNECTIONS, 1);
	session->socket = km_close(session->socket);
}

void km_session_close(struct km_session *session)
{
	struct event **events[] = { &session->socket_event, &session->pidfd_event,
		&session->probe_event };

	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
	close_socket(session);
	session->pidfd = km_close(session->pidfd);
}

void km_session_free(struct km_session *session)
{
	if (session->state == KM_SESSION_READY || session->state == KM_SESSION_DISCONNECTED)
		km_account_give(session->account, KM_CLIENTS, 1);
	km_keep_forget_session(session);
	km_session_close(session);
	km_wait_forget(session);
	km_session_free_memory(session);
	km_account_unref(session->account);
	LIST_REMOVE(session, next);
	free(session);
}

void km_session_disconnect(struct km_session *session)
{
	if (session->socket < 0)
		return;
	event_free(session->socket_event);
	session->socket_event = NULL;
	close_socket(session);
	session->broker->sweep = true;
	km_wait_forget(session);
	if (session->state == KM_SESSION_NEW) {
		session->state = KM_SESSION_DEAD; /* it has nothing */
		return;
	}
	session->state = KM_SESSION_DISCONNECTED;
	km_keep_session(session);
	if (session->kept)
		km_store_remove(&session->broker->store, KM_STORE_CONNECTION, session->id, 0);
	km_log(LOG_DEBUG, session, NULL, "disconnected");
	km_death_probe(session);
}

/* A datagram that isn't a request: says so and hangs up. */
static void reject(struct km_session *session, const union km_msg *message, size_t size)
{
	session->serial = size >= sizeof message->header ? message->header.serial : 0;
	km_session_refuse(session, NULL, -EPROTO, "%s of %zu bytes is not a request of version %d",
		size >= sizeof message->header ? km_wire_name(message->header.op) : "a datagram",
		size, KM_WIRE_VERSION);
	session->doomed = true;
}

static void close_fds(int *fds, size_t count)
{
	while (count > 0)
		km_close(fds[--count]);
}

/* One request. It is taken from the socket when it is done and answered: a broker that comes after
 * this one meets it again if this one didn't get so far. False: there is none. */
static bool serve_one(struct km_session *session)
{
	union km_msg message;
	int fds[KM_WIRE_MAX_FDS];
	size_t fd_count = 0;

	memset(&message.header, 0, sizeof message.header);
	ssize_t n = km_wire_peek(session->socket, &message, fds, &fd_count);
	close_fds(fds, fd_count);
	if (n == -EAGAIN)
		return false;
	if (n == -EPROTO || (n >= 0 && km_wire_check_request(&message, (size_t)n, fd_count) < 0))
		reject(session, &message, n < 0 ? 0 : (size_t)n);
	else if (n < 0)
		session->doomed = true;
	else
		km_request_serve(session, &message);
	km_wire_skip(session->socket);
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct km_session *session = userdata;
	struct km_broker *broker = session->broker;

	for (int i = 0; i < REQUEST_BURST && session->socket >= 0 && !session->doomed; i++) {
		if (!serve_one(session))
			break;
		/* a topic that lost its last member is gone before the next request asks for it */
		km_broker_sweep(broker);
	}
	if (session->doomed)
		km_session_disconnect(session);
	km_broker_sweep(broker);
}

/* The peer's process as the kernel knows it. Errors: -ESRCH it is gone already; -EMFILE, ... */
static int open_pidfd(const struct km_session *session, int *ret)
{
	socklen_t size = sizeof *ret;

	if (getsockopt(session->socket, SOL_SOCKET, SO_PEERPIDFD, ret, &size) == 0)
		return 0;
	if (errno != ENOPROTOOPT)
		return -errno;
	/* Before Linux 6.5: the number may have become another process' since it connected; not if
	 * the connection still stands after the pidfd was opened, for who connected has it open. */
	int fd = (int)syscall(SYS_pidfd_open, session->pid, 0);
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
	session->pid = cred.pid;
	session->uid = cred.uid;
	session->gid = cred.gid;
	return open_pidfd(session, &session->pidfd);
}

int km_session_watch(struct km_session *session)
{
	struct event_base *base = session->broker->base;

	session->probe_event = evtimer_new(base, km_death_on_probe, session);
	session->pidfd_event = event_new(base, session->pidfd, EV_READ, km_death_on_pidfd, session);
	if (!session->probe_event || !session->pidfd_event ||
		event_add(session->pidfd_event, NULL) < 0)
		return -ENOMEM;
	if (session->socket < 0)
		return 0;
	session->socket_event = event_new(
		base, session->socket, EV_READ | EV_PERSIST, on_readable, session);
	if (!session->socket_event || event_add(session->socket_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* -EDQUOT, which is logged: it is one connection too many, in all or of its user. */
static int count_connection(struct km_session *session)
{
	const struct km_config *config = session->broker->config;
	const struct km_limit *all = &config->total[KM_CLIENTS], *own = &config->user[KM_CLIENTS];
	const struct km_limit *over = NULL;
	char where[KM_ORIGIN_TEXT_SIZE];

	session->account = km_account_ref(session->broker, session->uid);
	if (!session->account)
		return -ENOMEM;
	if (session->broker->used[KM_CONNECTIONS] >= all->value + SPARE_SOCKETS)
		over = all;
	if (own->value && session->account->used[KM_CONNECTIONS] >= own->value + SPARE_USER_SOCKETS)
		over = own;
	km_account_take(session->account, KM_CONNECTIONS, 1);
	if (!over)
		return 0;
	km_log(LOG_WARNING | KM_EVENT_CANT_ACCEPT, session, NULL,
		"not taken in: too many connections for %llu clients (%s)",
		(unsigned long long)over->value, km_origin_text(&over->origin, where));
	return -EDQUOT;
}

void km_session_accept(struct km_broker *broker, int socket)
{
	struct km_session *session = calloc(1, sizeof *session);

	if (!session) {
		km_log(LOG_ERR | KM_EVENT_CANT_ACCEPT, NULL, NULL, "no memory for a connection");
		close(socket);
		return;
	}
	session->broker = broker;
	session->state = KM_SESSION_NEW;
	session->socket = socket;
	session->pidfd = -1;
	session->id = ++broker->next_session;
	session->since_ns = km_clock_ns();
	LIST_INIT(&session->members);
	LIST_INIT(&session->waits);
	LIST_INSERT_HEAD(&broker->sessions, session, next);
	int r = identify(session);
	if (r == 0)
		r = count_connection(session);
	if (r == 0)
		r = km_session_watch(session);
	if (r < 0) {
		km_log((r == -ESRCH || r == -EDQUOT ? LOG_DEBUG : LOG_WARNING) |
				KM_EVENT_CANT_ACCEPT,
			session, NULL, "not taken in: %s", strerror(-r));
		km_session_free(session);
	}
}
