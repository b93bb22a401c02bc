/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept, and twice a second a look at what may go wrong around it: the socket file (socketfile.h),
 * silent connections (stranger.h) and those that can't be closed (hangup.h).
 *
 * When descriptors or memory run out, accept pauses and tries again, longer each time, instead of
 * spinning.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "daemon/peer/listener.h"
#include "daemon/peer/socketfile.h"
#include "daemon/peer/stranger.h"
#include "daemon/run/account.h"
#include "daemon/run/log.h"

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000
#define ACCEPT_BURST 16
#define LOOK_MS      500

struct km_listener {
	struct km_broker *broker;
	struct km_socketfile file;
	int socket;
	struct event *accept_event;
	struct event *resume_event;
	struct event *look_event;
	unsigned pause_ms;
};

static void pause_accepting(struct km_listener *listener, int error)
{
	unsigned ms = listener->pause_ms;
	struct timeval wait = { ms / 1000, ms % 1000 * 1000 };

	km_log(LOG_WARNING | KM_EVENT_CANT_ACCEPT, NULL, NULL, "accept: %s; trying again in %u ms",
		strerror(-error), ms);
	listener->pause_ms = 2 * ms < PAUSE_MAX_MS ? 2 * ms : PAUSE_MAX_MS;
	if (evtimer_add(listener->resume_event, &wait) == 0)
		event_del(listener->accept_event);
}

static void on_resume(evutil_socket_t fd, short what, void *userdata)
{
	struct km_listener *listener = userdata;

	event_add(listener->accept_event, NULL);
}

/* Takes one connection in. False: there is none to take now. */
static bool accept_one(struct km_listener *listener)
{
	int peer = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r = peer < 0 ? -errno : 0;

	if (r == -EAGAIN || r == -EINVAL)
		return false;
	if (r == -EINTR || r == -ECONNABORTED)
		return true;
	if (r < 0) {
		pause_accepting(listener, r);
		return false;
	}
	listener->pause_ms = PAUSE_MIN_MS;
	km_stranger_accept(listener->broker, peer);
	return true;
}

static void on_accept(evutil_socket_t fd, short what, void *userdata)
{
	struct km_listener *listener = userdata;

	for (int i = 0; i < ACCEPT_BURST && accept_one(listener); i++)
		;
	km_broker_sweep(listener->broker);
}

static int listen_to(struct km_listener *listener, int socket)
{
	struct event *event = event_new(
		listener->broker->base, socket, EV_READ | EV_PERSIST, on_accept, listener);

	if (!event || event_add(event, NULL) < 0) {
		if (event)
			event_free(event);
		return -ENOMEM;
	}
	listener->accept_event = event;
	listener->socket = socket;
	return 0;
}

/* Takes no more connections; those that are in the queue already go as all others do (hangup.h). */
static void close_socket(struct km_listener *listener)
{
	struct km_broker *broker = listener->broker;
	int peer;

	if (listener->accept_event)
		event_free(listener->accept_event);
	listener->accept_event = NULL;
	/* the manager's socket stays open, for the next broker */
	if (listener->socket >= 0 && !listener->file.is_managers) {
		shutdown(listener->socket, SHUT_RD);
		while ((peer = accept4(
				listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
			km_hangup(&broker->hangup, peer, NULL);
	}
	listener->socket = km_close(listener->socket);
}

static void on_look(evutil_socket_t fd, short what, void *userdata)
{
	struct km_listener *listener = userdata;
	struct km_broker *broker = listener->broker;
	int64_t now = km_clock_ns();
	int fresh;

	if (km_socketfile_check(&listener->file, &fresh) > 0) {
		close_socket(listener);
		if (listen_to(listener, fresh) < 0) {
			close(fresh);
			km_log(LOG_ERR | KM_EVENT_SOCKET_GONE, NULL, NULL, "ending: no memory");
			event_base_loopbreak(broker->base);
		}
	}
	km_stranger_expire(broker, now);
	km_hangup_again(&broker->hangup);
	km_account_sweep(&broker->accounts, now);
	km_broker_sweep(broker);
}

static int open_socket(struct km_listener *listener, int *ret)
{
	struct km_broker *broker = listener->broker;
	int fd = broker->store.listen_fd;

	if (fd < 0)
		return km_socketfile_take(&listener->file, broker->config, ret);
	broker->store.listen_fd = -1;
	km_hangup_refuse_rights(fd);
	km_socketfile_of_manager(&listener->file, fd);
	*ret = fd;
	return 0;
}

int km_listener_new(struct km_broker *broker, struct km_listener **ret)
{
	static const struct timeval look = { 0, LOOK_MS * 1000 };
	struct km_listener *listener = calloc(1, sizeof *listener);
	int r, socket = -1;

	if (!listener)
		return -ENOMEM;
	listener->broker = broker;
	listener->socket = listener->file.lock = -1;
	listener->pause_ms = PAUSE_MIN_MS;
	r = open_socket(listener, &socket);
	if (r == 0)
		r = listen_to(listener, socket);
	if (r < 0)
		km_close(socket);
	listener->resume_event = evtimer_new(broker->base, on_resume, listener);
	listener->look_event = event_new(broker->base, -1, EV_PERSIST, on_look, listener);
	if (r == 0 && (!listener->resume_event || !listener->look_event ||
			      event_add(listener->look_event, &look) < 0))
		r = -ENOMEM;
	if (r < 0) {
		km_listener_free(listener);
		return r;
	}
	*ret = listener;
	return 0;
}

bool km_listener_is_managers(const struct km_listener *listener)
{
	return listener->file.is_managers;
}

void km_listener_free(struct km_listener *listener)
{
	if (!listener)
		return;
	if (listener->resume_event)
		event_free(listener->resume_event);
	if (listener->look_event)
		event_free(listener->look_event);
	km_socketfile_leave(&listener->file);
	close_socket(listener);
	free(listener);
}
