/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connected process, from hello (before that: stranger.h) to the last thing freed: see broker.h
 * for its states.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/peer/unread.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"

/* The number by which the log counts processes of a user whose pid the broker can't know. */
#define PEERS_OF_UID (UINT64_C(1) << 63)

int km_session_answer(
	struct km_session *session, void *message, size_t size, const int *fds, size_t fd_count)
{
	struct km_msg_header *header = message;

	header->serial = session->serial;
	/* An answer counts also for the next broker. */
	km_keep_commit(session->broker);
	int r = km_wire_send(session->socket, message, size, fds, fd_count);
	if (r == -EAGAIN)
		km_log(LOG_WARNING | KM_EVENT_CLIENT_SENT_AWAY, session, NULL,
			"doesn't read its answers: disconnected");
	else if (r < 0 && r != -ENOTCONN)
		km_log(LOG_WARNING | KM_EVENT_CLIENT_SENT_AWAY, session, NULL, "can't answer: %s",
			strerror(-r));
	session->doomed |= r < 0;
	if (r == 0 && fd_count > 0)
		km_unread_sent(session->broker, &session->unread, session->socket, session->account,
			(unsigned)fd_count);
	return r;
}

/* As operators tell refusals apart. */
static unsigned kind_of_refusal(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return LOG_INFO | KM_EVENT_DENIED;
	case -EDQUOT:
	case -ENOSPC:
	case -EMFILE:
	case -ENOMEM:
		return LOG_INFO | KM_EVENT_LIMIT_HIT;
	case -ENOENT:
		/* waiting for a topic by asking again and again is ordinary */
		return LOG_DEBUG | KM_EVENT_REFUSED;
	default:
		return LOG_INFO | KM_EVENT_REFUSED;
	}
}

uint64_t km_session_refusals(void)
{
	return km_log_count(KM_EVENT_DENIED) + km_log_count(KM_EVENT_LIMIT_HIT) +
	       km_log_count(KM_EVENT_REFUSED);
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
	km_log(kind_of_refusal(error), session, topic, "refused: %s (%s)", answer.text,
		strerror(-error));
	return km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_session_tell(struct km_session *session, enum km_news what)
{
	struct km_msg_event event = { .header.op = KM_OP_EVENT, .what = what };

	if (session->socket >= 0 && !session->parting.is_over &&
		km_wire_send(session->socket, &event, sizeof event, NULL, 0) < 0)
		session->doomed = true;
}

void km_session_no_stranger(struct km_session *session)
{
	if (!session->is_stranger)
		return;
	session->is_stranger = false;
	km_account_give(session->account, KM_STRANGERS, 1);
	TAILQ_REMOVE(&session->broker->strangers, session, in_strangers);
}

static void close_socket(struct km_session *session)
{
	struct km_broker *broker = session->broker;

	km_session_no_stranger(session);
	if (session->socket < 0)
		return;
	if (km_unread_keep(broker, &session->unread))
		; /* it is shut down */
	else if (broker->ending && session->kept_at)
		close(session->socket); /* the next broker goes on with it */
	else
		km_hangup(&broker->hangup, session->socket, session->account);
	session->socket = -1;
}

static void free_event(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

void km_session_deafen(struct km_session *session)
{
	session->broker->handlers->question_drop(session);
	session->broker->handlers->reserve_drop(session);
	free_event(&session->socket_event);
	free_event(&session->held_event);
}

void km_session_close(struct km_session *session)
{
	km_session_deafen(session);
	free_event(&session->pidfd_event);
	free_event(&session->probe_event);
	close_socket(session);
	session->pidfd = km_close(session->pidfd);
}

void km_session_look(struct km_session *session)
{
	if (!session->looked_at)
		LIST_INSERT_HEAD(&session->broker->over, session, in_over);
	session->looked_at = true;
}

void km_session_stays(struct km_session *session)
{
	if (session->looked_at)
		LIST_REMOVE(session, in_over);
	session->looked_at = false;
}

void km_session_free(struct km_session *session)
{
	if (session->kept.state == KM_SESSION_READY ||
		session->kept.state == KM_SESSION_DISCONNECTED)
		km_account_give(session->account, KM_CLIENTS, 1);
	km_keep_forget_session(session);
	session->broker->handlers->parting_drop(session);
	km_session_stays(session);
	km_session_close(session);
	session->broker->handlers->wait_forget(session, UINT_MAX);
	session->broker->handlers->notice_forget_session(session);
	session->broker->handlers->happened_forget(session);
	km_account_unref(session->account);
	LIST_REMOVE(session, next);
	free(session);
}

void km_session_disconnect(struct km_session *session)
{
	if (session->socket < 0)
		return;
	if (session->kept.state != KM_SESSION_NEW) {
		session->broker->handlers->parting_hang_up(session);
		return;
	}
	/* a stranger has nothing, and another one may need its place now */
	km_session_deafen(session);
	close_socket(session);
	session->kept.state = KM_SESSION_DEAD;
	km_session_look(session);
}

void km_session_hung_up(struct km_session *session)
{
	close_socket(session);
	km_session_look(session);
	session->kept.state = KM_SESSION_DISCONNECTED;
	/* the connection goes on waiting: the next broker has the pidfd from it */
	km_keep_session(session);
	km_log(LOG_DEBUG, session, NULL, "disconnected");
	session->broker->handlers->death_probe(session);
}

/* Is this a HELLO of a library of another version? Its size is that version's. */
static bool is_foreign(const union km_msg *message, size_t size)
{
	return size >= offsetof(struct km_msg_hello, name) && message->header.op == KM_OP_HELLO &&
	       (message->hello.version != KM_WIRE_VERSION ||
		       message->hello.layout_version != KM_LAYOUT_VERSION);
}

/* Answers a datagram that isn't a request: says so and hangs up. */
static void reject(struct km_session *session, const union km_msg *message, size_t size)
{
	const bool has_header = size >= sizeof message->header;

	session->serial = has_header ? message->header.serial : 0;
	if (size == 0)
		km_session_refuse(session, NULL, -EPROTO,
			"a datagram with descriptors, or longer than any message, is not a "
			"request");
	else if (is_foreign(message, size))
		km_session_refuse(session, NULL, -EPROTO,
			"the client's library is of wire version %u and layout version %u, this "
			"broker of %u and %u: run the program with the broker's library",
			message->hello.version, message->hello.layout_version, KM_WIRE_VERSION,
			KM_LAYOUT_VERSION);
	else
		km_session_refuse(session, NULL, -EPROTO,
			"%s of %zu bytes is not a request of version %d",
			has_header ? km_wire_name(message->header.op) : "a datagram", size,
			KM_WIRE_VERSION);
	session->doomed = true;
}

/* Serves one request. It is taken from the socket when it is done and answered: if this broker
 * doesn't get so far the next one meets the request again. False: there is none, or it waits. */
static bool serve_one(struct km_session *session)
{
	union km_msg message;

	memset(&message.header, 0, sizeof message.header);
	ssize_t n = km_wire_peek(session->socket, &message);
	if (n == -EAGAIN)
		return false;
	if (n == -EPROTO || (n >= 0 && (is_foreign(&message, (size_t)n) ||
					       km_wire_check_request(&message, (size_t)n, 0) < 0)))
		reject(session, &message, n < 0 ? 0 : (size_t)n);
	else if (n < 0)
		session->doomed = true;
	else
		session->broker->handlers->request_serve(session, &message);
	if (session->question || session->held) {
		event_del(session->socket_event);
		return false;
	}
	session->broker->handlers->reserve_drop(session);
	session->waited = session->drained = session->joined = false;
	/* what is left is for km_hangup(): it may have descriptors with it */
	if (!session->doomed)
		km_wire_skip(session->socket);
	return true;
}

void km_session_go_on(struct km_session *session, bool served)
{
	if (served)
		session->waited = session->drained = session->joined = false;
	if (served && !session->doomed)
		km_wire_skip(session->socket);
	/* the event was there before, so there is memory for it */
	if (session->doomed || event_add(session->socket_event, NULL) < 0)
		km_session_disconnect(session);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct km_session *session = userdata;
	struct km_broker *broker = session->broker;

	int64_t end = km_clock_ns() + KM_SHARE_NS;

	while (session->socket >= 0 && !session->doomed && !session->parting.is_over &&
		serve_one(session)) {
		/* a topic that lost its last member is gone before the next request asks for it */
		km_broker_sweep(broker);
		if (km_clock_ns() >= end)
			break;
	}
	if (session->doomed)
		km_session_disconnect(session);
	km_broker_sweep(broker);
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int km_session_peer_pidfd(int socket, int *ret)
{
	socklen_t size = sizeof *ret;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, ret, &size) == 0)
		return 0;
	return errno == EINVAL ? -ESRCH : -errno;
}

static bool lives(const struct km_session *session)
{
	struct pollfd ended = { session->pidfd, POLLIN, 0 };

	return session->pidfd >= 0 && session->kept.state != KM_SESSION_DEAD &&
	       poll(&ended, 1, 0) == 0;
}

bool km_session_follows(const struct km_session *session, const struct km_session *past)
{
	const struct km_kept_session *a = &session->kept, *b = &past->kept;

	return past->socket < 0 && a->pid > 0 && a->pid == b->pid && a->uid == b->uid &&
	       a->gid == b->gid && lives(past) && lives(session);
}

int km_session_watch(struct km_session *session)
{
	struct event_base *base = session->broker->base;
	const struct km_handlers *handlers = session->broker->handlers;

	session->probe_event = evtimer_new(base, handlers->death_on_probe, session);
	session->pidfd_event = event_new(
		base, session->pidfd, EV_READ, handlers->death_on_pidfd, session);
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

uint64_t km_session_describe(const struct km_session *session, struct km_log_about *about)
{
	about->pid = session->kept.pid;
	about->uid = session->kept.uid;
	about->client = session->kept.name;
	return session->kept.pid == 0 ? PEERS_OF_UID | session->kept.uid
				      : (uint64_t)session->kept.pid;
}

void km_keep_session(struct km_session *session)
{
	if (session->kept.state != KM_SESSION_NEW)
		km_keep_put(session->broker, KM_STATE_SESSIONS, &session->kept_at, &session->kept,
			sizeof session->kept, session->kept.id);
}

void km_keep_forget_session(struct km_session *session)
{
	struct km_broker *broker = session->broker;

	if (!broker->state)
		return;
	km_state_drop(broker->state, KM_STATE_SESSIONS, &session->kept_at);
	km_store_remove(&broker->store, KM_PARKED_SESSION, session->kept.id, 0);
}

void km_keep_done(struct km_session *session, uint32_t op, uint64_t handle)
{
	session->kept.done = (struct km_done){
		.serial = session->serial, .op = op, .handle = handle
	};
	km_keep_session(session);
}
